"""Tables of the reference pages, from the sources of classes."""

from pathlib import Path

import pytest

from docs.reference.tables import markdown, table, with_tables
from matrix.migrating import Fault, Strategy, Transport


def test_an_enum() -> None:
    anchor, *lines = table("matrix.verdicts.Verdict")
    assert anchor == '<a id="Verdict"></a>'
    assert lines[:4] == ["What a case came to.", "", "| value | |", "|---|---|"]
    assert "| `flaky` | The verdict changed between repeats. |" in lines


def test_an_enum_of_which_nothing_is_said_is_a_line() -> None:
    assert list(table("matrix.migrating.Transport"))[-1].startswith("`unix`, `tcp`, ")


def test_a_page_has_its_tables() -> None:
    page = with_tables(
        "# A\n\n::: matrix.migrating.Transport\n\n::: matrix.verdicts.Subtest\n\nB\n"
    )
    assert page.startswith('# A\n\n<a id="Transport"></a>\n')
    assert page.count("<a id=") == 2
    assert page.endswith(" |\n\nB\n")


def test_a_record_has_what_it_inherits_and_types_in_words() -> None:
    lines = list(table("matrix.results.case_record.AttemptRecord", {"MetricRecord"}))
    assert lines[3] == "| key | type | |"
    assert "| `reason` | text |  |" in lines
    assert "| `number` | integer | From 1. |" in lines
    assert "| `subtest_counts` | mapping of `SubtestVerdict` to integer |  |" in lines
    assert "| `metrics` | list of [`MetricRecord`](#MetricRecord) |  |" in lines
    assert any(
        line.startswith("| `hops` | `MigrationSummary` or null | What its") for line in lines
    )


def test_what_docstrings_say_is_markdown() -> None:
    said = "As :class:`Name`, :mod:`matrix.model` and :data:`.FORMAT`, with ``a | b`` and ``x.y``."
    assert markdown(said) == "As `Name`, `model` and `FORMAT`, with `a | b` and `x.y`."


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="Nonesuch"):
        list(table("matrix.verdicts.Nonesuch"))


def test_what_the_readme_counts() -> None:
    text = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    assert f"{len(Fault)} kinds of faults" in text
    assert (len(Strategy), len(Transport)) == (12, 6)
    assert "twelve strategies and six transports" in text
