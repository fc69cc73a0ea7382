"""The pages: what they link to and name is there, and the table of rooms has the order that the code keeps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.unit.test_architecture import ORDER

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
TOP = "emulator|parallel|launch|configs|tests|benchmarks|docs"


def anchors(page: Path) -> set[str]:
    """The headings as links name them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    text = page.read_text()
    named = set(re.findall(rf"`((?:{TOP})/[\w/.-]+)`", text))
    assert not [name for name in named if "NAME" not in name and not (ROOT / name).exists()]
    alone = set(re.findall(r"`(\w+\.py)`", text)) - {"NAME.py"}
    assert not [name for name in alone if not list(ROOT.glob(f"[!.]*/**/{name}"))]


def test_the_table_of_rooms_has_the_order_of_the_code():
    table = (ROOT / "docs/architecture.md").read_text().split("| room | holds |")[1].split("\n\n")[0]
    rooms = [
        room for line in table.splitlines() for room in re.findall(r"`([\w/]+)`", line.split("|")[1] if "|" in line else "")
    ]
    floors = [ORDER[room.rstrip("/")] for room in rooms]
    assert len(floors) > 15 and floors == sorted(floors)
    missing = {room for room in ORDER if "/" in room} - set(rooms) - {"launch/cli", "launch/__main__"}
    assert {room for room in missing if (ROOT / room).is_dir()} == set()
