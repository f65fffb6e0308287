"""The manual builds, strictly: no broken link, and every reference page made from the code. It can
be read, and searched, from disk."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.conftest import Reader

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual, built."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    return folder


def words(page: Path) -> str:
    """The text of a page without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.read_text()).split())


@pytest.mark.slow(reason="mkdocs reads the whole package for its docstrings")
def test_reference_pages_come_from_the_code(site: Path) -> None:
    """One fact of each, which only the code knows."""
    reference = site / "reference"
    assert "matrix run [OPTIONS] [SCENARIO…]" in words(reference / "command-line.html")
    assert "max_smp" in words(reference / "scenario.html")
    assert "hosts.NAME" in words(reference / "fleet.html")
    assert "matrix_hops_total counter" in words(reference / "metrics.html")
    assert "The verdict changed between repeats." in words(reference / "vocabulary.html")
    assert "accelerator_reason" in words(reference / "results.html")
    assert "pytest's number for the same" in words(reference / "exit-codes.html")
    assert "Reporting a vulnerability" in words(site / "explanation" / "trust.html")


@pytest.mark.slow(reason="mkdocs builds the manual")
def test_it_is_searched_from_disk(site: Path, reader: Reader) -> None:
    page = reader.page
    page.goto((site / "how-to/soak.html").as_uri())
    page.locator(".md-search__input").click()
    page.keyboard.type("quarantined")
    found = page.locator(".md-search-result__link").first
    found.wait_for()
    assert "/how-to/lab.html" in str(found.evaluate("link => link.href"))
    assert reader.problems == []
    assert all(each.startswith(("file:", "about:", "data:")) for each in reader.requests)


@pytest.mark.slow(reason="mkdocs builds the manual")
def test_references_are_tables(site: Path) -> None:
    """Of values and keys, and none of Python's constructs."""
    for name in ("results", "vocabulary", "migration", "exit-codes"):
        page = (site / f"reference/{name}.html").read_text()
        assert "<table>" in page
        assert not re.search(r":::|:(class|data|mod):|class-attribute|dataclass", page)
    vocabulary = (site / "reference/vocabulary.html").read_text()
    assert (
        "<td><code>xfail</code></td>\n<td>Known failure that failed as expected.</td>" in vocabulary
    )
