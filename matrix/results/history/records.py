"""Case records as the database has them, and back.

``results.record`` is the JSON of a case of ``results.json`` without what other columns have, what
is empty, what an attempt says as its case does, and the paths of artifacts, which are in a
directory that may be gone. What guests and strangers wrote is bounded.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json

from matrix.results.history.connection import Row, Session
from matrix.results.json_text import json_bytes

LONGEST_TEXT = 2000
"""Characters of a reason, a name or a message; the run's artifacts have the rest."""

MOST = {"subtests": 100, "metrics": 1000, "broken": 1000, "arguments": 1000}
"""Members of a list of that name that are kept; subtests are those that did not pass."""

_PATHS = {"command", "artifacts"}
_IDENTITY = ("id", "scenario", "suite", "test", "axes")
_CASE = ("case_id", *_IDENTITY[1:])
_PLANNED = (
    *("image", "arguments", "dynamic", "qemu_params", "vcpus", "groups", "timeout", "limits"),
    *("accelerator_reason", "host"),
)
"""Keys of a record that are the same from run to run, until scenario, suite or host change."""

_OF_THIS_RUN = {"inputs", "input_digest", "reused", "not_reused"}
"""Digests tell runs apart, one of them all is a column; the rest says why a case was run."""

_ELSEWHERE = {
    *_PATHS,
    *_IDENTITY,
    *_OF_THIS_RUN,
    *_PLANNED,
    "verdict",
    "seconds",
    "accelerator",
    "suite_revision",
}

_OF_ATTEMPT = ("verdict", "reason", "seconds", "metrics", "assists", "hops")
"""Keys that every attempt of a record has; those that details have it may leave out."""

_CASES_OF_RUN = """
SELECT case_id, scenario, suite, test, axes, accelerator, suite_revision, planned,
    verdict, results.seconds, record
FROM results JOIN cases ON cases.id = "case" JOIN environments ON environments.id = environment
WHERE run = :run ORDER BY cases.id
"""


class Stored(NamedTuple):
    """The columns of a case and its result."""

    case: Row
    planned: str
    result: Row
    """Without ``run`` and ``environment``; its ``case`` is the id."""


def stored(record: Mapping[str, Any]) -> Stored:
    """The columns of a case as in ``results.json``."""
    plain = from_json(json_bytes(record, nonfinite="null"))
    verdict, seconds = plain["verdict"], plain["seconds"] or 0.0
    attempts = [
        {k: v for k, v in each.items() if k not in _PATHS and (plain[k] != v if k in plain else v)}
        for each in plain["attempts"]
    ]
    verdicts = [each.get("verdict", verdict) for each in attempts]
    kept = {k: v for k, v in plain.items() if v and k not in _ELSEWHERE}
    kept["attempts"] = attempts
    case_id, *names = (storable(plain[k]) for k in _IDENTITY[:4])
    return Stored(
        dict(zip(_CASE, (case_id, *names, json_text(plain["axes"])), strict=True)),
        _text({k: plain[k] for k in _PLANNED if plain.get(k)}),
        {
            "case": case_id,
            "verdict": verdict,
            "attempts": None if verdicts == [verdict] else " ".join(verdicts),
            "seconds": seconds,
            "record": _text(kept),
            "input_digest": plain.get("input_digest") or None,
        },
    )


def outcome(verdict: str, seconds: float, record: str) -> dict[str, Any]:
    """What a record says of how the case ended; all of its attempts have what each must have."""
    case: dict[str, Any] = {"verdict": verdict, "seconds": seconds, **from_json(record)}
    of_case = {key: case[key] for key in _OF_ATTEMPT if key in case}
    case["attempts"] = [{**of_case, **each} for each in case["attempts"]]
    return case


def recorded_cases(session: Session, run: int) -> Iterator[dict[str, Any]]:
    """The cases of a run as in ``results.json``, without keys that have their defaults, in the
    order in which the history met them.

    Args:
        session: of the history.
        run: its number there.
    """
    for row in session.read(_CASES_OF_RUN, {"run": run}):
        *identity, axes, accelerator, revision, planned, verdict, seconds, record = row
        yield {
            **dict(zip(_IDENTITY, (*identity, from_json(axes) or {}), strict=True)),
            "accelerator": accelerator,
            "suite_revision": revision,
            **from_json(planned),
            **outcome(verdict, seconds, record),
        }


def storable(text: str, longest: int = LONGEST_TEXT) -> str:
    """``text`` as both databases take it, cut to a length: PostgreSQL takes no NUL."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    if text.isprintable():
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def bounded(value: Any) -> Any:
    """Plain data with its texts and lists cut."""
    match value:
        case str():
            return storable(value)
        case list():
            return [bounded(each) for each in value]
        case dict():
            return {
                storable(key): bounded(each[: MOST.get(key)] if isinstance(each, list) else each)
                for key, each in value.items()
            }
        case _:
            return value


def _text(value: object) -> str:
    text = json_text(value)
    if len(text) > LONGEST_TEXT or "\\u0000" in text:  # else nothing is too long: save 20 us
        text = json_text(bounded(value))
    return text


def json_text(value: object) -> str:
    """As it stands in the database."""
    return json_bytes(value).decode()
