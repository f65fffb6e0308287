"""From ``unittests.cfg`` to tests: values evaluated, restrictions of the build resolved.

What each key means is kvm-unit-tests' docs/unittests.txt and what its runner does with it; where
this differs (several lines in ``qemu_params``, ``disabled_if`` of a file's last test) its runner is
wrong.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from matrix.capabilities import Kind, Need
from matrix.errors import Place, Problem, SuiteError
from matrix.model import Architecture, Build, Test
from matrix.suites.build import CONFIGURE_NAMES, TESTS_NAME, read_config, unittests_file
from matrix.suites.cfg import Entry, Parsed, Section, is_name, parse_sections
from matrix.suites.config import CONFIG_NAME, Config
from matrix.suites.expansion import expand_words, is_true
from matrix.suites.shell import (
    ShellAnswer,
    ShellError,
    ShellKind,
    ShellRequest,
    evaluate,
)
from matrix.suites.shell_words import WordsError, needs_shell, split_words
from matrix.suites.suite import Warn, unheard
from matrix.suites.suite_files import is_file, read_text

NO_TIMEOUT = 7 * 86400.0
"""Seconds that stand for ``timeout = 0``, no limit: nothing hangs forever here."""

_WORD_KEYS = ("smp", "test_args", "qemu_params", "kvmtool_params")
_ACCELERATOR = re.compile(r"(?:kvm|tcg|hvf)(?:,\S+)?")
_SMP = re.compile(r"(?:cpus=)?([0-9]{1,6})(?:,(\S+))?")
_TIMEOUT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_T = TypeVar("_T")

_COMMAND = re.compile(r"`|\$\((?!\()")
"""A command substitution, as opposed to ``$((…))``, arithmetic."""

_DEVICE = re.compile(r"\{device:([a-z-]+)\}")
"""In ``qemu_params`` of the embedded guests: where on the host an assigned device is."""

_COMMENT = re.compile(r"(?:^|[ \t])#.*")


def read_tests(build: Build, *, max_smp: int, on_warning: Warn = unheard) -> tuple[Test, ...]:
    """The tests of a build, in the order of its ``unittests.cfg``.

    Tests that this build cannot run (of another architecture, disabled, image not built) are among
    them, with the reason in ``unsupported``. Values of external builds are evaluated by bash with
    the variables of ``config.mak`` and ``MAX_SMP`` where they need it; those of the embedded guests
    never are.

    Args:
        build: from :func:`matrix.suites.build.read_build`.
        max_smp: vCPUs that ``$MAX_SMP`` stands for, at least 1.
        on_warning: is given every line that is ignored; of the embedded guests none is.

    Raises:
        SuiteError: a file is missing or malformed; all of its mistakes at once.
    """
    return _read(build, max_smp, None, on_warning)


def refresh_test(build: Build, test: Test, *, max_smp: int) -> Test:
    """The same test with its values evaluated anew; for ``test.dynamic``, right before it runs.

    x86 ``kvmclock_test`` takes the host's clock as an argument and fails when that is 5 s old.

    Raises:
        SuiteError: the file is no longer readable, or no longer has the test.
    """
    section = test.name if "standalone" in build.own else test.name.removesuffix("_PV")
    for fresh in _read(build, max_smp, section, unheard):
        if fresh.name == test.name:
            return fresh
    message = f"test {test.name!r} is no longer in {TESTS_NAME}"
    raise SuiteError([Problem(Place(build.images), message)])


def _read(build: Build, max_smp: int, only: str | None, on_warning: Warn) -> tuple[Test, ...]:
    """All tests, or those of the section ``only``."""
    config = _config(build)
    parsed, unreadable = _parsed(build, config, only)
    sections, problems = parsed.sections, list(parsed.problems)
    if build.builtin:
        problems += parsed.ignored
    if only is not None:
        sections = tuple(section for section in sections if section.name == only)
    values = _evaluate(build, config, sections, max_smp, problems)
    ignored = [] if build.builtin else list(parsed.ignored)
    tests: list[Test] = []
    for section in sections:
        own: list[Problem] = []
        test = _Reader(build, section, values, own).test()
        if own and "standalone" in build.own:  # a file of its own: it takes no other test away
            test = replace(test, unsupported=f"its script cannot be read: {own[0].message}")
            ignored += own
        else:
            problems += own
        tests += [test, *_protected(build, config, test)]
    tests += unreadable
    if problems:
        raise SuiteError(problems)
    for warning in ignored:
        on_warning(warning)
    return tuple(_with_images_checked(tests))


def _parsed(build: Build, config: Config, only: str | None) -> tuple[Parsed, list[Test]]:
    """The sections, and tests of which nothing but their names can be read."""
    if "standalone" not in build.own:
        path = unittests_file(build, config)
        return parse_sections(read_text(path), str(path)), []
    from matrix.suites.standalone import read_scripts

    found = list(read_scripts(build, only))
    sections = tuple(each for each in found if isinstance(each, Section))
    problems = [each for each in found if isinstance(each, Problem)]
    unreadable = [
        Test(Path(each.place.file).name, "", unsupported=f"its script {each.message}")
        for each in problems
        if is_name(Path(each.place.file).name)
    ]
    return Parsed(sections, ignored=tuple(problems)), unreadable


def _config(build: Build) -> Config:
    if "standalone" in build.own:
        from matrix.suites.standalone import script_variables

        return script_variables(build)
    directory = Path(build.directory)
    if build.builtin and not is_file(directory / CONFIG_NAME):
        return Config(str(directory / CONFIG_NAME), {}, {})
    return read_config(directory)


@dataclass(frozen=True, slots=True)
class _Value:
    """An evaluated entry. ``failed`` says why evaluating it failed on this host, else empty."""

    words: tuple[str, ...] = ()
    status: int = 0
    failed: str = ""


_Values = dict[Place, _Value]
"""By the place of their entry, which is unique in a file."""


def _evaluate(
    build: Build,
    config: Config,
    sections: Sequence[Section],
    max_smp: int,
    problems: list[Problem],
) -> _Values:
    """Words and conditions of all sections; bash is started only if one of them needs it."""
    values: _Values = {}
    pending: list[tuple[Entry, ShellKind]] = []
    for entry in (entry for section in sections for entry in section.entries):
        if entry.key == "disabled_if" and _COMMENT.sub("", entry.value).strip():
            pending.append((entry, ShellKind.CONDITION))
        elif entry.key in _WORD_KEYS:
            if "standalone" in build.own or (needs_shell(entry.value) and not build.builtin):
                pending.append((entry, ShellKind.WORDS))
            else:
                values[entry.place] = _split(entry, problems)
    if build.builtin:
        problems += [
            Problem(entry.place, "the embedded guests have no conditions") for entry, _ in pending
        ]
        return values
    variables = {**config.values, "MAX_SMP": str(max_smp)}
    if "standalone" in build.own:
        return values | {entry.place: _expanded(entry, kind, variables) for entry, kind in pending}
    requests = [ShellRequest(kind, entry.value) for entry, kind in pending]
    try:
        answers = evaluate(requests, directory=Path(build.directory), variables=variables)
    except ShellError as error:
        entry = pending[min(error.answered, len(pending) - 1)][0]
        problems.append(Problem(entry.place, f"{entry.key}: {error}"))
        return values
    for (entry, kind), answer in zip(pending, answers, strict=True):
        values[entry.place] = _answered(entry, kind, answer, problems)
    return values


def _expanded(entry: Entry, kind: ShellKind, variables: Mapping[str, str]) -> _Value:
    """The value without a shell; what takes one is the test's own trouble."""
    try:
        if kind is ShellKind.CONDITION:
            return _Value(status=0 if is_true(entry.value, variables) else 1)
        return _Value(expand_words(entry.value, variables))
    except ValueError as error:
        return _Value(failed=f"its {entry.key} cannot be evaluated: {error}")


def _split(entry: Entry, problems: list[Problem]) -> _Value:
    try:
        return _Value(split_words(entry.value))
    except WordsError as error:
        problems.append(Problem(entry.place, f"{entry.key}: {error}", "close the quote"))
        return _Value()


def _answered(
    entry: Entry, kind: ShellKind, answer: ShellAnswer, problems: list[Problem]
) -> _Value:
    """The value that bash gave; a text that is no shell is the author's mistake, a Problem.

    A command that fails is not: it may only be missing on this host, and only this test needs it.
    """
    if not answer.valid:
        allowed = "a bash condition" if kind is ShellKind.CONDITION else "words for a shell"
        problems.append(Problem(entry.place, f"{entry.key}: {answer.message}", allowed))
    success = (0, 1) if kind is ShellKind.CONDITION else (0,)
    if answer.status in success:
        return _Value(answer.words, answer.status)
    said = answer.message or f"exit status {answer.status}"
    return _Value(answer.words, answer.status, f"its {entry.key} cannot be evaluated here: {said}")


class _Reader:
    """Turns one section into a test; what is wrong with it goes to ``problems``."""

    def __init__(
        self, build: Build, section: Section, values: _Values, problems: list[Problem]
    ) -> None:
        self.build = build
        self.section = section
        self.values = values
        self.problems = problems
        self.entries = {entry.key: entry for entry in section.entries}

    def test(self) -> Test:
        """The test as the section describes it."""
        smp, topology = self._checked("smp", _parse_smp, (1, ""))
        accelerator = self._checked("accel", _parse_accelerator, "").partition(",")
        qemu_params, appended = _without_arguments(self._words("qemu_params"))
        devices = _DEVICE.findall(" ".join(qemu_params)) if self.build.builtin else ()
        return Test(
            name=self.section.name,
            image=self._image(),
            arguments=" ".join(self._words("test_args")) if appended is None else appended,
            smp=smp,
            topology=topology,
            qemu_params=qemu_params,
            groups=tuple(self._text("groups").split()),
            machine=self._text("machine"),
            accelerator=accelerator[0],
            accelerator_properties=accelerator[2],
            needs=tuple(Need(Kind.DEVICE, name) for name in devices),
            checks=self._checked("check", _parse_checks, ()),
            timeout=self._checked("timeout", _parse_timeout, None),
            unsupported=self._unsupported(),
            kvmtool_params=self._words("kvmtool_params"),
            dynamic=self._dynamic(),
        )

    def _text(self, key: str) -> str:
        """A plain value, without a comment at its end."""
        entry = self.entries.get(key)
        if entry is None:
            return ""
        value = entry.value
        return (_COMMENT.sub("", value) if "#" in value else value).strip()

    def _words(self, key: str) -> tuple[str, ...]:
        entry = self.entries.get(key)
        value = self.values.get(entry.place) if entry else None
        return value.words if value else ()

    def _checked(self, key: str, parse: Callable[[str], _T], default: _T) -> _T:
        """A value that has a form; where it has not, a Problem and ``default``."""
        entry = self.entries.get(key)
        if entry is None or (key in _WORD_KEYS and self._unevaluated(entry)):
            return default
        text = " ".join(self._words(key)) if key in _WORD_KEYS else self._text(key)
        try:
            return parse(text)
        except ValueError as error:
            problem = Problem(entry.place, f"{key}: {text!r} is not understood", str(error))
            self.problems.append(problem)
            return default

    def _unevaluated(self, entry: Entry) -> bool:
        """Whether evaluating the entry failed, which is reported elsewhere."""
        value = self.values.get(entry.place)
        return value is None or bool(value.failed)

    def _dynamic(self) -> bool:
        """Whether a value is what a command printed, which need not be the same a minute later."""
        return not self.build.builtin and any(
            _COMMAND.search(entry.value)
            for key in _WORD_KEYS
            if (entry := self.entries.get(key)) is not None
        )

    def _image(self) -> str:
        """Absolute path; EFI builds make ``.efi`` files where others make ``.flat`` ones."""
        name = self._text("file")
        if not name:
            entry = self.entries.get("file")
            place = entry.place if entry else self.section.place
            message = f"test {self.section.name!r} has no file"
            self.problems.append(Problem(place, message, "file = IMAGE is mandatory"))
            return ""
        if self.build.efi and name.endswith(".flat"):
            name = name.removesuffix(".flat") + ".efi"
        if "/" not in name:  # of thousands of tests nearly all
            return f"{self.build.images}/{name}"
        return str(Path(self.build.images) / name)

    def _unsupported(self) -> str:
        """Why this build does not run the test, in the order in which its own runner looks."""
        if "pv-host" in self._text("groups").split() and "se_header" not in self.build.own:
            return "no gen-se-header available for pv-host test"
        architecture, wanted = self.build.architecture, self._text("arch")
        if wanted and wanted not in (architecture.value, CONFIGURE_NAMES[architecture]):
            return f"{wanted} only"
        condition = self.entries.get("disabled_if")
        value = self.values.get(condition.place) if condition else None
        if condition and value and not value.failed and value.status == 0:
            return f"disabled because: {_COMMENT.sub('', condition.value).strip()}"
        for entry in self.section.entries:
            value = self.values.get(entry.place)
            if value is not None and value.failed:
                return value.failed
        return ""


def _without_arguments(words: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """Parameters without ``-append``, and its value, None where there is none.

    Before v2025-07-31 there was no ``test_args``. QEMU takes ``-append`` with ``-kernel`` only,
    without which EFI images start; of several the last one counts.
    """
    kept: list[str] = []
    appended: str | None = None
    position = 0
    while position < len(words):
        if words[position] in {"-append", "--append"} and position + 1 < len(words):
            appended = words[position + 1]
            position += 2
            continue
        kept.append(words[position])
        position += 1
    return tuple(kept), appended


def _parse_smp(text: str) -> tuple[int, str]:
    """Count of vCPUs and what else stands in ``-smp``'s value: ``8,threads=4`` or ``cpus=8,…``."""
    match = _SMP.fullmatch(text)
    if match is None or int(match[1]) < 1:
        raise ValueError("a number of vCPUs, at least 1, perhaps with ,threads=N and the like")
    return int(match[1]), match[2] or ""


def _parse_accelerator(text: str) -> str:
    if text and not _ACCELERATOR.fullmatch(text):
        raise ValueError("kvm or tcg, perhaps with ,PROPERTY=VALUE")
    return text


def _parse_checks(text: str) -> tuple[tuple[str, str], ...]:
    checks: list[tuple[str, str]] = []
    for word in text.split():
        path, equals, value = word.partition("=")
        if not equals or not path:
            raise ValueError("PATH=VALUE, several separated by blanks")
        checks.append((path, value))
    return tuple(checks)


def _parse_timeout(text: str) -> float | None:
    """Seconds, from what timeout(1) takes; 0 there means no limit."""
    if not text:
        return None
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise ValueError("seconds, or a number with s, m, h or d after it")
    return float(match[1]) * _SECONDS[match[2]] or NO_TIMEOUT


def _protected(build: Build, config: Config, test: Test) -> tuple[Test, ...]:
    """The same test for a protected guest (s390x), where the build has one or should have.

    kvm-unit-tests derives them: ``NAME_PV`` from the image ``.pv.bin`` beside ``.elf``; not for
    tests that are TCG only or migrate.
    """
    if build.architecture is not Architecture.S390X or build.builtin or "standalone" in build.own:
        return ()
    if test.accelerator == "tcg" or any("migration" in group for group in test.groups):
        return ()
    image = test.image.removesuffix(".elf") + ".pv.bin"
    exists = is_file(Path(image))
    if not exists and not config.get("HOST_KEY_DOCUMENT"):
        return ()
    unsupported = test.unsupported or ("" if exists else "PVM image was not created")
    groups = (*test.groups, "pv")
    name = f"{test.name}_PV"
    return (replace(test, name=name, image=image, groups=groups, unsupported=unsupported),)


def _with_images_checked(tests: Iterable[Test]) -> Iterator[Test]:
    built: dict[str, bool] = {}
    """By path: thousands of tests may have one image."""
    for test in tests:
        if test.unsupported:
            yield test
            continue
        there = built.get(test.image)
        if there is None:
            found = os.path.isfile(test.image)  # noqa: PTH113 - Path's raises at too long a name
            there = built[test.image] = found
        if there:
            yield test
        else:
            yield replace(test, unsupported=f"its image {Path(test.image).name} is not built")
