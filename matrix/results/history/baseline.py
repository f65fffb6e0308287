"""A recorded run as a side of a comparison: ``history:RUN``, ``history:latest[:SCENARIO]``."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from matrix.errors import HostError, UsageError
from matrix.inventory import Host, KvmProof, KvmState
from matrix.model import Architecture
from matrix.results.compare.sides import StoredRun
from matrix.results.fingerprint import QemuFingerprint, RunInfo, ScenarioSource
from matrix.results.history import schema
from matrix.results.history.key import PREFIX
from matrix.results.json_text import json_bytes
from matrix.results.printable import printable

LATEST = "latest"

MOST_NAMES = 3
"""Runs that a message names."""

_Key = tuple[int, int]
"""The numbers of a case and an attempt."""


def recorded_run(
    connection: Connection,
    name: str,
    *,
    scenarios: Collection[str] = (),
    other_than: str = "",
) -> StoredRun:
    """The recorded run that is meant.

    Args:
        connection: to the history.
        name: ``history:`` and a run's name or the begin of it, or ``latest``, or ``latest:`` and
            the name of a scenario.
        scenarios: for ``latest`` without one, the run must have one of these; empty for any.
        other_than: name of a run that ``latest`` does not mean: the one it is compared with.

    Raises:
        UsageError: there is no such run, or several.
        HostError: what is recorded of it is not what this program writes.
    """
    wanted = name.removeprefix(PREFIX)
    latest, _, scenario = wanted.partition(":")
    if latest == LATEST:
        row = _latest(connection, [scenario] if scenario else sorted(scenarios), other_than)
    else:
        row = _named(connection, wanted)
    try:
        info = _info(connection, row)
        return StoredRun(f"{PREFIX}{row.key}", info, _results(connection, row.id))
    except (ValueError, KeyError) as error:
        raise HostError(
            f"what the history has of run {row.key} is not what this program writes: "
            f"{printable(str(error).partition(chr(10))[0])}"
        ) from error


def _latest(connection: Connection, scenarios: list[str], other_than: str) -> Row[Any]:
    """The latest run that finished."""
    runs = schema.runs
    query = select(runs).where(runs.c.finished.is_(True), runs.c.key != other_than)
    if scenarios:
        names = select(schema.scenarios.c.run).where(schema.scenarios.c.name.in_(scenarios))
        query = query.where(runs.c.id.in_(names))
    row = connection.execute(query.order_by(runs.c.started.desc(), runs.c.id.desc())).first()
    if row is None:
        of = f" of scenario {', '.join(map(printable, scenarios))}" if scenarios else ""
        other = " but the one to compare it with" if other_than else ""
        raise UsageError(f"{PREFIX}{LATEST}: no finished run{of} is recorded{other}")
    return row


def _named(connection: Connection, name: str) -> Row[Any]:
    runs = schema.runs
    if not name:
        raise UsageError(f"{PREFIX} which run? Write {PREFIX}{LATEST}, or a run of matrix history")
    query = select(runs).where(runs.c.key.startswith(name, autoescape=True))
    rows = connection.execute(query.order_by(runs.c.key)).all()
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise UsageError(
            f"{PREFIX}{printable(name)}: no such run is recorded; matrix history lists them"
        )
    names = ", ".join(row.key for row in rows[:MOST_NAMES])
    more = ", …" if len(rows) > MOST_NAMES else ""
    raise UsageError(f"{PREFIX}{printable(name)}: {len(rows)} runs begin so: {names}{more}")


def _info(connection: Connection, row: Row[Any]) -> RunInfo:
    def of_run(table: Any) -> list[Row[Any]]:
        return list(connection.execute(select(table).where(table.c.run == row.id)))

    return RunInfo(
        started=row.started,
        host=Host(
            architecture=row.host_architecture,
            kernel=row.host_kernel,
            cpus=row.host_cpus,
            memory=row.host_memory,
            cpu_vendor=row.cpu_vendor,
            cpu_model=row.cpu_model,
            kvm_device=row.kvm_device,
        ),
        tool_version=row.tool_version,
        hostname=row.hostname,
        scenarios=tuple(
            ScenarioSource(each.name, each.file, "", each.sha256)
            for each in of_run(schema.scenarios)
        ),
        binaries=tuple(
            QemuFingerprint(
                qemu=each.qemu,
                architecture=Architecture(each.architecture),
                path=each.path,
                version=each.version,
                accelerators=tuple(each.accelerators.split()),
                sha256=each.sha256,
            )
            for each in of_run(schema.binaries)
        ),
        proofs=tuple(
            KvmProof(
                each.qemu,
                Architecture(each.architecture),
                each.cpu,
                KvmState(each.state),
                each.reason,
            )
            for each in of_run(schema.proofs)
        ),
    )


def _results(connection: Connection, run: int) -> Iterator[bytes]:
    """Each case as in ``results.json``."""
    cases, results = schema.cases, schema.results
    query = (
        select(
            cases.c.id.label("number"),
            cases.c.case_id.label("id"),
            cases.c.scenario,
            cases.c.suite,
            cases.c.test,
            cases.c.axes,
            results.c.verdict,
            results.c.reason,
            results.c.seconds,
            results.c.accelerator,
            results.c.suite_revision,
            results.c.skip_cause,
        )
        .join_from(results, cases, results.c.case == cases.c.id)
        .where(results.c.run == run)
        .order_by(cases.c.id)
    )
    rows = list(connection.execute(query).mappings())
    attempts = _attempts(connection, run, {row["number"]: row["reason"] for row in rows})
    for row in rows:
        made = attempts.get(row["number"], [])
        yield json_bytes({**row, "axes": json.loads(row["axes"]), "attempts": made})


def _attempts(
    connection: Connection, run: int, reasons: Mapping[int, str]
) -> dict[int, list[dict[str, Any]]]:
    """Of each case, in order."""
    subtests, metrics = _subtests(connection, run), _metrics(connection, run)
    migrations = _migrations(connection, run)
    table = schema.attempts
    found: dict[int, list[dict[str, Any]]] = {}
    query = select(table).where(table.c.run == run).order_by(table.c.number)
    for row in connection.execute(query).mappings():
        key = (row["case"], row["number"])
        reason = reasons[row["case"]] if row["reason"] is None else row["reason"]
        found.setdefault(row["case"], []).append(
            {
                **row,
                "reason": reason,
                "subtest_counts": json.loads(row["subtest_counts"]),
                "subtests": subtests.get(key, ()),
                "metrics": metrics.get(key, ()),
                "hops": migrations.get(key),
            }
        )
    return found


def _subtests(connection: Connection, run: int) -> dict[_Key, list[dict[str, Any]]]:
    table = schema.subtests
    found: dict[_Key, list[dict[str, Any]]] = {}
    query = select(table).where(table.c.run == run).order_by(table.c.position)
    for row in connection.execute(query).mappings():
        found.setdefault((row["case"], row["attempt"]), []).append(dict(row))
    return found


def _metrics(connection: Connection, run: int) -> dict[_Key, list[dict[str, Any]]]:
    table, names = schema.measurements, schema.metrics
    query = (
        select(table.c.case, table.c.attempt, names.c.name, table.c.value, names.c.unit)
        .join_from(table, names, table.c.metric == names.c.id)
        .where(table.c.run == run)
        .order_by(names.c.id, table.c.ordinal)
    )
    found: dict[_Key, list[dict[str, Any]]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault((row["case"], row["attempt"]), []).append(dict(row))
    return found


def _migrations(connection: Connection, run: int) -> dict[_Key, dict[str, Any]]:
    table = schema.statistics
    statistics: dict[_Key, list[dict[str, Any]]] = {}
    for row in connection.execute(select(table).where(table.c.run == run)).mappings():
        statistics.setdefault((row["case"], row["attempt"]), []).append(dict(row))
    table = schema.migrations
    rows = connection.execute(select(table).where(table.c.run == run)).mappings()
    return {
        (row["case"], row["attempt"]): {
            **row,
            "seed": int(row["seed"]),
            "statistics": statistics.get((row["case"], row["attempt"]), ()),
            "broken": json.loads(row["broken"]) or (),
        }
        for row in rows
    }
