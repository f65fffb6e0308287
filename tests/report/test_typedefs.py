"""The types that the page's scripts are checked with are those of the data that Python packs."""

import base64
import gzip
import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from matrix.migrating import MigrationSummary
from matrix.report.gather import gather
from matrix.report.past_runs import past_document
from matrix.results.history.database import opened
from matrix.results.history.place import Database
from matrix.results.history.writer import record_run
from tests import make
from tests.report.conftest import RunMaker

TYPEDEF = re.compile(r"@typedef \{object\} (\w+)\n((?: \* @property .*\n)+)")
PROPERTY = re.compile(r"@property \{.*\} (\w+)")

ADDED = {"size", "numbers"}
"""What the script itself adds to the index."""


def properties() -> dict[str, set[str]]:
    """The names of the properties that are never missing, by the type's name."""
    assets = resources.files("matrix.report") / "assets"
    texts = (each.read_text("utf-8") for each in assets.iterdir() if each.name.endswith(".js"))
    return {
        name: set(PROPERTY.findall(lines))
        for text in texts
        for name, lines in TYPEDEF.findall(text)
    }


def unpacked(chunk: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(chunk)))


def test_what_the_scripts_take_is_what_the_page_has(
    recorded: RunMaker,
    write_hops: Callable[..., Path],
    summary: MigrationSummary,
    tmp_path: Path,
) -> None:
    hops = {"hops.jsonl": write_hops(20, bad=[7]).read_bytes(), "console.log": "a word\n"}
    attempt = make.attempt("fail", "1 of 20 hops failed", migration=summary)
    record = recorded([(make.run(make.case("boot")), attempt, hops)])
    found = gather([record], tmp_path / "run/report.html")
    index: Any = found.index({})
    (details,) = unpacked(found.details.packer.chunks[0])
    (migrated,) = unpacked(found.migrations.packer.chunks[0])
    types = properties()
    for name, value in {
        "Index": index,
        "GridCell": index["grid"][0],
        "MigrationEntry": index["migrations"][0],
        "Details": details,
        "AttemptDetails": details["attempts"][0],
        "Hops": migrated,
        "Summary": migrated["summary"],
        "Hop": migrated["details"][0],
        "Samples": migrated["details"][0]["samples"],
    }.items():
        assert types[name] - ADDED <= set(value), name


def test_and_what_the_history_knows(recorded: RunMaker, tmp_path: Path) -> None:
    case = make.case("boot")
    database = Database(tmp_path / "history.sqlite")
    record_run(database, recorded([(make.run(case), make.attempt(), {})]))
    with opened(database) as session:
        past: Any = past_document(session, [case.id], [], last=5)
    types = properties()
    assert types["Past"] <= set(past)
    assert types["PastCase"] <= set(past["cases"][0])
