"""The pictures of the manual: small, used, of the shipped scenarios, and how they are drawn."""

import re
import shlex
from pathlib import Path

from playwright.sync_api import Browser

from docs.pictures.draw import (
    COMMANDS,
    HERE,
    LARGEST,
    REPORTED,
    VIEWS,
    Seen,
    report_picture,
    terminal_picture,
)
from matrix.report.write import write_run_report
from tests import make
from tests.report.conftest import record_run

DOCS = HERE.parent


def test_each_is_small_and_used_and_no_other_is_there() -> None:
    drawn = {f"{each.name}.svg" for each in COMMANDS} | {f"{each.name}.png" for each in VIEWS}
    kept = {path.name: path.stat().st_size for path in HERE.iterdir() if path.suffix != ".py"}
    assert {name for name in kept if name != "__pycache__"} == drawn
    assert all(kept[name] <= LARGEST for name in drawn)
    pages = "\n".join(page.read_text("utf-8") for page in DOCS.rglob("*.md"))
    used = re.findall(r"!\[([^\]]+)\]\([./]*pictures/([\w.-]+)\)", pages)
    assert {name for _, name in used} == drawn


def test_none_shows_where_it_was_drawn_or_loads_anything() -> None:
    for path in HERE.glob("*.svg"):
        text = path.read_text("utf-8")
        assert not re.search(r"(?<![\w.])/(work|home|tmp|root)/", text), path
        assert "font-face" not in text
        assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_scenarios_that_are_drawn_are_shipped() -> None:
    for words in (REPORTED, *(each.words for each in COMMANDS if each.words.startswith("run"))):
        assert (DOCS.parent / f"scenarios/{shlex.split(words)[1]}.yaml").is_file()


def test_a_terminal() -> None:
    picture = terminal_picture("matrix list", "a \x1b[31mred\x1b[0m word\nb\nc\n", 2)
    assert picture.startswith("<svg")
    words = re.sub(r"<[^>]+>", "\n", picture).replace("&#160;", " ")
    assert [line for line in words.splitlines() if line.strip()][-6:] == [
        "$ matrix list",
        "a ",
        "red",
        " word",
        "b",
        "…",
    ]


def test_a_part_of_a_report(browser: Browser, tmp_path: Path) -> None:
    report = write_run_report(record_run(tmp_path / "run", [(make.run(), make.attempt(), {})]))
    picture = report_picture(browser, report, Seen("any", "#matrix", 400, 300))
    assert picture.startswith(b"\x89PNG")
    assert (picture[16:20], picture[20:24]) == ((400).to_bytes(4), (300).to_bytes(4))
