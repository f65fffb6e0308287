"""The history as people and programs read it."""

import json
from typing import Any

import pytest

from matrix.results.history.database import opened
from matrix.results.history.history_json import write_document
from matrix.results.history.history_text import case_lines, cases_lines, history_lines
from matrix.results.history.past import History
from matrix.results.history.place import Database
from matrix.results.history.query import read_history
from matrix.results.history.writer import record_run
from matrix.results.printable import display_width
from matrix.results.segments import plain
from tests import make
from tests.conftest import Golden
from tests.results.history.conftest import Nights


@pytest.fixture
def nights(sqlite: Database, night: Nights, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Twelve nights in which everything happens that is told of."""
    monkeypatch.setattr("matrix.results.history.writer.run_key", lambda record: _key(record))
    for day in range(1, 13):
        broken = day >= 9
        tests: dict[str, Any] = {
            "timer": make.attempt(
                "fail" if broken else "pass",
                "1 of 3 subtests failed: latency: 12 ms" if broken else "3 tests",
                seconds=2.0 + day / 100,
                metrics=(
                    ("timer: latency: median", 48_000.0 + 100 * day, "ns"),
                    ("timer: latency: p99", 120_000.0 if day < 8 else 350_000.0, "ns"),
                ),
            ),
            "slow": make.attempt(seconds=4.0 if day < 8 else 9.0 + day / 10),
            "race": make.attempt("fail", "lost one") if day in (3, 6, 7) else make.attempt(),
            "mte": "no such CPU property: mte",
            "gic": make.attempt("crash", "QEMU died of SIGABRT"),
            "psci": [make.attempt(), make.attempt("timeout" if day == 12 else "pass", "hung")],
        }
        record_run(
            sqlite,
            night(
                tests,
                day=day,
                qemu="10.0.2 (Debian 1:10.0.2+ds-2)" if broken else "7.2.22",
                kernel="6.12.57" if broken else "6.1.0",
                revision=("1da1819e49" if day < 9 else "abcdef0123") * 4,
            ),
        )
    return sqlite


def _key(record: Any) -> str:
    return f"{record.info.started[:10].replace('-', '')}T213000-{record.info.started[8:10]}abcdef"


def ask(database: Database, pattern: str = "") -> History:
    with opened(database) as session:
        return read_history(session, pattern)


def narrow(text: str) -> str:
    assert max(map(display_width, text.splitlines())) <= 80
    return text


def test_all_runs(golden: Golden, nights: Database) -> None:
    golden("runs.txt", narrow(plain(history_lines(ask(nights), 80, 5))))


def test_several_cases(golden: Golden, nights: Database) -> None:
    golden("cases.txt", narrow(plain(cases_lines(ask(nights, "smoke.*").cases, 80, 20))))


@pytest.mark.parametrize("test", ["timer", "slow", "race", "gic", "mte", "psci"])
def test_one_case(golden: Golden, nights: Database, test: str) -> None:
    (case,) = ask(nights, test).cases
    golden(f"case-{test}.txt", narrow(plain(case_lines(case, 80, 5))))


def test_what_guests_print_is_harmless(sqlite: Database, night: Nights) -> None:
    hostile = "\x1b]0;title\x07 \x1b[2J \u202egnp.exe \x00"
    attempt = make.attempt("fail", hostile, metrics=((hostile, 1.0, hostile),))
    record_run(sqlite, night({"one": attempt}, hostname=hostile))
    history = ask(sqlite)
    for lines in (history_lines(history, 80, 5), case_lines(history.cases[0], 80, 5)):
        assert all(each.isprintable() for each in plain(lines).splitlines())


def test_the_document(nights: Database) -> None:
    parts: list[bytes] = []
    write_document(parts.append, ask(nights, "timer"), "/state/history.sqlite")
    document = json.loads(b"".join(parts))
    assert document["database"] == "/state/history.sqlite"
    assert document["runs_in_all"] == 12
    assert document["runs"][0]["counts"] == {"crash": 1, "pass": 4, "skip": 1}
    assert document["runs"][0]["matrix"]
    (case,) = document["cases"]
    assert case["id"] == "smoke.timer.x86_64.auto"
    assert case["results"][-1]["run"] == document["runs"][-1]["key"]
    assert case["results"][-1]["attempts"] == [{"verdict": "fail", "seconds": 2.12}]
    broke = case["broke"]
    assert (broke["last_good"][:8], broke["first_bad"][:8]) == ("20261108", "20261109")
    assert (broke["fixed"], broke["runs"]) == (None, 4)
    assert [each["what"] for each in broke["differences"]] == [
        "QEMU",
        "host kernel",
        "suite revision",
    ]
    assert case["flakiness"] == {"rate": 0.0, "changes": 0, "pairs": 10}
    assert case["seconds"]["change"] is None
    assert [each["change"] is None for each in case["metrics"]] == [True, False]


def test_the_document_of_all_is_json(nights: Database) -> None:
    parts: list[bytes] = []
    write_document(parts.append, ask(nights), "")
    document = json.loads(b"".join(parts))
    assert len(document["cases"]) == 6
