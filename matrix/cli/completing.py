"""Values that a shell completes: architectures, axes, scenarios, runs and cases.

A completion says nothing of what is wrong: without an answer there is none. Whatever it needs is
imported when it is asked for.
"""

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matrix.errors import MatrixError
from matrix.results.latest import LATEST, PLACES, run_named

MOST = 2000
"""Cases that are offered; a shell asks before it shows so many."""


def architectures(incomplete: str) -> list[str]:
    """Names of architectures, and their aliases once one is begun."""
    from matrix.model import ARCHITECTURE_ALIASES, Architecture

    names = [each.value for each in Architecture]
    return _begun(incomplete, [*names, *ARCHITECTURE_ALIASES] if incomplete else names)


def accelerators(incomplete: str) -> list[str]:
    """What ``--accel`` takes."""
    from matrix.model import Accelerator

    return _begun(incomplete, [each.value for each in Accelerator])


def axes(incomplete: str) -> list[str]:
    """``AXIS=``, and then the axis' values, where those are known."""
    from matrix.scenario.axes import AXES

    name, equals, value = incomplete.partition("=")
    if not equals:
        return _begun(incomplete, [f"{axis}=" for axis in AXES])
    known = AXES[name].shape.get("enum", ()) if name in AXES else ()
    given = "".join(value.rpartition(",")[:2])
    return _begun(incomplete, [f"{name}={given}{each}" for each in known])


def scenarios(incomplete: str) -> list[str]:
    """Names of scenarios, and YAML files."""
    from matrix.scenario.shipped import scenarios as named

    names = [path.stem for path in named()]
    if incomplete:
        begun = glob.escape(incomplete)
        for pattern in (f"{begun}*.yaml", f"{begun}*/*.yaml"):
            names += glob.glob(pattern)  # noqa: PTH207 - Path.glob() takes no absolute pattern
    return _begun(incomplete, names)


def runs(incomplete: str) -> list[str]:
    """Run directories here and in ``runs/``, the newest name first, and ``latest``."""
    found = sorted(
        (str(each.parent) for place in PLACES for each in Path().glob(place)), reverse=True
    )
    return _begun(incomplete, [LATEST, *found])


def cases(ctx: Any, incomplete: str) -> list[str]:
    """Ids of the cases of the run that is named before."""
    from matrix.results.run_record import load_run

    run = ctx.params.get("run")
    try:
        path = run_named(Path(run or LATEST))
        ids = [decision.case.id for decision in load_run(path).decisions] if path else []
    except MatrixError:
        return []
    return [each for each in ids if incomplete in each][:MOST]


def debugged(ctx: Any, incomplete: str) -> list[str]:
    """Runs and scenarios, and behind a run its cases."""
    words = ctx.params.get("words")
    if not words:
        return [*runs(incomplete), *scenarios(incomplete)]
    ctx.params["run"] = words[0]
    return cases(ctx, incomplete)


def _begun(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]
