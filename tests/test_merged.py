"""No merge has left its marks in what is read: a page with them passes every other test."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"^(?:<{7}|>{7}|\|{7}) ", re.MULTILINE)


def test_no_page_has_a_mark_of_a_merge() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "matrix").rglob("*.md")]
    assert len(pages) > 30
    assert [page for page in pages if MARK.search(page.read_text("utf-8"))] == []


def test_a_mark_is_found() -> None:
    assert MARK.search("a\n" + "<" * 7 + " HEAD\nb\n")
