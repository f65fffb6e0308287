"""The options of the commands that start guests, or say which they would start.

Typer reads them off the functions. What a command needs is imported when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.arguments import (
    Accel,
    All,
    Arch,
    BuildOption,
    Expect,
    FailOnSkip,
    Fresh,
    HistoryDatabase,
    HostFile,
    Json,
    Keyword,
    MetricsAddress,
    NoHistory,
    Qemu,
    Repeat,
    Require,
    Retries,
    Scenarios,
    SetAxis,
    ShardOption,
    SharedDurations,
    Timeout,
    UntilFail,
)
from matrix.errors import UsageError
from matrix.run.options import Selection


def doctor(
    qemu: Qemu = None, host: HostFile = None, fresh: Fresh = False, json: Json = False
) -> None:
    """Say what this host can run: QEMU binaries, accelerators, and whether KVM truly works."""
    from matrix.cli.doctoring import run_doctor

    run_doctor(qemu=tuple(qemu or ()), host=host, fresh=fresh, json=json)


def list_(
    scenarios: Scenarios = None,
    keyword: Keyword = "",
    arch: Arch = None,
    accel: Accel = None,
    qemu: Qemu = None,
    build: BuildOption = None,
    set_axis: SetAxis = None,
    expect: Expect = None,
    include_all: All = False,
    shard: ShardOption = "",
    durations: SharedDurations = None,
    host: HostFile = None,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """List the cases: which would run, which would be skipped and why. Runs none of them."""
    from matrix.cli.listing import run_list

    selection = Selection(
        scenarios=tuple(scenarios or ()),
        keyword=keyword,
        arch=tuple(arch or ()),
        accel=tuple(accel or ()),
        qemu=tuple(qemu or ()),
        build=tuple(build or ()),
        set_axis=tuple(set_axis or ()),
        expect=tuple(expect or ()),
        include_all=include_all,
        shard=shard,
        durations=durations,
        host=host,
        fresh=fresh,
    )
    run_list(selection, json=json)


def run(
    scenarios: Scenarios = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="RUN", help="Run directory; must not exist yet."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", min=1, help="Cases at a time, whatever they need.")
    ] = None,
    keyword: Keyword = "",
    arch: Arch = None,
    accel: Accel = None,
    qemu: Qemu = None,
    build: BuildOption = None,
    set_axis: SetAxis = None,
    repeat: Repeat = None,
    until_fail: UntilFail = False,
    retries: Retries = None,
    timeout: Timeout = None,
    no_assist: Annotated[
        bool,
        typer.Option(
            "--no-assist", help="Leave every guest alone: do not help QEMU to translate faster."
        ),
    ] = False,
    expect: Expect = None,
    include_all: All = False,
    shard: ShardOption = "",
    durations: SharedDurations = None,
    require: Require = "",
    fail_on_skip: FailOnSkip = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Unexpected passes of known failures exit 1.")
    ] = False,
    bisect: Annotated[  # noqa: ARG001 - matrix.cli.main goes by it
        bool,
        typer.Option("--bisect", help="For git bisect run: exit 125 on errors and where none ran."),
    ] = False,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Finish a run that was ended.")
    ] = None,
    host: HostFile = None,
    fresh: Fresh = False,
    database: HistoryDatabase = None,
    no_history: NoHistory = False,
    metrics: MetricsAddress = "",
    tap: Annotated[
        int,
        typer.Option("--tap", min=13, max=14, help="The version that results.tap calls itself."),
    ] = 13,
) -> None:
    """Run scenarios and report verdicts; exits 0 only when nothing failed."""
    from matrix.cli.history import history_of_run
    from matrix.cli.running import resume_run, start_run

    history = history_of_run(database, off=no_history)
    if resume is not None:
        given = (scenarios, output, keyword, arch, accel, build, set_axis, repeat, timeout, shard)
        more = (expect, include_all, until_fail, no_assist, require, fail_on_skip)
        if any((*given, *more)) or retries is not None:
            raise UsageError(
                "--resume finishes a run as it was planned; beside it only -j, --qemu, --host,"
                " --fresh, --metrics and the history's options are taken"
            )
        raise typer.Exit(
            resume_run(
                resume,
                jobs=jobs,
                qemu=tuple(qemu or ()),
                host=host,
                fresh=fresh,
                history=history,
                metrics=metrics,
            )
        )
    selection = Selection(
        scenarios=tuple(scenarios or ()),
        keyword=keyword,
        arch=tuple(arch or ()),
        accel=tuple(accel or ()),
        qemu=tuple(qemu or ()),
        build=tuple(build or ()),
        set_axis=tuple(set_axis or ()),
        repeat=repeat,
        until_fail=until_fail,
        retries=retries,
        timeout=timeout,
        assist=not no_assist,
        expect=tuple(expect or ()),
        include_all=include_all,
        require=require,
        fail_on_skip=tuple(fail_on_skip or ()),
        shard=shard,
        durations=durations,
        host=host,
        fresh=fresh,
    )
    raise typer.Exit(
        start_run(
            selection,
            output=output,
            jobs=jobs,
            strict=strict,
            history=history,
            metrics=metrics,
            tap=tap,
        )
    )


def soak(
    scenarios: Scenarios = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="RUN", help="Run directory; must not exist yet."),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option("--duration", metavar="TIME", help="For how long, as in 30min, 8h or 7d."),
    ] = None,
    hops: Annotated[
        int | None, typer.Option("--hops", min=1, help="How many hops each guest makes.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="What the hops are drawn from; printed if not given."),
    ] = None,
    metrics: MetricsAddress = "",
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", min=1, help="Cases at a time, whatever they need.")
    ] = None,
    keyword: Keyword = "",
    arch: Arch = None,
    accel: Accel = None,
    qemu: Qemu = None,
    build: BuildOption = None,
    set_axis: SetAxis = None,
    host: HostFile = None,
    fresh: Fresh = False,
    database: HistoryDatabase = None,
    no_history: NoHistory = False,
) -> None:
    """Migrate guests hop after hop, for hours or days; matrix run --resume goes on with it."""
    from matrix.cli.history import history_of_run
    from matrix.cli.soaking import start_soak

    selection = Selection(
        scenarios=tuple(scenarios or ()),
        keyword=keyword,
        arch=tuple(arch or ()),
        accel=tuple(accel or ()),
        qemu=tuple(qemu or ()),
        build=tuple(build or ()),
        set_axis=tuple(set_axis or ()),
        hops=hops,
        duration=duration,
        host=host,
        fresh=fresh,
    )
    history = history_of_run(database, off=no_history)
    raise typer.Exit(
        start_soak(
            selection,
            output=output,
            jobs=jobs,
            strict=False,
            seed=seed,
            metrics=metrics,
            history=history,
        )
    )
