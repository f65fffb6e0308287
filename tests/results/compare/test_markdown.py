"""Checked with a CommonMark parser: what a run wrote comes out as text, whatever it is."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from matrix.results.compare.case_comparison import compare_cases
from matrix.results.compare.markdown import LARGEST, code, markdown
from matrix.results.compare.matching import Pairing, pair_runs, pair_variants
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.tally import Gathered
from matrix.results.printable import printable
from matrix.results.run_record import RunRecord
from tests import make
from tests.conftest import Golden
from tests.results.compare.conftest import Compared

RULES = Thresholds()


def comment(*pairings: Pairing) -> str:
    return markdown([Gathered.of(p, compare_cases(p, RULES)) for p in pairings], RULES)


class Outside(HTMLParser):
    """The tags of a rendered comment, and the text that is not in code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text: list[str] = []
        self._in_code = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in_code += tag == "code"
        assert not attributes

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if not self._in_code:
            self.text.append(data)


def outside(text: str) -> Outside:
    parser = Outside()
    parser.feed(MarkdownIt("commonmark").render(text))
    parser.close()
    return parser


def test_two_runs(golden: Golden, told: Pairing) -> None:
    golden("compare-runs.md", comment(told))


def test_the_variants_of_a_run(golden: Golden, several_qemus: RunRecord) -> None:
    golden("compare-by.md", comment(*pair_variants(several_qemus, "qemu")))


def test_nothing_changed(told: Pairing) -> None:
    assert comment(pair_runs(told.a, told.a)).startswith("### Nothing changed; 21 of 21 cases")


def test_every_fold_is_closed(told: Pairing) -> None:
    text = comment(told)
    assert text.count("<details>") == text.count("</details>") == 10


HOSTILE = [
    "@all #1 !2 $3 &4 ~5 %6",
    "<script>alert(1)</script>",
    "</details></summary><img src=x onerror=alert(1)>",
    "`code` ``more`` ```",
    "`",
    "``",
    "![x](http://example.org/x.png) [y](javascript:alert(1))",
    "a | b \\| c",
    "# heading\n- item\n\n<b>",
    "\x1b[31mred\x00 \u202egnirts",
    "http://example.org www.example.org mail@example.org",
    " &lt;b&gt; \\",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_run_is_markup(
    compared: Compared, pairing: Callable[[Any, Any], Pairing], text: str
) -> None:
    case = make.case(text, case_id=text, machine=text)
    attempts = [
        make.attempt("pass", subtests=["PASS: x"], metrics=((text, 1.0, text),), accelerator=text),
        make.attempt(
            "fail",
            text,
            subtests=[f"FAIL: x: {text}"],
            metrics=((text, 2.0, text),),
            artifacts=text,
        ),
    ]
    pair = pairing(*([(make.run(case), [attempt])] for attempt in attempts))
    found = outside(comment(pair))
    assert found.tags <= {
        "h3", "h4", "p", "ul", "li", "code", "strong", "details", "summary"
    }  # fmt: skip
    assert not re.search(r"[@!$&~<>`|\\]|#\d|example|alert", "".join(found.text))


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_code_span_shows_what_it_was_given(text: str) -> None:
    span = code(text)
    shown = printable(text).strip()
    if not shown:
        assert span == ""
        return
    tokens = MarkdownIt("commonmark").parseInline(f"- {span} x")[0].children
    assert tokens is not None
    assert [(each.type, each.content) for each in tokens] == [
        ("text", "- "),
        ("code_inline", shown),
        ("text", " x"),
    ]


def test_a_comment_is_no_longer_than_one_may_be(pairing: Callable[[Any, Any], Pairing]) -> None:
    a, b = [], []
    for verdict in ("fail", "timeout", "flaky", "skip", "xfail", "xpass"):
        for number in range(100):
            run = make.run(make.case("x" * 100 + f"{verdict}{number}"))
            passing = [f"PASS: {'s' * 150}{'y' * n}" for n in range(20)]
            failing = [f"FAIL: {'s' * 150}{'y' * n}: {'m' * 300}" for n in range(20)]
            a.append((run, [make.attempt(subtests=passing)]))
            b.append((run, [make.attempt(verdict, "r" * 5000, subtests=failing)]))
    text = comment(pairing(a, b))
    assert LARGEST / 2 < len(text) <= LARGEST
    assert text.endswith("_The rest is cut: a comment holds no more._\n")
    assert text.count("<details>") == text.count("</details>")


def test_an_ended_run_is_told(pairing: Callable[[Any, Any], Pairing]) -> None:
    run = make.run()
    assert "**Not finished" in comment(pairing([(run, [make.attempt()])], [(run, [])]))
