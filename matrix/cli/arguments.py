"""Arguments and options that several commands take, each said once."""

import copy
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from matrix.cli import completing
from matrix.results.latest import run_named
from matrix.run.options import Selection

FAIL_ON_SKIP = "--fail-on-skip"
FAILED, LAST_FAILED, REUSE = "--failed", "--last-failed", "--reuse"


class ReportFormat(StrEnum):
    """What ``matrix report`` writes."""

    HTML = "html"
    CTRF = "ctrf"
    KCIDB = "kcidb"
    MARKDOWN = "markdown"
    OTLP = "otlp"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class Execution:
    """How ``matrix run`` and ``matrix soak`` run what is selected, and what they keep, as typed."""

    output: Path | None = None
    jobs: int | None = None
    workers: int | None = None
    strict: bool | None = None
    seed: int | None = None
    database: str | None = None
    no_history: bool = False
    metrics: str = ""
    tap: int = 13
    fail_fast: bool = False
    max_failures: int | None = None
    verbose: bool = False
    quiet: bool = False

    @property
    def most_failures(self) -> int | None:
        """After how many cases that did not pass no other is started; None for no limit."""
        return self.max_failures or (1 if self.fail_fast else None)


def runs_named(given: list[Path] | None) -> list[Path]:
    """As :func:`run_named`, of each."""
    return [run_named(each) or each for each in given or ()]


OPTIONS: dict[str, Any] = {
    "scenarios": typer.Argument(
        metavar="SCENARIO…",
        help="Scenarios: names or files (YAML).",
        autocompletion=completing.scenarios,
    ),
    "keyword": typer.Option(
        "-k", metavar="EXPR", help="Only cases that match, as in 'aarch64 and not vmx_*'."
    ),
    "arch": typer.Option(
        "--arch",
        help="Only this architecture; may be repeated.",
        autocompletion=completing.architectures,
    ),
    "accel": typer.Option(
        "--accel",
        help="auto, kvm or tcg, instead of the scenario's.",
        autocompletion=completing.accelerators,
    ),
    "qemu": typer.Option(
        "--qemu", metavar="NAME[=DIR]", help="Another QEMU installation, by name."
    ),
    "build": typer.Option(
        "--build", metavar="ARCH=DIR", help="A suite build for one architecture."
    ),
    "set_axis": typer.Option(
        "--set",
        metavar="AXIS=VALUE[,…]",
        help="Set an axis, as in smp=1,4 or memory=1GiB.",
        autocompletion=completing.axes,
    ),
    "repeat": typer.Option("--repeat", min=1, help="Run every case N times."),
    "until_fail": typer.Option(
        "--until-fail",
        help="Repeat every case until it does not pass, at most --repeat times or 1000.",
    ),
    "retries": typer.Option(
        "--retries",
        min=0,
        metavar="N",
        help="Retry a case that did not pass up to N times; if a retry passes, it is flaky.",
    ),
    "timeout": typer.Option(
        "--timeout", metavar="TIME", help="Time limit for every case, as in 30s or 5m."
    ),
    "full": typer.Option(
        "--full", help="Give cases that are known to time out all their time, as once a week in CI."
    ),
    "no_assist": typer.Option(
        "--no-assist",
        help="Do not assist guests: never make QEMU enlarge its translation table.",
    ),
    "expect": typer.Option(
        "--expect", metavar="FILE", help="A file of known failures, besides the scenarios' own."
    ),
    "include_all": typer.Option("--all", help="Also tests in the group 'nodefault'."),
    "shard": typer.Option(
        "--shard", metavar="I/N", help="Only part I of N; each case is in exactly one part."
    ),
    "durations": typer.Option(
        "--durations",
        metavar="FILE",
        callback=run_named,
        help="Balance --shard by a run's times; use the same for all parts.",
    ),
    "require": typer.Option(
        "--require",
        metavar="N[%]",
        help="Exit 1 if fewer cases run; cases that scenarios exclude do not count.",
    ),
    "fail_on_skip": typer.Option(
        FAIL_ON_SKIP,
        metavar="[=PATTERN]",
        help="Exit 1 if a case is skipped, for any cause or a matching one, as in =no-*.",
    ),
    "failed": typer.Option(
        FAILED,
        metavar="[RUN]",
        callback=run_named,
        autocompletion=completing.runs,
        help="Rerun the cases that did not pass in RUN, or in the latest run.",
    ),
    "last_failed": typer.Option(
        LAST_FAILED,
        "--lf",
        metavar="[RUN]",
        callback=run_named,
        autocompletion=completing.runs,
        help="As --failed, plus cases that did not get to run, or are new since then.",
    ),
    "reuse": typer.Option(
        REUSE,
        metavar="[RUN|history]",
        autocompletion=completing.runs,
        help="Do not rerun cases that passed in RUN (or the latest run, or any in the history) and"
        " of which neither image, QEMU nor anything else has changed since.",
    ),
    "hops": typer.Option("--hops", min=1, help="How many hops each guest makes."),
    "duration": typer.Option(
        "--duration", metavar="TIME", help="How long to soak, as in 30min, 8h or 7d."
    ),
    "virtual_host": typer.Option(
        "--virtual-host",
        metavar="ARCH=KERNEL",
        help="Run KVM cases of ARCH in a Linux under TCG: debian-13, or a kernel's path; before"
        " what 'hosts' of the scenario says.",
    ),
    "fleet": typer.Option(
        "--fleet", metavar="FILE", help="Run cases on the hosts of a fleet, not on this machine."
    ),
    "on": typer.Option(
        "--on",
        metavar="HOST|TAG",
        help="Only on this host of the fleet, or those of a tag or architecture; may be repeated.",
    ),
    "spread": typer.Option(
        "--spread", help="Make the attempts of a case (--repeat) on its hosts in turn."
    ),
    "strict_qemu": typer.Option(
        "--strict-qemu", help="Skip cases whose QEMU is another version on another of their hosts."
    ),
    "host": typer.Option("--host", metavar="FILE", help="Host file: QEMUs and builds by name."),
    "fresh": typer.Option("--fresh", help="Ask QEMU and KVM again instead of using the cache."),
    "no_predict": typer.Option(
        "--no-predict",
        help="Also make hops that fail, as matrix migratable has found.",
    ),
    "output": typer.Option(
        "-o", "--output", metavar="RUN", help="Run directory; must not exist yet."
    ),
    "jobs": typer.Option(
        "-j", "--jobs", min=1, help="Run this many cases at a time, whatever they need."
    ),
    "workers": typer.Option(
        "--workers",
        min=1,
        metavar="N",
        help="Run cases in up to N processes, for hosts with many CPUs.",
    ),
    "fail_fast": typer.Option(
        "-x", "--fail-fast", help="Start no more cases after one did not pass."
    ),
    "max_failures": typer.Option(
        "--max-failures", min=1, metavar="N", help="As -x, after N cases that did not pass."
    ),
    "verbose": typer.Option(
        "-v", "--verbose", help="Also print a line for every start, and each reason and folder."
    ),
    "quiet": typer.Option("-q", "--quiet", help="Print nothing for cases that pass."),
    "strict": typer.Option(
        "--strict/--no-strict",
        help="Exit 1 if a known failure passes.",
        show_default=False,
    ),
    "seed": typer.Option("--seed", min=0, help="Seed for drawing the hops; printed if not given."),
    "database": typer.Option(
        "--database", metavar="URL", help="The history: a file, or postgresql://USER@HOST/NAME."
    ),
    "no_history": typer.Option("--no-history", help="Do not read or write the history of runs."),
    "metrics": typer.Option(
        "--metrics", metavar="ADDR:PORT", help="Serve metrics for Prometheus during the run."
    ),
    "tap": typer.Option("--tap", min=13, max=14, help="TAP version of results.tap."),
}
"""Field of :class:`Selection` or :class:`Execution` → how it is given."""

HistoryDatabase = Annotated[str | None, OPTIONS["database"]]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@functools.cache
def _parameters(kind: type[Selection | Execution]) -> dict[str, inspect.Parameter]:
    """The fields of ``kind`` as typer reads parameters: what may be repeated is a list."""
    found = {}
    for field in fields(kind):
        repeated = get_origin(field.type) is tuple
        # mypy takes no type that is made at run time.
        type_ = list[get_args(field.type)[0]] | None if repeated else field.type  # type: ignore[misc]  # made at run time
        found[field.name] = inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if repeated else field.default,
            annotation=Annotated[type_, OPTIONS[field.name]],
        )
    return found


def _helped(parameter: inspect.Parameter, text: str) -> inspect.Parameter:
    """The same option with another help text."""
    type_, option = get_args(parameter.annotation)
    option = copy.copy(option)
    option.help = text
    return parameter.replace(annotation=Annotated[type_, option])


def taking(*names: str, **helps: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these fields, with the usual help texts or those of ``helps``.

    The command gets them as its parameters ``selection`` and ``execution``, where it has those;
    fields that are not named keep their defaults.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = dict(inspect.signature(command).parameters)
        kinds = {
            name: kind
            for name, kind in {"selection": Selection, "execution": Execution}.items()
            if own.pop(name, None)
        }
        offered = {name: _parameters(kind) for name, kind in kinds.items()}
        known = {name: each for group in offered.values() for name, each in group.items()}

        @functools.wraps(command)
        def taken(**given: Any) -> None:
            values = {
                name: tuple(value) if isinstance(value, list) else value
                for name in names
                if (value := given.pop(name)) is not None
            }
            for group, kind in kinds.items():
                chosen = {name: values[name] for name in offered[group] if name in values}
                given[group] = kind(**chosen)
            command(**given)

        known |= {name: _helped(known[name], text) for name, text in helps.items()}
        parameters = [known[name] for name in names]
        parameters += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own.values()]
        parameters.sort(key=lambda each: each.default is not each.empty)  # arguments that must be
        # inspect looks for it in functions, whose type has no such attribute.
        taken.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # as said above
        return taken

    return decorate
