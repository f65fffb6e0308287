"""A comparison as Markdown, for a comment on a merge request at GitLab or GitHub.

Everything that a run wrote stands in code spans: nothing in those is markup, HTML, a reference
(``#12``, ``!34``) or a mention that would notify people (``@all``), which backslashes do not
prevent at GitLab. There are no tables, in which renderers disagree about ``|`` in code spans.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from matrix.results.compare.changes import CaseComparison, ChangeKind, Difference
from matrix.results.compare.measured import Thresholds
from matrix.results.compare.ranking import measured_words
from matrix.results.compare.tally import Gathered, Tally, parts_of, total_of, unchanged
from matrix.results.compare.words import (
    KIND_WORDS,
    OTHER_SUBTESTS,
    subtest_words,
    telling_reason,
    telling_subtests,
    verdicts,
)
from matrix.results.printable import printable, shortened

MOST_CASES = 20
"""How many cases are named of each kind of change."""

MOST_SUBTESTS = 5
"""How many changed subtests are named per case."""

LONGEST_TEXT = 200
"""Columns of a reason or a subtest."""

LARGEST = 60_000
"""Characters; GitHub refuses comments of more than 65,536."""

_CUT = "\n_The rest is cut: a comment holds no more._\n"

_OPEN = (
    ChangeKind.NEW_FAILURE,
    ChangeKind.NEW_FLAKY,
    ChangeKind.CHANGED_FAILURE,
    ChangeKind.LOST_COVERAGE,
)
"""Kinds that are not folded away."""


def markdown(everything: Sequence[Gathered], thresholds: Thresholds) -> str:
    """The comment: the answer first, failures open, all else folded, in at most
    :data:`LARGEST` characters."""
    blocks = [f"### {_answer(total_of(each.tally for each in everything))}\n"]
    for gathered in everything:
        blocks += _blocks(gathered, alone=len(everything) == 1)
    if any(each.unrepeated or any(each.measured.values()) for each in everything):
        blocks.append(f"\nTold of: {thresholds.rule()}.\n")
    return bounded(blocks)


def code(text: str) -> str:
    """``text`` as a code span that shows it as it is, whatever is in it (CommonMark 6.1)."""
    text = printable(text).strip()
    if not text:
        return ""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def bounded(blocks: Iterable[str]) -> str:
    """As many whole blocks as a comment holds: a block cut in two could leave a fold open."""
    kept: list[str] = []
    used = len(_CUT)
    for block in blocks:
        used += len(block)
        if used > LARGEST:
            kept.append(_CUT)
            break
        kept.append(block)
    return "".join(kept)


def _answer(tally: Tally) -> str:
    parts = [text for text, _ in parts_of(tally)] or ["Nothing changed"]
    return f"{', '.join(parts)}; {unchanged(tally)}"


def _blocks(gathered: Gathered, *, alone: bool) -> Iterator[str]:
    pairing = gathered.pairing
    if pairing.axis:
        yield f"\n**{pairing.axis}: {code(pairing.values[0])} → {code(pairing.values[1])}**"
        yield "\n" if alone else f": {_answer(gathered.tally)}\n"
    else:
        for name, record in (("A", pairing.a), ("B", pairing.b)):
            yield f"\n- {name}: {_cut(str(record.given))}, {_cut(record.info.started)}"
    yield f"\n- {_difference(gathered.tally.coverage)}\n"
    lines = [f"- {_difference(each)}\n" for each in pairing.environment[:MOST_CASES]]
    if lines:
        yield folded("What else differs", len(pairing.environment), lines)
    yield from _sections(gathered)
    for sentence in gathered.pairing.b.shortfalls():
        yield f"\n**Too little ran**: {_cut(sentence)}\n"
    unfinished = {len(record.unfinished()) for record in (pairing.a, pairing.b)} - {0}
    if unfinished:
        yield "\n**Not finished: cases without a result are not compared.**\n"


def _sections(gathered: Gathered) -> Iterator[str]:
    for kind, words in KIND_WORDS.items():
        items = _items(gathered, kind)
        count = gathered.tally.kinds[kind]
        if count and kind in _OPEN:
            yield from _open(words.title, count, items)
        elif count:
            yield folded(words.title, count, items)
        if kind is ChangeKind.CHANGED_FAILURE and None in gathered.changed:
            yield from _open(OTHER_SUBTESTS, len(gathered.changed[None]), _items(gathered, None))
    for title, ranking in gathered.measured.items():
        if not ranking:
            continue
        rows = [
            f"- {code(case_id)}{_named(change.name)}: {code(measured_words(change))}\n"
            for case_id, change in ranking.largest()
        ]
        yield folded(title, ranking.count, rows)
    if gathered.unrepeated:
        yield f"\n{gathered.unrepeated_words()}.\n"


def _items(gathered: Gathered, kind: ChangeKind | None) -> list[str]:
    return [_item(case) for case in gathered.changed.get(kind, [])[:MOST_CASES]]


def _open(title: str, count: int, items: list[str]) -> Iterator[str]:
    yield f"\n#### {title}: {count:,}\n\n"
    yield from items
    if count > len(items):
        yield f"- … and {count - len(items):,} more\n"


def folded(title: str, count: int, items: list[str]) -> str:
    """One block, so that it is never cut. ``title`` is ours."""
    more = f"- … and {count - len(items):,} more\n" if count > len(items) else ""
    return (
        f"\n<details><summary>{title}: {count:,}</summary>\n\n{''.join(items)}{more}\n</details>\n"
    )


def _item(case: CaseComparison) -> str:
    """One case: verdicts, id, reason, changed subtests, what differs."""
    reason = _cut(telling_reason(case))
    lines = [f"- {verdicts(case)} {code(case.id)}{': ' if reason else ''}{reason}\n"]
    telling = telling_subtests(case)
    lines += [f"  - {_cut(subtest_words(change))}\n" for change in telling[:MOST_SUBTESTS]]
    if len(telling) > MOST_SUBTESTS:
        lines.append(f"  - … and {len(telling) - MOST_SUBTESTS:,} more\n")
    lines += [f"  - {_difference(each)}\n" for each in case.differences]
    return "".join(lines)


def _difference(difference: Difference) -> str:
    values = [_cut(each) or "none" for each in (difference.a, difference.b)]
    return f"{_cut(difference.what)}: {' → '.join(values)}"


def _named(name: str) -> str:
    return f" {_cut(name)}" if name else ""


def _cut(text: str) -> str:
    return code(shortened(text, LONGEST_TEXT))
