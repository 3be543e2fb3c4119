"""report.md and report.html: what they hold, and that the HTML renders in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from kd.files import write_json
from kd.report.write import collect_and_write
from tests.kd.report.builder import evidence, three_stages

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVIL = '<script>alert("x")</script> | [a](b)'


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report folder of a run with a failure whose message is hostile."""
    run = three_stages(tmp_path_factory.mktemp("pages") / "a run #1", [1, 2, 3]).fail("distilled", 3, EVIL)
    run.finish("teacher", {1: 0.9123, 2: 0.9, 3: 0.91}).finish("baseline", {1: 0.8456, 2: 0.84, 3: 0.85})
    run.finish("distilled", {1: 0.8721, 2: 0.87})
    write_json(run.run.provenance, {"commit": "3f2a9c1d", "host": "login1", "versions": {"torch": "2.13.0"}})
    collect_and_write([run.run.path], run.run.report_json)
    return run.run.report


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def test_both_pages_hold_the_numbers_and_what_is_missing(pages: Path) -> None:
    for name in ("report.md", "report.html"):
        text = (pages / name).read_text()
        for expected in ("91.23", "84.56", "87.21", "90.74 ± 0.65", "distilled seed 3", "alert", "3f2a9c1d", "2.13.0"):
            assert expected in text, (name, expected)


def test_the_html_stands_alone_and_every_link_leads_somewhere(pages: Path) -> None:
    parser = _Links()
    parser.feed((pages / "report.html").read_text())
    embedded = [link for link in parser.found if link.startswith("data:")]
    files = [link for link in parser.found if not link.startswith("data:")]
    assert sum(link.startswith("data:image/svg+xml") for link in embedded) == 3
    assert any(link.endswith("/result.json") for link in files)
    for link in files:
        assert link.startswith("../")
        assert (pages / unquote(link)).exists(), link


def test_the_markdown_links_lead_somewhere(pages: Path) -> None:
    links = re.findall(r"\]\((\.\./[^)]*|figures/[^)]*)\)", (pages / "report.md").read_text())
    assert len(links) > 10
    assert [link for link in links if not (pages / unquote(link)).exists()] == []


def test_texts_out_of_a_run_are_never_read_as_markup(pages: Path) -> None:
    parser = _Links()
    parser.feed((pages / "report.html").read_text())
    assert "script" not in parser.tags
    markdown = (pages / "report.md").read_text()
    assert "<script" not in markdown
    row = next(line for line in markdown.splitlines() if "alert" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 4


def test_every_markdown_table_has_equal_rows(pages: Path) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", (pages / "report.md").read_text(), re.MULTILINE)
    assert len(blocks) == 6
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


@pytest.fixture(scope="module")
def full_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report folder of 20 arms with long names, everything measured, a target, and hostile classes."""
    run = three_stages(tmp_path_factory.mktemp("full") / "run", [1, 2])
    measured = evidence(0.9, classes=(EVIL, "dog"))
    run.finish("teacher", {1: 0.9, 2: 0.91}, **measured).finish("baseline", {1: 0.84, 2: 0.85}, **measured)
    for number in range(17):
        name = f"distilled.attention_transfer-temperature-{number}"
        run.stage(name, "distilled", [1, 2], teacher="teacher").finish(name, {1: 0.86, 2: 0.87}, **measured)
    run.write_plan(headline="distilled.attention_transfer-temperature-3", expect={"teacher": ">= 0.85"})
    collect_and_write([run.run.path], run.run.report_json)
    return run.run.report


def test_the_pages_hold_costs_targets_classes_and_the_headline_with_its_rule(full_pages: Path) -> None:
    for name in ("report.md", "report.html"):
        text = (full_pages / name).read_text()
        for expected in ("PyTorch float32, cpu: test, 2 threads", "chosen in the job file (headline)", "0.85", "met"):
            assert expected in text, (name, expected)
    assert "kd-submit job.yaml --run run-again" in (full_pages / "report.md").read_text()
    names = {path.stem for path in (full_pages / "figures").glob("*.svg")}
    assert {"cnn_trade_off", "cnn_confusion", "cnn_reliability", "cnn_curves"} <= names


def dumped(page: Path, profile: Path, *, width: int) -> tuple[str, str]:
    """Return what Chromium makes of a page at this width, and its log."""
    assert BROWSER is not None
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--log-level=0"]
    options = [*quiet, f"--user-data-dir={profile}", "--enable-logging=stderr", f"--window-size={width},900"]
    shown = subprocess.run(
        [BROWSER, "--headless", *options, "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return shown.stdout, shown.stderr


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: report.html is not rendered (apt install chromium)")
@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_its_window(full_pages: Path, tmp_path: Path, width: int) -> None:
    asking = "<script>document.title = document.documentElement.scrollWidth - window.innerWidth</script></body>"
    page = tmp_path / "page.html"
    page.write_text((full_pages / "report.html").read_text().replace("</body>", asking))
    dom, log = dumped(page, tmp_path / "profile", width=width)
    title = re.search(r"<title>([^<]*)</title>", dom)
    assert title is not None
    assert int(title[1]) <= 0
    assert "CONSOLE" not in log


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: report.html is not rendered (apt install chromium)")
def test_a_browser_shows_the_numbers_and_logs_no_error(pages: Path, tmp_path: Path) -> None:
    dom, log = dumped(pages / "report.html", tmp_path / "profile", width=1280)
    body = re.sub(r"<[^>]+>", " ", dom.partition("</head>")[2])
    for expected in ("91.23", "84.56", "87.21", "2 of 3 seeds", "1 of 9 planned jobs"):
        assert expected in body, expected
    assert "CONSOLE" not in log


def test_texts_make_no_links_in_markdown(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "trial", [1]).run
    write_json(run.path / "provenance.json", {"command": ["[k](javascript:alert(1))", "<script>", "`x`"]})
    collect_and_write([run.path], tmp_path / "report.json")
    page = (tmp_path / "report" / "report.md").read_text()
    assert "](javascript" not in page
    assert "<script" not in page
