"""The page in a browser: it loads from disk alone, its script has no error, and it answers clicks and pointing."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request

import pytest

from inferometer.emulator.compare.deployments import Question
from inferometer.emulator.report.page.page import report
from inferometer.launch.cli import main

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DRIVER and BROWSER), reason="no Chromium with ChromeDriver here"),
]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Browser:
    """As much of WebDriver as is needed."""

    def __init__(self, base: str) -> None:
        options = {"binary": BROWSER, "args": list(FLAGS)}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._base = base
        self._session = f"{base}/session/{self.ask('/session', {'capabilities': {'alwaysMatch': wanted}})['sessionId']}"

    def ask(self, path: str, body: object) -> object:
        request = urllib.request.Request(self._base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def do(self, what: str, **body: object) -> object:
        return self.ask(f"{self._session.removeprefix(self._base)}/{what}", body)

    def script(self, text: str) -> object:
        return self.do("execute/sync", script=text, args=[])

    def point_at(self, selector: str) -> None:
        element = self.do("element", using="css selector", value=selector)
        self.script(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        move = {"type": "pointerMove", "origin": element, "x": 0, "y": 0, "duration": 0}
        self.do("actions", actions=[{"type": "pointer", "id": "mouse", "actions": [move]}])

    def click(self, selector: str) -> None:
        self.script(f"document.querySelector({json.dumps(selector)}).click()")


@pytest.fixture(scope="module")
def browser():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        made = Browser(f"http://127.0.0.1:{port}")
        yield made
        urllib.request.urlopen(urllib.request.Request(made._session, method="DELETE"), timeout=30).close()
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    models = [Question(name, "h100-sxm", gpus_max=8) for name in ("llama-3-8b", "llama-3.1-70b")]
    given = []
    for command in ("predict", "frontier"):
        given.append(path.with_name(f"{command}.json"))
        flags = ["--accelerator", "h100-sxm", "--calibration", "h100-nccl", "--json", str(given[-1])]
        assert main([command, "llama-3-8b", *flags, *(["--gpus-max", "4"] if command == "frontier" else ["--tp", "2"])]) == 0
    path.write_text(report("h100-nccl", *given, questions=models))
    browser.do("url", url=path.as_uri())
    return browser


def test_it_loads_without_a_request_or_an_error(opened):
    assert opened.script("return document.querySelectorAll('svg').length") > 8
    assert opened.script("return performance.getEntriesByType('resource').length") == 0
    assert [entry for entry in opened.do("se/log", type="browser") if entry["level"] == "SEVERE"] == []


def test_pointing_at_a_mark_says_its_numbers(opened):
    opened.point_at("#costs figure [data-tip]")
    assert opened.script("return getComputedStyle(document.getElementById('tip')).visibility") == "visible"
    words = opened.script("return document.getElementById('tip').textContent")
    assert words.startswith("all_gather of 512, 2 ranks\n5.31 µs")  # as the calibration's first cell


def test_a_table_sorts_up_and_down(opened):
    column = "return [...document.querySelectorAll('#against tbody tr')].map(row => parseFloat(row.cells[4].textContent))"
    opened.click("#against th:nth-child(5)")
    up = opened.script(column)
    opened.click("#against th:nth-child(5)")
    down = opened.script(column)
    assert up == sorted(up) and down == sorted(up, reverse=True) and len(set(up)) > 5


def test_the_chooser_shows_one_model(opened):
    visible = "return [...document.querySelectorAll('.choice')].filter(one => one.offsetHeight > 0).map(one => one.id)"
    assert opened.script(visible) == ["model-0"]
    opened.script("const s = document.querySelector('.chooser'); s.value = 'model-1'; s.dispatchEvent(new Event('change'))")
    assert opened.script(visible) == ["model-1"]


@pytest.mark.parametrize("width", [390, 1600])
def test_nothing_is_wider_than_the_window(opened, width):
    """A window of this width, which a browser may refuse to make so narrow, as a device has it."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.do("goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=size)
    assert opened.script("return window.innerWidth") == width
    assert opened.script("return document.documentElement.scrollWidth") <= width


def test_the_figure_of_a_given_frontier_says_its_numbers(opened):
    opened.point_at("#frontiers figure [data-tip]")
    words = opened.script("return document.getElementById('tip').textContent")
    assert "tokens/s" in words and "$ per million tokens" in words
