"""A scenario file → a Scenario, or a ScenarioError with everything that is wrong with it.

Three layers, each of which reports all it finds: the text is YAML (:mod:`.document`), the keys and
values are those of the format (:mod:`.schema`), and together they mean something (here).
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from matrix.errors import Place, Problem, ScenarioError
from matrix.model import OnStall, RunSettings
from matrix.scenario import document, schema, template, validation
from matrix.scenario.axes import AXES
from matrix.scenario.document import Node, Scalar, Sequence, node_at
from matrix.scenario.fields import Section
from matrix.scenario.given_files import GivenFile, read_given, read_named
from matrix.scenario.hosts import hosts_of
from matrix.scenario.migration import MigrationNodes, migration_of, problems_of
from matrix.scenario.migration_schema import MigrationSection
from matrix.scenario.scenario import Entry, KnownFailure, Matrix, Scenario, SuiteSelection
from matrix.scenario.variants import MAX_VARIANTS, Resolution, count_combinations, resolve
from matrix.scenario.wording import quoted
from matrix.suites.registry import KINDS

BUILTIN = "builtin"
"""The ``build`` that stands for the embedded guests."""

_RELATIVE = "give a path relative to this file"
_OUTSIDE = (
    "leave it out and name it with --build or in the host file, or use a ${VARIABLE} that you set"
)
_EXPECTATIONS = re.compile(rb"""^[\s{]*["']?expect["']?\s*:""", re.MULTILINE)
"""What a file of known failures has, and files of another kind have not."""


def with_known(scenario: Scenario, files: Iterable[Path]) -> Scenario:
    """The scenario with what files of known failures hold, beside what it knows itself.

    Raises:
        ScenarioError: one cannot be read, or anything in one is wrong; has every problem.
    """
    known = list(scenario.known)
    problems: list[Problem] = []
    for path in files:
        more, found = _expectations(_given(path).data, path)
        known += more
        problems += found
    if problems:
        raise ScenarioError(problems)
    return replace(scenario, known=tuple(known))


def read_scenario(
    data: bytes, file: str, directory: Path, variables: Mapping[str, str]
) -> Scenario:
    """The scenario in ``data``; ``file`` is its name, and paths in it start at ``directory``.

    Raises:
        ScenarioError: anything is wrong; has every problem, each with its line.
    """
    root, found = document.parse_document(data, file)
    if root is None:
        raise ScenarioError(found)
    shape = _Shape(root)
    problems = [*found, *(finding.problem for finding in shape.findings if finding.problem)]
    suite = _suite(shape, directory, variables, problems)
    matrix, resolution = _matrix(shape, problems)
    section = shape.section("migration", MigrationSection)
    if matrix is not None:
        alone = _may_be_alone(shape)
        nodes = MigrationNodes(root, section, matrix, resolution.variants, alone)
        problems += problems_of(nodes)
    hosts = tuple(hosts_of(root, not shape.is_wrong("hosts"), directory, variables, problems))
    files = _expect(shape, problems)
    known = tuple(_known(files, directory, problems))
    if problems or suite is None or matrix is None or shape.whole is None:
        raise ScenarioError(dict.fromkeys(problems))
    run = shape.whole.run
    return Scenario(
        name=shape.whole.name,
        description=shape.whole.description or "",
        suite=suite,
        matrix=matrix,
        variants=resolution.variants,
        exclusions=resolution.exclusions,
        settings=_settings(run) if run else RunSettings(),
        source=root.place,
        text=data.decode("utf-8", "replace"),
        migration=migration_of(section) if section else None,
        expect=tuple(node.text for node in files),
        known=known,
        hosts=hosts,
        places=(*_filter_places(root), *_value_places(root)),
    )


def _may_be_alone(shape: "_Shape") -> bool:
    """See :attr:`matrix.scenario.migration.MigrationNodes.may_be_alone`."""
    run = shape.section("run", schema.RunSection)
    return bool(run.alone) if run is not None else node_at(shape.root, ("run",)) is not None


def unreadable(path: Path, error: OSError | ValueError) -> ScenarioError:
    """What there is to say of a file that cannot be read."""
    why = (error.strerror if isinstance(error, OSError) else "") or str(error)
    allowed = "give the path of a YAML file, or a name that matrix scenarios lists"
    problem = Problem(Place(str(path)), f"cannot be read: {why}", allowed)
    return ScenarioError([problem])


def _given(path: Path) -> GivenFile:
    try:
        return read_given(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


class _Shape:
    """What is known of a file whose shape was checked: all of it, or the sections that are right.

    That one section is wrong does not keep the others' meaning from being checked.
    """

    def __init__(self, root: Node) -> None:
        self.root = root
        self.whole, self.findings = validation.check(root, schema.ScenarioSection)
        self._wrong = {finding.path[0] if finding.path else "" for finding in self.findings}

    def section(self, key: str, model: type[validation.AnySection]) -> validation.AnySection | None:
        """The values of a top-level key, None where anything in it is wrong or missing."""
        node = node_at(self.root, (key,))
        return None if node is None or self.is_wrong(key) else validation.read_section(model, node)

    def is_wrong(self, key: str) -> bool:
        """Whether anything in a top-level key is wrong."""
        return bool(self._wrong & {key, ""})


def _suite(
    shape: _Shape, directory: Path, variables: Mapping[str, str], problems: list[Problem]
) -> SuiteSelection | None:
    build = _build(shape.root, directory, variables, problems)
    node = node_at(shape.root, ("suite", "build"))
    section = shape.section("suite", schema.SuiteSection)
    if section is None:
        return None
    return SuiteSelection(
        kind=section.kind,
        build=build,
        tests=tuple(section.tests or ()),
        groups=tuple(section.groups or ()),
        exclude=tuple(section.exclude or ()),
        max_smp=section.max_smp,
        written=node.text if isinstance(node, Scalar) else "",
    )


def _build(
    root: Node, directory: Path, variables: Mapping[str, str], problems: list[Problem]
) -> str:
    """``build`` with variables filled in, and made absolute; empty where there is none, or a
    problem."""
    node = node_at(root, ("suite", "build"))
    if not isinstance(node, Scalar):
        return ""
    if refusals := list(template.path_refusals(node.text, variables, _OUTSIDE)):
        problems += [
            Problem(node.place, f"build: {refused.message}", refused.allowed)
            for refused in refusals
        ]
        return ""
    if node.text == BUILTIN:
        name = node_at(root, ("suite", "kind"))
        kind = KINDS.get(name.text) if isinstance(name, Scalar) else None
        if kind is not None and not kind.embedded:
            message = f"build: no build of kind {quoted(kind.name)} comes with this program"
            problems.append(Problem(node.place, message, "give the path of one"))
        return node.text
    filled = template.fill(node.text, variables)
    return os.path.abspath(directory / filled)  # noqa: PTH100  # absolute() keeps "..", resolve() follows links


def _settings(run: schema.RunSection) -> RunSettings:
    given = run.model_dump(exclude_unset=True)
    patterns = tuple(given.pop("fail_on_skip", ()))
    on_stall = OnStall(given.pop("on_stall", OnStall.END))
    return RunSettings(**given, fail_on_skip=patterns, on_stall=on_stall)


def _expect(shape: _Shape, problems: list[Problem]) -> list[Scalar]:
    """The paths under ``expect`` that can be read."""
    node = node_at(shape.root, ("expect",))
    if not isinstance(node, Sequence) or shape.is_wrong("expect"):
        return []
    files = []
    for item in node.items:
        if not isinstance(item, Scalar):
            continue
        if "${" in item.text or item.text.startswith("~/"):
            message = f"expect: {quoted(item.text)}: neither variables nor '~' are filled in here"
            problems.append(Problem(item.place, message, _RELATIVE))
        elif template.leaves_tree(item.text):
            message = f"expect: {quoted(item.text)} leads outside the scenario's folder"
            problems.append(Problem(item.place, message, _RELATIVE))
        else:
            files.append(item)
    return files


def _known(files: list[Scalar], directory: Path, problems: list[Problem]) -> Iterator[KnownFailure]:
    """What the files of known failures hold."""
    for file in files:
        path = directory / file.text
        try:
            data = read_named(path, directory)
        except (OSError, ValueError) as error:
            why = unreadable(path, error).problems[0].message
            message = f"expect: {quoted(file.text)} {why}"
            problems.append(Problem(file.place, message, _RELATIVE))
            continue
        known, found = _expectations(data, path)
        problems += found
        yield from known


def _expectations(data: bytes, path: Path) -> tuple[tuple[KnownFailure, ...], tuple[Problem, ...]]:
    """The known failures in ``data``; nothing is quoted of a file that is not one of those."""
    if data.strip() and not _EXPECTATIONS.search(data):
        message = "is not a file of known failures: it has no key 'expect'"
        return (), (Problem(Place(str(path)), message, "see docs/expectations.md"),)
    from matrix.scenario.expectations import read_expectations

    return read_expectations(data, str(path))


def _matrix(shape: _Shape, problems: list[Problem]) -> tuple[Matrix | None, Resolution]:
    nothing = Resolution((), ())
    section = shape.section("matrix", schema.MatrixSection)
    node = node_at(shape.root, ("matrix",))
    if section is None or not isinstance(node, document.Mapping):
        return None, nothing
    matrix = Matrix(
        axes=tuple(
            (key.text, tuple(getattr(section, key.text)))
            for key, _ in node.entries
            if key.text in AXES
        ),
        include=_entries(section, "include"),
        exclude=_entries(section, "exclude"),
    )
    count = count_combinations(matrix)
    if count > MAX_VARIANTS:
        message = f"the axes have {count} combinations"
        problems.append(Problem(node.place, message, f"at most {MAX_VARIANTS}"))
        return None, nothing
    resolution = resolve(matrix)
    for flaw in resolution.flaws:
        entry = node_at(node, ("include", flaw.entry)) or node
        problems.append(Problem(entry.place, flaw.message, flaw.allowed))
    if not (resolution.variants or resolution.exclusions):
        where = node_at(node, ("exclude",)) or node
        hint = "leave at least one, or give a reason"
        problems.append(Problem(where.place, "every combination is excluded", hint))
    return matrix, resolution


def _entries(matrix: Section, key: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            values=tuple(
                (name, getattr(section, name)) for name in AXES if name in section.model_fields_set
            ),
            reason=getattr(section, "reason", None) or "",
        )
        for section in getattr(matrix, key) or ()
    )


def _value_places(root: Node) -> Iterator[tuple[str, Place]]:
    """Where the values of axes stand that only QEMU can judge."""
    include = node_at(root, ("matrix", "include"))
    entries = len(include.items) if isinstance(include, Sequence) else 0
    # The first place of a value counts, as a dict keeps the last one.
    for axis in ("cpu", "machine", "kernel"):
        for index in reversed(range(entries)):
            yield from _scalar_places(axis, node_at(root, ("matrix", "include", index, axis)))
        yield from _scalar_places(axis, node_at(root, ("matrix", axis)))
    machine = node_at(root, ("migration", "destination", "machine"))
    yield from _scalar_places("destination.machine", machine)


def _scalar_places(axis: str, node: Node | None) -> Iterator[tuple[str, Place]]:
    for item in reversed(node.items) if isinstance(node, Sequence) else (node,):
        if isinstance(item, Scalar):
            yield f"{axis}={item.text}", item.place


def _filter_places(root: Node) -> Iterator[tuple[str, Place]]:
    for key in ("tests", "groups"):
        node = node_at(root, ("suite", key))
        if isinstance(node, Sequence):
            for index, item in enumerate(node.items):
                yield f"{key}[{index}]", item.place
