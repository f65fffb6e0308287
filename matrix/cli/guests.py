"""The options of the commands that start guests, or say which ones they would start.

Typer reads them off the functions. What a command needs is imported when it runs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from matrix.cli import completing
from matrix.cli.arguments import Execution, Json, taking
from matrix.results.latest import run_named
from matrix.run.options import Selection


@taking("qemu", "host", "fresh")
def doctor(selection: Selection, json: Json = False) -> None:
    """Show what this host can run: QEMU binaries, accelerators, and whether KVM really works."""
    from matrix.cli.doctoring import run_doctor

    run_doctor(selection, json=json)


@taking(
    *("scenarios", "keyword", "arch", "accel", "qemu", "build", "set_axis", "expect"),
    *("include_all", "shard", "durations", "virtual_host", "fleet", "on", "strict_qemu", "host"),
    "fresh",
    *("failed", "last_failed", "reuse", "database", "no_history", "no_predict"),
)
def list_(
    selection: Selection,
    execution: Execution,
    json: Json = False,
    commands: Annotated[
        bool,
        typer.Option("--commands", help="Print the command lines of the cases that would run."),
    ] = False,
) -> None:
    """List the cases, and which would be skipped and why. Runs nothing."""
    from matrix.cli.listing import run_list

    run_list(selection, execution, json=json, commands=commands)


def scenarios(json: Json = False) -> None:
    """List the scenarios that have a name, as in 'matrix run smoke'."""
    from matrix.cli.scenario_list import run_scenarios

    run_scenarios(json=json)


@taking(
    *(
        "scenarios",
        "output",
        "jobs",
        "workers",
        "keyword",
        "arch",
        "accel",
        "qemu",
        "build",
        "set_axis",
    ),
    *("repeat", "until_fail", "retries", "timeout", "full", "no_assist", "expect"),
    "include_all",
    *("shard", "durations", "failed", "last_failed", "reuse", "require", "fail_on_skip", "strict"),
    *("virtual_host", "fleet", "on", "spread", "strict_qemu", "host", "fresh", "no_predict"),
    *("fail_fast", "max_failures", "verbose", "quiet"),
    *("database", "no_history", "metrics", "tap"),
)
def run(
    selection: Selection,
    execution: Execution,
    bisect: Annotated[  # noqa: ARG001 - matrix.cli.main goes by it
        bool,
        typer.Option("--bisect", help="For git bisect run: exit 125 on errors and if nothing ran."),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            callback=run_named,
            autocompletion=completing.runs,
            help="Finish a run that was interrupted.",
        ),
    ] = None,
) -> None:
    """Run scenarios and report verdicts; exits 0 only if nothing failed."""
    from matrix.cli.run_command import resume_run, start_run

    if resume is not None:
        raise typer.Exit(resume_run(resume, selection, execution))
    raise typer.Exit(start_run(selection, execution))


@taking(
    *(
        "scenarios",
        "output",
        "duration",
        "hops",
        "seed",
        "metrics",
        "jobs",
        "workers",
        "keyword",
        "arch",
    ),
    *(
        "accel",
        "qemu",
        "build",
        "set_axis",
        "fleet",
        "on",
        "strict_qemu",
        "host",
        "fresh",
        "database",
        "no_history",
    ),
    *("verbose", "quiet"),
)
def soak(selection: Selection, execution: Execution) -> None:
    """Migrate guests again and again, for hours or days; matrix run --resume resumes it."""
    from matrix.cli.soaking import start_soak

    raise typer.Exit(start_soak(selection, execution))


@taking("qemu", "host")
def worker(
    selection: Selection,
    descriptors: Annotated[tuple[int, int] | None, typer.Option(hidden=True)] = None,
    fleet: Annotated[
        Path | None, typer.Option("--fleet", metavar="FILE", help="The fleet that this host is of.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="This host's name in it.")] = "",
    systemd: Annotated[
        bool, typer.Option("--systemd", help="Print a unit of systemd that does this.")
    ] = False,
) -> None:
    """Run cases on this host of a fleet for whoever orchestrates, until Ctrl-C."""
    from matrix.errors import HostLostError, UsageError

    if fleet is not None and name and descriptors is None:
        from matrix.cli.fleet_worker import run_worker

        return run_worker(fleet, name, selection, systemd=systemd)
    if descriptors is None:
        raise UsageError("matrix worker takes --fleet FILE and --name NAME")
    from matrix.hosts.workers.worker import serve

    control, lifeline = descriptors
    try:
        serve(control, lifeline)
    except (OSError, HostLostError) as error:
        raise UsageError(f"matrix worker is started by matrix run --workers N: {error}") from error


def bisect(
    case: Annotated[
        str,
        typer.Argument(
            metavar="CASE",
            autocompletion=completing.cases,
            help="A case's id, or an expression as -k has it.",
        ),
    ],
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- [SCENARIO] OPTIONS…]",
            help="For matrix run, if not of a QEMU in {tree}/build: {tree} is the commit's folder.",
        ),
    ] = None,
    qemu: Annotated[
        list[str] | None,
        typer.Option("--qemu", metavar="NAME=DIR", help="Two or more, from the good to the bad."),
    ] = None,
    git: Annotated[
        Path | None, typer.Option("--git", metavar="REPO", help="Over the commits of a repository.")
    ] = None,
    good: Annotated[
        str, typer.Option("--good", metavar="REV", help="With --git: a good one.")
    ] = "",
    bad: Annotated[str, typer.Option("--bad", metavar="REV", help="With --git: a bad one.")] = "",
    build: Annotated[
        str, typer.Option("--build", metavar="COMMAND", help="With --git: builds a commit.")
    ] = "",
    repeat: Annotated[
        int | None,
        typer.Option("--repeat", min=1, help="Passes in a row that are good; else by the bad end."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where its runs go.")
    ] = None,
) -> None:
    """Find the first QEMU, or the first commit, with which a case fails."""
    from matrix.cli.bisecting import Bisection, run_bisect

    qemus, words = tuple(qemu or ()), tuple(more or ())
    asked = Bisection(case, words, qemus, git, good, bad, build, repeat, output)
    raise typer.Exit(run_bisect(asked))


@taking("arch", "accel", "qemu", "build", "set_axis", "include_all", "host", "fresh")
def debug(
    selection: Selection,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|SCENARIO] CASE [-- GDB OPTIONS…]",
            autocompletion=completing.debugged,
            help="A case's id, or part of it, of a run (or latest) or of a scenario.",
        ),
    ] = None,
    gdb: Annotated[bool, typer.Option("--gdb", help="Attach gdb; fail if there is none.")] = False,
    listen: Annotated[
        bool, typer.Option("--listen", help="Print gdb's command, and wait until QEMU ends.")
    ] = False,
    qemu_monitor: Annotated[
        bool, typer.Option("--qemu-monitor", help="Give the terminal to QEMU's monitor.")
    ] = False,
    core: Annotated[
        bool, typer.Option("--core", help="Open the memory that a run kept of a stalled guest.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="DIR", help="Run the case to its end, for --replay."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", metavar="DIR", help="Repeat what is recorded there, with gdb."),
    ] = None,
) -> None:
    """Start the guest of a case, stopped before its first instruction, and attach gdb to it."""
    from matrix.cli.debugging import Debugging, run_debug
    from matrix.cli.debugging_hops import debug_hops

    asked = Debugging(tuple(words or ()), gdb=gdb, listen=listen, monitor=qemu_monitor, core=core)
    if record is not None or replay is not None:
        from matrix.cli.recorded import run_recorded

        raise typer.Exit(run_recorded(asked, selection, record, replay))
    raise typer.Exit(run_debug(asked, selection, debug_hops))


@taking("qemu", "host", "fresh")
def host(
    selection: Selection,
    action: Annotated[str, typer.Argument(metavar="build|list|shell|prune")],
    hosts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARCH=KERNEL]…", help="As for --virtual-host of matrix run."),
    ] = None,
) -> None:
    """Build virtual KVM hosts in advance, list them, look around in one, or remove them."""
    from matrix.cli.hosting import action_named, run_host

    run_host(action_named(action), tuple(hosts or ()), selection)


def fleet(
    action: Annotated[str, typer.Argument(metavar="init|status|doctor|drain|undrain|reserve")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIR|FLEET|HOST]",
            help="init: the fleet's new folder; status, doctor: its file; else a host.",
        ),
    ] = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="NAME=ADDRESS", help="init: a host; may be repeated."),
    ] = None,
    scheduler: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="init: this machine, as the hosts reach it. Default: its host name.",
        ),
    ] = "",
    fleet: Annotated[
        Path | None,
        typer.Option("--fleet", metavar="FILE", help="The fleet file. Default: fleet.yaml."),
    ] = None,
    for_: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="drain, reserve: how long, as in 2h."),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="drain, reserve: why.")
    ] = "",
    json: Json = False,
) -> None:
    """Set up a fleet of hosts, show its hosts, or have runs leave one alone."""
    from matrix.cli.fleet import FleetRequest, run_fleet

    given = tuple(words or ()), tuple(hosts or ())
    raise typer.Exit(run_fleet(FleetRequest(action, *given, scheduler, fleet, for_, reason, json)))


@taking("arch", "qemu", "host", "fresh", "output", "jobs")
def migratable(
    selection: Selection,
    execution: Execution,
    source: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A QEMU: its name, NAME=DIR, DIR, or a file of matrix doctor --json."
        ),
    ],
    destination: Annotated[str, typer.Argument(metavar="B", help="Another one, or the same.")],
    machine: Annotated[
        list[str] | None,
        typer.Option("--machine", help="A type, a family as q35, or all; may be repeated."),
    ] = None,
    cpu: Annotated[
        list[str] | None, typer.Option("--cpu", help="A CPU model; may be repeated.")
    ] = None,
    compare_only: Annotated[
        bool, typer.Option("--compare-only", help="Have no QEMU load another one's idle guest.")
    ] = False,
    prove: Annotated[
        bool, typer.Option("--prove", help="Make the hops, too (-o, -j); exit 1 if one differs.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write them as a page.")
    ] = None,
    json: Json = False,
) -> None:
    """Say which guests may migrate from A to B and back, and why not; runs none of them."""
    from matrix.cli.migratable_command import run_migratable

    code = run_migratable(
        (source, destination),
        selection,
        execution,
        machines=tuple(machine or ()),
        cpus=tuple(cpu or ()),
        compare_only=compare_only,
        proving=prove,
        html=html,
        json=json,
    )
    raise typer.Exit(code)


@taking(
    *("keyword", "arch", "accel", "qemu", "build", "set_axis", "host", "fresh", "output", "seed"),
    *("no_predict", "metrics"),
    output="Folder of the findings; must not exist yet.",
    seed="Seed for drawing sequences; printed if not given.",
    metrics="Serve metrics for Prometheus meanwhile.",
)
def explore(
    selection: Selection,
    execution: Execution,
    scenarios: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SCENARIO…]",
            autocompletion=completing.scenarios,
            help="Scenarios: names or files (YAML).",
        ),
    ] = None,
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="TIME",
            help="How long, as in 30min or 8h; shrinking a failure comes on top.",
        ),
    ] = "2min",
    replay: Annotated[
        Path | None,
        typer.Option("--replay", metavar="FILE", help="Repeat the sequence of a finding instead."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="DIR", help="Go on with an exploration that is there."),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option("-j", "--jobs", min=1, help="Explore with this many guests at a time."),
    ] = 1,
    json: Json = False,
) -> None:
    """Put migrated guests through random valid sequences of operations; shrink what fails."""
    from matrix.cli.exploring import run_explore
    from matrix.cli.replaying import run_replay
    from matrix.errors import UsageError
    from matrix.run.option_values import duration_named

    selection = replace(selection, scenarios=tuple(scenarios or ()))
    if replay is not None and (resume is not None or jobs > 1 or execution.metrics):
        raise UsageError("--replay repeats one sequence: it takes no --resume, --jobs or --metrics")
    if replay is not None:
        raise typer.Exit(run_replay(replay, selection, execution, json=json))
    seconds = duration_named("--for", for_)
    raise typer.Exit(
        run_explore(selection, execution, seconds, json=json, jobs=jobs, resume=resume)
    )
