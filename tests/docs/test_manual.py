"""The manual builds, strictly: no broken link, and every reference page made from the code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
