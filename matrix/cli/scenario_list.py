"""``matrix scenarios``: the scenarios that have a name, one line each."""

import json as json_module
from pathlib import Path
from typing import Any

import yaml

from matrix.cli.standard_output import standard_output, write_text
from matrix.results.printable import printable
from matrix.results.segments import line, wrapped
from matrix.scenario.shipped import scenarios


def run_scenarios(*, json: bool) -> None:
    """Print every scenario with what it is for, and whether it needs builds of the user."""
    found = [_entry(path) for path in scenarios()]
    if json:
        write_text(json_module.dumps({"scenarios": found}, indent=2) + "\n")
        return
    output = standard_output()
    width = max((len(entry["name"]) for entry in found), default=0)
    for entry in found:
        mark = " " if entry["builtin"] or not entry["kind"] else "*"
        name = printable(f"{entry['name']:{width}} {mark} ")
        output.say(wrapped(entry["description"], output.width, " " * len(name), first=name))
    output.say([line("* runs builds of yours: --build ARCH=DIR, or the host file")])


def _entry(path: Path) -> dict[str, Any]:
    """Name, file, description, and kind of the suite; a broken file says that it is one."""
    entry = {"name": path.stem, "file": str(path), "description": "", "kind": "", "builtin": False}
    try:
        document = yaml.safe_load(path.read_bytes())
        suite = document["suite"]
        entry["description"] = str(document.get("description", ""))
        entry["kind"], entry["builtin"] = str(suite["kind"]), suite.get("build") == "builtin"
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError):
        entry["description"] = f"cannot be read; matrix list {path.stem} says why"
    return entry
