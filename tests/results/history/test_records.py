"""Records as the database has them, and back."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from matrix.results.history.records import LONGEST_TEXT, MOST, outcome, stored

METRICS = [{"name": "n", "value": 1.0, "unit": "s"}]


def case(**more: Any) -> dict[str, Any]:
    head = {"id": "a.b", "scenario": "a", "suite": "s", "test": "b", "axes": {"arch": "arm"}}
    return {**head, "verdict": "pass", "seconds": 1.5, "attempts": [], **more}


def written(**more: Any) -> dict[str, Any]:
    """The columns of the result of such a case."""
    return stored(case(**more)).result


def test_what_is_said_elsewhere_is_left_out() -> None:
    """In other columns, by the case of an attempt, or by being empty; and the paths of artifacts
    are another directory's by the time that they are read."""
    alike = {"verdict": "pass", "reason": "3 tests", "seconds": 1.5, "metrics": METRICS}
    attempt = {"number": 1, **alike, "hops": None, "artifacts": "cases/a.b"}
    more: dict[str, Any] = {
        "subtests": [],
        "hops": None,
        "artifacts": "cases/a.b",
        "command": "x.sh",
    }
    planned = {"image": "boot.elf", "arguments": "", "timeout": 90.0}
    found = stored(
        case(
            **alike, **more, **planned, suite_revision="abc", accelerator="tcg", attempts=[attempt]
        )
    )
    metrics = '[{"name":"n","value":1.0,"unit":"s"}]'
    text = f'{{"attempts":[{{"number":1}}],"reason":"3 tests","metrics":{metrics}}}'
    axes = '{"arch":"arm"}'
    assert found.case == {
        "case_id": "a.b",
        "scenario": "a",
        "suite": "s",
        "test": "b",
        "axes": axes,
    }
    assert found.planned == '{"image":"boot.elf","timeout":90.0}'
    head = {"case": "a.b", "verdict": "pass", "attempts": None, "seconds": 1.5}
    assert found.result == {**head, "record": text, "input_digest": None}
    del attempt["artifacts"], attempt["hops"]
    assert outcome("pass", 1.5, text)["attempts"] == [attempt]


def test_of_its_inputs_their_digest_is_kept() -> None:
    row = written(attempts=[{"number": 1}], inputs={"image": "12"}, input_digest="34")
    assert row["input_digest"] == "34"
    assert "12" not in str(row["record"])


def test_what_an_attempt_says_otherwise_is_kept() -> None:
    attempts = [
        {"number": 1, "verdict": "fail", "reason": "x", "seconds": 1.0, "metrics": METRICS},
        {"number": 2, "verdict": "pass", "reason": "", "seconds": 0.0, "metrics": []},
    ]
    found = written(verdict="flaky", reason="x", metrics=METRICS, attempts=attempts)
    assert (found["verdict"], found["attempts"]) == ("flaky", "fail pass")
    restored = outcome("flaky", 1.5, found["record"])["attempts"]
    assert [{key: each[key] for key in attempts[0]} for each in restored] == attempts


def test_a_key_of_a_later_version_is_kept() -> None:
    found = written(attempts=[{"number": 1, "weather": 3}], weather="fine", climate="")
    restored = outcome("pass", 1.5, found["record"])
    assert (restored["weather"], restored["attempts"][0]["weather"]) == ("fine", 3)


@given(st.text(), st.integers(0, 300), st.sampled_from(("subtests", "metrics", "broken")))
def test_whatever_is_written_is_bounded(text: str, times: int, name: str) -> None:
    more: dict[str, Any] = {"reason": text * times * 20, name: [text] * times * 10}
    restored = outcome("pass", 1.5, written(**more)["record"])
    assert len(restored.get(name, ())) == min(MOST[name], len(more[name]))
    reason, given = restored.get("reason", ""), more["reason"]
    assert "\0" not in reason
    if len(given) <= LONGEST_TEXT:
        assert reason.replace("\\x00", "\0") == given.replace("\\x00", "\0")
    else:
        assert reason.endswith("…")
