#!/usr/bin/env bash
# kcidb-io 141 (PyPI), schema 5.3: a second report of a test, under the id of the first, is no correction of it.
# dedup(), which does as "databases are expected to" (its words), neither takes the later one nor
# prefers a result over none: for each field that both have it throws a coin, so that half of the time the
# old status is kept, and status, duration and log of two runs are mixed into one that nobody has seen. So a
# test that ran again needs an id of its own, and a running one must not be reported until it is over. validate()
# takes a report with both.
#
#   {"status": "MISS", "duration": 0} and then {"status": "PASS", "duration": 9}, 400 times (seen):
#   MISS 0: 93   MISS 9: 110   PASS 0: 98   PASS 9: 99
#
# Makes a virtual environment in a temporary folder; fails if one of the four does not come.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install kcidb-io==141
"$work/venv/bin/python" - <<'PYTHON'
import collections, sys

from kcidb_io.schema import V5_3


def report(status: str, duration: int) -> dict:
    test = {"id": "us:1", "origin": "us", "build_id": "us:build", "status": status, "duration": duration}
    return {"version": {"major": 5, "minor": 3}, "tests": [test]}


both = V5_3.validate(V5_3.merge(report("MISS", 0), [report("PASS", 9)]))
seen = collections.Counter()
for _ in range(400):
    (test,) = V5_3.dedup(both)["tests"]
    seen[test["status"], test["duration"]] += 1
print(len(both["tests"]), "tests of one id become", dict(seen))
sys.exit(set(seen) != {("MISS", 0), ("MISS", 9), ("PASS", 0), ("PASS", 9)})
PYTHON
