"""What ``matrix history`` takes over 1,000 runs of 1,000 cases in a file of SQLite.

Its target is a share of the release that kept a table for each part of a result: 11.4 s of CPU time
and 706 MB of memory for the latest 1,000 runs, with a file of 180 MB.
"""

import random
import resource
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.measure import MATRIX, report, spend
from matrix.inventory import Host
from matrix.results.history.connection import Row, Session, insertion
from matrix.results.history.database import opened
from matrix.results.history.key import sortable
from matrix.results.history.place import Database
from matrix.results.history.records import stored
from matrix.results.history.rows import environment_row, info_text, insert_results
from matrix.results.run_info import RunInfo, ScenarioSource

RUNS = CASES = 1000
FLAKY, FAILING = 0.02, 0.001
"""Share of cases that fail in one of ten runs, and of results of the others that fail."""

CPU_BOUND = 1.37
MEMORY_BOUND = 150.0
SIZE_BOUND = 180.0


def main() -> int:
    """Fill a database and ask it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.sqlite"
        with opened(Database(path), write=True) as session:
            fill(session)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = spend([*MATRIX, "history", "--last", "1000", "--database", str(path)])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        kept = [
            report("CPU time of matrix history --last 1000", cpu, CPU_BOUND, "s"),
            report("its peak memory", spent.peak_memory / 1e6, MEMORY_BOUND, "MB"),
            report("the file of a million results", path.stat().st_size / 1e6, SIZE_BOUND, "MB"),
            report("status", spent.status, 0, ""),
        ]
    return 0 if all(kept) else 1


def fill(session: Session) -> None:
    """Nightly runs, over some versions of QEMU and kernels."""
    chosen = random.Random(1)
    flaky = {case for case in range(CASES) if chosen.random() < FLAKY}
    cases = [made(case) for case in range(CASES)]
    session.write(insertion("cases", cases[0]["case"]), [each["case"] for each in cases])
    info = RunInfo("", Host("aarch64", "", 8, 2**34, cpu_model="Neoverse-N1"), hostname="builder")
    info = replace(info, scenarios=(ScenarioSource.of("kut", "kut.yaml", ""),))
    for number in range(1, RUNS + 1):
        started = sortable(datetime(2024, 1, 1, 21, 30, tzinfo=UTC) + timedelta(days=number))
        host = replace(info.host, kernel=f"6.12.{number // 120}")
        row = run_row(replace(info, started=started, host=host), number)
        session.write(insertion("runs", row), [row])
        results = []
        for index, case in enumerate(cases):
            fails = chosen.random() < (0.1 if index in flaky else FAILING)
            verdict = "skip" if index % 20 == 7 else "fail" if fails else "pass"
            planned, result = case[verdict]
            environment = environment_row(
                planned,
                host,
                qemu_version=f"10.0.{number // 150} (Debian 1:10.0.{number // 150}+ds-2)",
                accelerator="" if verdict == "skip" else "tcg",
                suite_revision=f"{number // 100:02}da1819e49fc4938985edca67df669099b4c87",
            )
            results.append((environment, {**result, "run": number}))
        insert_results(session, results)


def made(number: int) -> dict[str, Any]:
    """The row of a case, and by verdict what its plan says and the row of a result."""
    test = f"test-{number:04}"
    head: dict[str, Any] = {
        "id": f"kut.{test}.aarch64.tcg",
        "scenario": "kut",
        "suite": "kvm-unit-tests",
    }
    head |= {"test": test, "axes": {"arch": "aarch64", "accel": "tcg", "qemu": "system"}}
    plan = {"image": f"arm/{test}.flat", "arguments": "-append x", "timeout": 90.0, "vcpus": 1}
    failed = [{"name": "latency", "verdict": "fail", "message": "12 ms"}]
    told: dict[str, tuple[str, dict[str, Any]]] = {
        "pass": ("3 tests", {"subtest_counts": {"pass": 3}}),
        "fail": ("1 of 3 failed", {"subtest_counts": {"pass": 2, "fail": 1}, "subtests": failed}),
        "skip": ("no such CPU property: mte", {"skip_cause": "test"}),
    }
    found: dict[str, Any] = {}
    for verdict, (reason, more) in told.items():
        seconds = 0.0 if verdict == "skip" else round(1 + number / 777, 6)
        outcome = {"verdict": verdict, "reason": reason, "seconds": seconds}
        attempts = [{"number": 1, **outcome}] if verdict != "skip" else []
        case, planned, result = stored({**head, **plan, **more, **outcome, "attempts": attempts})
        found |= {"case": case, verdict: (planned, result)}
    return found


def run_row(info: RunInfo, number: int) -> Row:
    """The row of a run."""
    return {
        "id": number,
        "key": f"{info.started[:10].replace('-', '')}T213000-{number:08x}",
        "started": info.started,
        "finished": True,
        "hostname": info.hostname,
        "exit_code": 1,
        "elapsed": 640.5,
        "directory": f"/ci/runs/{number}",
        "counts": '{"pass":946,"fail":4,"skip":50}',
        "info": info_text(info),
    }


if __name__ == "__main__":
    sys.exit(main())
