"""Rows of the history's tables, as recording a run and upgrading an old database write them."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from pydantic_core import from_json

from matrix.inventory import Host
from matrix.results.history.connection import Row, Session, insertion
from matrix.results.history.records import bounded, json_text, storable
from matrix.results.json_text import json_bytes
from matrix.results.run_info import RunInfo

_RESULT = """
INSERT INTO results (
    run, "case", environment, verdict, attempts, seconds, record, input_digest
) VALUES (
    :run, (SELECT id FROM cases WHERE case_id = :case),
    :environment, :verdict, :attempts, :seconds, :record, :input_digest
)
"""


def info_text(info: RunInfo) -> str:
    """``run.json`` as it is kept: without what only resuming the run needs."""
    scenarios = tuple(replace(each, text="") for each in info.scenarios)
    kept = replace(info, scenarios=scenarios, options={}, plan_sha256="")
    return json_text(bounded(from_json(json_bytes(kept))))


def environment_row(planned: str, host: Host, **facts: str) -> Row:
    """The row of ``environments``.

    Args:
        planned: what the plan says, as JSON.
        host: where the case ran.
        facts: ``qemu_version``, ``accelerator`` and ``suite_revision``.
    """
    facts |= {"kernel": host.kernel, "cpu_model": host.cpu_model}
    row: Row = {name: storable(fact) for name, fact in sorted(facts.items())}
    row["planned"] = planned
    digest = hashlib.sha256("\0".join(map(str, row.values())).encode()).digest()
    return {**row, "id": int.from_bytes(digest[:8]) >> 1}  # SQL's integers have a sign


def insert_results(session: Session, results: Sequence[tuple[Row, Row]]) -> None:
    """Write rows of ``results``, each with that of its environment; ``case`` is the case's id."""
    environments = list({row["id"]: row for row, _ in results}.values())
    insert = insertion("environments", environments[0])
    session.write(f"{insert} ON CONFLICT DO NOTHING", environments)
    session.write(_RESULT, [{**row, "environment": of["id"]} for of, row in results])
