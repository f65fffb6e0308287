"""``matrix bisect``: where a case began to fail, over installed QEMUs or over commits.

Each version is tested by a ``matrix run`` of its own. With exit code 0 or 1 it is bad if an attempt
failed, known failure or not; with 3 and 5 (an error, nothing ran) it cannot be tested.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from matrix.cli.bisect_ends import ends_of_history
from matrix.cli.interrupts import interrupts_put_off
from matrix.cli.standard_output import standard_output
from matrix.errors import ExitCode, UsageError
from matrix.hosts.host_settings import HostFile
from matrix.hosts.installations import installations
from matrix.places import own_command
from matrix.results.case_record import CaseRecord
from matrix.results.directory import RunDirectory
from matrix.results.files import host_errors, shown, write_bytes
from matrix.results.outcome import WORST_FIRST
from matrix.results.printable import printable
from matrix.results.run_record import load_run
from matrix.results.segments import Style, line, wrapped
from matrix.run.bisection import MOST_TRIES, Answer, Found, first_bad, passes_needed
from matrix.scenario.shipped import scenario_of
from matrix.verdicts import Verdict

TREE = "{tree}"
"""In options of ``matrix run``: the folder of the commit."""
OF_QEMU = ("--qemu", f"tree={TREE}/build", "--set", "qemu=tree")
"""The options for a tree of QEMU, which is built in its folder ``build``."""
STYLES = {Answer.GOOD: Style.PASS, Answer.BAD: Style.FAIL, Answer.SKIP: Style.SKIP}
OptionsOf = Callable[[str], tuple[str, ...]]
"""Version → options of ``matrix run``."""
_FIRST_BAD = re.compile(r"^([0-9a-f]{40,64}) is the first bad commit$", re.MULTILINE)
_POSSIBLE = re.compile(r"^([0-9a-f]{40,64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Bisection:
    """What was asked for, as typed."""

    case: str
    more: tuple[str, ...] = ()
    """Options of ``matrix run``, and the scenario where the case's id does not begin with it."""
    qemu: tuple[str, ...] = ()
    git: Path | None = None
    good: str = ""
    bad: str = ""
    build: str = ""
    """A command for the shell."""
    repeat: int | None = None
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One version that was tested."""

    version: str
    tested: Answer
    why: str
    seconds: float
    run: str
    """Its run directory, in the bisection's folder; empty where none was begun."""


@dataclass(slots=True)
class Record:
    """``bisect.json``."""

    case: str
    started: str
    repeat: int = 0
    """Passes in a row that make a version good."""
    steps: list[Step] = field(default_factory=list)
    first_bad: str = ""
    suspects: tuple[str, ...] = ()


def run_bisect(asked: Bisection) -> ExitCode:
    """Find the first bad version, print it, and keep how it was found.

    Raises:
        UsageError: options that do not go together, or the good end is bad, or the bad end good.
        HostError: the record cannot be written.
    """
    if bool(asked.qemu) == bool(asked.git):
        raise UsageError("bisect needs --qemu NAME=DIR (several), or --git REPO: one of the two")
    if asked.git is not None:
        asked = _with_ends(asked, asked.git)
    folder = asked.output or RunDirectory.default_path(["bisect"])
    bisector = _Bisector(asked, folder)
    with host_errors("create", folder):
        folder.mkdir(parents=True)
    try:
        found = bisector.over_qemus() if asked.git is None else bisector.over_commits(asked.git)
    finally:
        bisector.save()
    return _say(found, folder)


def _with_ends(asked: Bisection, repository: Path) -> Bisection:
    """With the revisions that the history knows, where none is given."""
    if not asked.build or bool(asked.good) != bool(asked.bad):
        raise UsageError("--git REPO needs --build COMMAND, and --good REV with --bad REV")
    if asked.good:
        return asked

    def is_commit(revision: str) -> bool:
        with suppress(UsageError):  # it is none
            return bool(_commit(repository, revision))
        return False

    good, bad = ends_of_history(asked.case, is_commit)
    said = f"By the history it passed last with {good}, and failed first with {bad}"
    standard_output().say([line(said)])
    return replace(asked, good=good, bad=bad)


def _say(found: Found, folder: Path) -> ExitCode:
    output = standard_output()
    words = f"The first bad one is {found.first_bad}"
    if found.suspects:
        suspects = ", ".join(filter(None, (*found.suspects, found.first_bad)))
        words = f"The first bad one is one of these, which cannot be told apart: {suspects}"
    output.say(wrapped(words, output.width, "  ", first=""))
    output.say([line(f"Results in {folder}", Style.FAINT)])
    return ExitCode.NOT_PASSED if found.suspects else ExitCode.OK


class _Bisector:
    """Tests versions, says what each came to, and keeps the record."""

    def __init__(self, asked: Bisection, folder: Path) -> None:
        self._asked = asked
        self._folder = folder
        self._output = standard_output()
        self._scenario = () if _names_scenario(asked.more) else (_scenario_of(asked.case),)
        self.record = Record(asked.case, datetime.now(UTC).isoformat(timespec="seconds"))

    def save(self) -> None:
        """Write ``bisect.json``."""
        write_bytes(
            self._folder / "bisect.json", json.dumps(asdict(self.record), indent=2).encode() + b"\n"
        )

    def over_qemus(self) -> Found:
        """Over the installations, in the order in which they were given."""
        options = {each.partition("=")[0]: each for each in self._asked.qemu}
        names = list(options)
        if len(names) < 2 or len(names) < len(self._asked.qemu):
            raise UsageError("--qemu NAME=DIR: give two or more, from the good one to the bad one")
        installations(self._asked.qemu, HostFile())  # before the first run, which may take hours

        def options_of(name: str) -> tuple[str, ...]:
            return ("--qemu", options[name], "--set", f"qemu={name}", *self._asked.more)

        self._test_ends(names[0], names[-1], options_of)
        found = first_bad(names, lambda name: self._test(name, options_of(name)))
        self.record.first_bad, self.record.suspects = found.first_bad, found.suspects
        return found

    def over_commits(self, repository: Path) -> Found:
        """Over the commits between two, which ``git bisect`` chooses, in a worktree of its own."""
        with _worktree(repository, self._asked.bad, self._folder.absolute() / "tree") as tree:
            named = any(each.startswith("-") for each in self._asked.more)
            more = self._asked.more if named else (*self._asked.more, *OF_QEMU)

            def options_of(_: str) -> tuple[str, ...]:
                return tuple(each.replace(TREE, str(tree)) for each in more)

            def test(commit: str) -> Answer:
                _git(tree, "checkout", "-q", "--force", "--detach", commit)
                return self._test(commit, options_of(commit))

            bad, good = (_commit(tree, each) for each in (self._asked.bad, self._asked.good))
            self._test_ends(good, bad, options_of, checkout=tree)
            told = _git(tree, "bisect", "start", "--no-checkout", bad, good)
            while not (first := _FIRST_BAD.search(told)) and "skip'ped commits left" not in told:
                told = _git(tree, "bisect", test(_git(tree, "rev-parse", "BISECT_HEAD").strip()))
            log = _git(tree, "bisect", "log")
            with suppress(OSError):  # the record says what came of it
                (self._folder / "bisect.log").write_text(log)
            if first is not None:
                self.record.first_bad = first[1]
                subject = _git(tree, "show", "-s", "--format=%h (%s)", first[1]).strip()
                return Found(printable(f"{first[1]} {subject}"))
            self.record.suspects = tuple(dict.fromkeys(_POSSIBLE.findall(told)))
            return Found("", self.record.suspects)

    def _test_ends(
        self, good: str, bad: str, options_of: OptionsOf, checkout: Path | None = None
    ) -> None:
        """See that the ends are what they are called; the bad one says how often to repeat."""
        for name, wanted in ((bad, Answer.BAD), (good, Answer.GOOD)):
            if checkout is not None:
                _git(checkout, "checkout", "-q", "--force", "--detach", name)
            if wanted is Answer.BAD:
                self.record.repeat = self._asked.repeat or MOST_TRIES
            tested = self._test(name, options_of(name))
            if tested is not wanted:
                why = self.record.steps[-1].why
                raise UsageError(f"{name} is to be the {wanted} end, but: {tested} ({why})")
            if wanted is Answer.BAD and self._asked.repeat is None:
                failed_at = self._failed_at(self.record.steps[-1].run)
                self.record.repeat = passes_needed(failed_at or 1)

    def _test(self, name: str, options: Sequence[str]) -> Answer:
        begun = time.monotonic()
        number = len(self.record.steps) + 1
        run = f"{number:02}-{re.sub('[^A-Za-z0-9._-]', '_', name)[:20]}"
        log = self._folder / f"{run}.log"
        tested, why = self._built(log)
        if tested is Answer.GOOD:
            tested, why = self._run(run, log, options)
        step = Step(
            name,
            tested,
            why,
            round(time.monotonic() - begun, 1),
            run if (self._folder / run / "run.json").exists() else "",
        )
        self.record.steps.append(step)
        text = f"{printable(name[:24]):24}  {step.seconds:.1f} s  {why}"
        self._output.say([((f"{tested:6}", STYLES[tested]), (text, Style.PLAIN))])
        return tested

    def _built(self, log: Path) -> tuple[Answer, str]:
        if self._asked.git is None:
            return Answer.GOOD, ""
        tree = self._folder.absolute() / "tree"
        code = _call(["/bin/sh", "-c", self._asked.build], log, tree)
        if code:
            return Answer.SKIP, f"the build exits {code}: {shown(log)}"
        return Answer.GOOD, ""

    def _run(self, run: str, log: Path, options: Sequence[str]) -> tuple[Answer, str]:
        words = (
            *(*own_command(), "run", *self._scenario, "-k"),
            *(_expression(self._asked.case), *options, "--repeat", str(self.record.repeat)),
            *(["--until-fail"] if self.record.repeat > 1 else []),
            *("--no-history", "-q", "-o", str(self._folder / run)),
        )
        code = _call(words, log)
        match code:
            case ExitCode.OK | ExitCode.NOT_PASSED:
                return answer_of(self._results(run), self.record.repeat)
            case ExitCode.ERROR | ExitCode.NOTHING_SELECTED:
                ran = (self._folder / run / "results.json").exists()
                return Answer.SKIP, _reason(self._results(run)) if ran else _last_line(log)
            case ExitCode.INTERRUPTED:
                raise KeyboardInterrupt
            case _:
                raise UsageError(f"{shown(log)}: {_last_line(log)}")

    def _failed_at(self, run: str) -> int | None:
        """The number of its first attempt that failed; None where all passed."""
        return first_failure(self._results(run))

    def _results(self, run: str) -> list[CaseRecord]:
        return results_of(self._asked.case, load_run(self._folder / run).results())


def results_of(case: str, results: Iterable[CaseRecord]) -> list[CaseRecord]:
    """Those of the case itself, whatever its QEMU, where they are there; else all: ``-k`` finds
    variants too whose ids go on after the case's."""
    found = list(results)
    return [each for each in found if _without_qemu(each.id) == _without_qemu(case)] or found


def answer_of(results: Sequence[CaseRecord], repeat: int) -> tuple[Answer, str]:
    """What a run came to, and why; it may have run other cases, and skipped the one that counts."""
    if all(each.verdict is Verdict.SKIP for each in results):
        return Answer.SKIP, _reason(results)
    if first_failure(results) is None:
        return Answer.GOOD, f"passed {repeat} of {repeat}"
    return Answer.BAD, _reason(results)


def first_failure(results: Iterable[CaseRecord]) -> int | None:
    """The latest first attempt that failed, by its number; None where all passed.

    What the case is known to come to is of no account: it may be what is looked for.
    """
    passing = (Verdict.PASS, Verdict.XPASS, Verdict.SKIP)
    failures = (
        next((each.number for each in case.attempts if each.verdict not in passing), None)
        for case in results
    )
    return max((number for number in failures if number is not None), default=None)


@contextmanager
def _worktree(repository: Path, commit: str, tree: Path) -> Iterator[Path]:
    """A worktree of the repository, which is taken away again with all that was built in it."""
    _git(repository, "worktree", "add", "-q", "--detach", str(tree), commit)
    try:
        yield tree
    finally:
        with suppress(UsageError):  # it goes with its tree
            _git(tree, "bisect", "reset", "HEAD")
        _git(repository, "worktree", "remove", "--force", str(tree))


def _commit(tree: Path, revision: str) -> str:
    return _git(tree, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()


def _call(words: Sequence[str], log: Path, folder: Path | None = None) -> int:
    """Run a program, whose output goes to the end of ``log``; gives its exit code.

    It is waited for whatever comes: a run that is interrupted ends its QEMUs first. What a build
    has started goes with it, before its worktree does.
    """
    with log.open("ab") as file:
        file.write(f"$ {shlex.join(words)}\n".encode())
        file.flush()
        process: subprocess.Popen[bytes] | None = None
        try:
            with interrupts_put_off():
                process = subprocess.Popen(
                    words,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            return process.wait()
        except KeyboardInterrupt:
            if process is not None:
                _end(process)
            raise


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # none is left of its group
            os.killpg(process.pid, number)
        process.wait()


def _git(folder: Path, *words: str) -> str:
    """What git prints.

    Raises:
        UsageError: it fails; says how.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise UsageError(f"git cannot be started: {error.strerror}") from None
    if done.returncode and "skip'ped commits left" not in done.stdout:  # its exit code is 2 then
        why = (done.stderr or done.stdout).strip().splitlines()
        raise UsageError(f"git {' '.join(words[:2])}: {printable(why[-1] if why else 'it failed')}")
    return done.stdout


def _without_qemu(case: str) -> list[str]:
    """The parts of a case's id: its name, and the axes but for its QEMU, which is what varies."""
    name, *axes = re.split(r"\.(?=[a-z]+=)", case)
    return [name, *(axis for axis in axes if not axis.startswith("qemu="))]


def _expression(case: str) -> str:
    """The case as ``-k`` has it."""
    return " and ".join(_without_qemu(case))


def _scenario_of(case: str) -> str:
    """The scenario that a case's id begins with.

    Raises:
        UsageError: there is none of that name.
    """
    name = scenario_of(case)
    if not name:
        raise UsageError(
            f"{printable(case)} begins with no scenario's name; name its file after '--', as in"
            " matrix bisect CASE … -- scenario.yaml"
        )
    return name


def _names_scenario(more: Sequence[str]) -> bool:
    return bool(more) and not more[0].startswith("-")


def _reason(results: Iterable[CaseRecord]) -> str:
    """Verdict and reason of the worst case."""
    worst = min(results, key=lambda each: WORST_FIRST.index(each.verdict), default=None)
    if worst is None:
        return "too little ran"
    return printable(f"{worst.verdict}: {worst.reason}"[:200])


def _last_line(log: Path) -> str:
    text = log.read_text(errors="replace").splitlines()
    unframed = (each.strip(" │") for each in text)  # what is wrong with options stands in a box
    lines = [each for each in unframed if any(map(str.isalnum, each))]
    return printable(lines[-1].removeprefix("matrix: ")[:200]) if lines else "it said nothing"
