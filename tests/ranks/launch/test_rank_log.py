"""A rank's own log."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inferometer.launch.ranks.logs import last_line, remove_log


@pytest.mark.parametrize(
    ("text", "line"), [("a\nb\n", "b"), ("a\n  b  \n\n \n", "b"), ("", None), (" \n\n", None), ("one", "one")]
)
def test_the_last_line_that_says_something(tmp_path, text, line):
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log") == line


def test_a_log_that_is_not_there_or_not_text(tmp_path):
    assert last_line(tmp_path / "nowhere") is None
    (tmp_path / "log").write_bytes(b"first\n\xff\xfe last\n")
    assert last_line(tmp_path / "log").endswith("last")


def test_output_of_python_and_of_children_goes_to_the_log(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from inferometer.launch.ranks.logs import redirect_output;"
        f"print('before'); redirect_output(Path({str(tmp_path / 'l' / 'rank-0.log')!r}));"
        "print('out', flush=True); print('err', file=sys.stderr); os.system('echo child')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("before\n", "")
    assert sorted((tmp_path / "l" / "rank-0.log").read_text().split()) == ["child", "err", "out"]


def test_a_removed_log_takes_empty_folders_with_it_but_no_other_log(tmp_path):
    logs = [tmp_path / "x.logs" / "launch-0" / f"rank-{rank}.log" for rank in range(2)]
    logs[0].parent.mkdir(parents=True)
    for log in logs:
        log.write_text("")
    remove_log(logs[0])
    assert not logs[0].exists() and logs[1].exists()
    remove_log(logs[1])
    assert not (tmp_path / "x.logs").exists()
    assert tmp_path.exists()
    remove_log(logs[1])  # not there any more: nothing to do
