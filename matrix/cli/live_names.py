"""Short names of cases for a live view: what all cases of a run share is left out."""

from collections.abc import Iterable

from matrix.model import Case
from matrix.results.labels import axis_labels
from matrix.results.printable import printable
from matrix.scenario.axes import BARE_AXES


def live_names(cases: Iterable[Case]) -> dict[str, str]:
    """``timer aarch64 qemu=11.1`` by the id of each case: the test, and what tells it apart.

    A narrow terminal cuts long names, and ids begin with what they have in common.
    """
    parts = {case.id: _parts(case) for case in cases}
    seen: dict[str, set[str]] = {}
    for each in parts.values():
        for name, text in each.items():
            seen.setdefault(name, set()).add(text)
    telling = {
        name
        for name, texts in seen.items()
        if len(texts) > 1 or any(name not in each for each in parts.values())
    }
    return {
        case_id: printable(
            " ".join(text for name, text in each.items() if name in telling or name == "test")
        )
        for case_id, each in parts.items()
    }


def _parts(case: Case) -> dict[str, str]:
    axes = {
        f"axis {name}": text if name in BARE_AXES else f"{name}={text}"
        for name, text in axis_labels(case.variant).items()
    }
    return {"scenario": case.scenario, "test": case.test.name, **axes}
