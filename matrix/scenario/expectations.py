"""A file of known failures → its entries as plain data, or everything that is wrong with it.

    expect:
      - cases: [debug, "pmu-*"]
        accel: [tcg]
        qemu: ">=7.2,<10.1"
        reason: "…"

It is read as a scenario is: the same YAML, places and wording, and all problems at once.
"""

from matrix.errors import Place, Problem
from matrix.model import Expectation
from matrix.scenario import check, document
from matrix.scenario.document import node_at
from matrix.scenario.expectation_schema import ExpectationSection, ExpectationsSection
from matrix.scenario.model import KnownFailure


def read_expectations(
    data: bytes, file: str
) -> tuple[tuple[KnownFailure, ...], tuple[Problem, ...]]:
    """The known failures in ``data``, or the problems that it has; ``file`` is its name.

    Nothing is raised, whatever the bytes.
    """
    root, found = document.parse_document(data, file)
    if root is None:
        return (), found
    whole, findings = check.check(root, ExpectationsSection)
    problems = dict.fromkeys(
        [*found, *(finding.problem for finding in findings if finding.problem)]
    )
    if problems or whole is None:
        return (), tuple(problems)
    known = []
    for index, section in enumerate(whole.expect):
        entry = node_at(root, ("expect", index)) or root
        nodes = [node_at(entry, ("cases", number)) for number in range(len(section.cases))]
        places = tuple((node or entry).place for node in nodes)
        known.append(
            KnownFailure(_expectation(section, entry.place), places, whole.suite_revision or "")
        )
    return tuple(known), ()


def _expectation(section: ExpectationSection, place: Place) -> Expectation:
    given = {
        name: tuple(value)
        for name, value in section
        if isinstance(value, list)  # what is not given is None, and has its default
    }
    where = f"{place.file}:{place.line}".encode(errors="backslashreplace").decode()
    return Expectation(place=where, reason=section.reason, **given)
