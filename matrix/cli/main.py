"""The commands: options in, exit codes out.

Nothing heavy is imported here: ``matrix --help`` answers at once, and every command imports what it
needs when it runs. This is the only place that catches the exception tree.
"""

import gc
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from matrix import __version__
from matrix.cli.arguments import (
    Accel,
    All,
    Arch,
    BuildOption,
    Expect,
    Fresh,
    HistoryDatabase,
    HostFile,
    Json,
    Keyword,
    MetricsAddress,
    NoHistory,
    Qemu,
    Repeat,
    Retries,
    Scenarios,
    SetAxis,
    ShardOption,
    SharedDurations,
    Timeout,
    UntilFail,
)
from matrix.errors import ExitCode, MatrixError, UsageError
from matrix.run.options import Selection

app = typer.Typer(
    name="matrix",
    help="Run a matrix of guests under QEMU, with KVM where it works and TCG where it does not.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"matrix {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def doctor(
    qemu: Qemu = None, host: HostFile = None, fresh: Fresh = False, json: Json = False
) -> None:
    """Say what this host can run: QEMU binaries, accelerators, and whether KVM truly works."""
    from matrix.cli.doctoring import run_doctor

    run_doctor(qemu=tuple(qemu or ()), host=host, fresh=fresh, json=json)


@app.command(name="list")
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


@app.command()
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
    expect: Expect = None,
    include_all: All = False,
    shard: ShardOption = "",
    durations: SharedDurations = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Unexpected passes of known failures exit 1.")
    ] = False,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Finish a run that was ended.")
    ] = None,
    host: HostFile = None,
    fresh: Fresh = False,
    database: HistoryDatabase = None,
    no_history: NoHistory = False,
    metrics: MetricsAddress = "",
) -> None:
    """Run scenarios and report verdicts; exits 0 only when nothing failed."""
    from matrix.cli.history import history_of_run
    from matrix.cli.running import resume_run, start_run

    history = history_of_run(database, off=no_history)
    if resume is not None:
        given = (scenarios, output, keyword, arch, accel, build, set_axis, repeat, timeout, shard)
        if any((*given, expect, include_all, until_fail)) or retries is not None:
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
        expect=tuple(expect or ()),
        include_all=include_all,
        shard=shard,
        durations=durations,
        host=host,
        fresh=fresh,
    )
    raise typer.Exit(
        start_run(
            selection, output=output, jobs=jobs, strict=strict, history=history, metrics=metrics
        )
    )


@app.command()
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


@app.command()
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    case: Annotated[str, typer.Argument(metavar="CASE", help="A case's id, or a part of it.")] = "",
) -> None:
    """Print a run's summary again, or one case in full."""
    from matrix.cli.showing import run_show

    run_show(run, case)


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_A [RUN_B]",
            help="Run directories (one with --by), results.json files, or of the history"
            " history:RUN and history:latest[:SCENARIO].",
        ),
    ],
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="AXIS",
            help="Compare one run's variants, as in qemu; or runs apart in it.",
        ),
    ] = "",
    base: Annotated[
        str, typer.Option("--base", metavar="VALUE", help="Of --by: what is compared with.")
    ] = "",
    slower: Annotated[
        float,
        typer.Option("--slower", metavar="FACTOR", help="Tell of times that changed as much."),
    ] = 1.5,
    metric: Annotated[
        float,
        typer.Option("--metric", metavar="PERCENT", help="Tell of metrics that changed by more."),
    ] = 20.0,
    json: Json = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a comment for a merge request.")
    ] = False,
    fail_on_regression: Annotated[
        bool, typer.Option("--fail-on-regression", help="Exit 1 on new failures.")
    ] = False,
    fail_on_slower: Annotated[
        bool, typer.Option("--fail-on-slower", help="Exit 1 on times that grew beyond the noise.")
    ] = False,
    database: HistoryDatabase = None,
) -> None:
    """Say what changed between two runs, or with --by between the variants of one."""
    from matrix.cli.comparing import Comparison, run_compare

    comparison = Comparison(
        runs=tuple(runs),
        by=by,
        base=base,
        slower=slower,
        metric=metric,
        json=json,
        markdown=markdown,
        fail_on_regression=fail_on_regression,
        fail_on_slower=fail_on_slower,
        database=database,
    )
    raise typer.Exit(run_compare(comparison))


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run directories.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Where index.html goes; made if needed."
        ),
    ] = None,
    history: Annotated[
        int, typer.Option("--history", metavar="N", min=0, help="Tell of the N latest runs too.")
    ] = 0,
    database: HistoryDatabase = None,
) -> None:
    """Write runs as one HTML page that needs no network; of one run, its report.html anew."""
    from matrix.cli.reporting import run_report

    run_report(runs, output, history=history, database=database)


@app.command()
def expect(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run directories.")],
) -> None:
    """Print a file of known failures, for a scenario's 'expect', from the failures of runs."""
    from matrix.cli.expecting import run_expect

    run_expect(runs)


@app.command()
def history(
    case: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CASE]", help="A case's id, a pattern ('kut.*'), or a part of ids."
        ),
    ] = None,
    load: Annotated[
        bool, typer.Option("--import", help="Record the run directories that are named instead.")
    ] = False,
    last: Annotated[int, typer.Option("--last", min=1, help="How many runs are shown.")] = 20,
    on: Annotated[
        str, typer.Option("--on", metavar="HOST", help="Only runs on the host of that name.")
    ] = "",
    database: HistoryDatabase = None,
    json: Json = False,
) -> None:
    """Tell of past runs: verdicts, trends, when a case broke and how flaky it is."""
    from matrix.cli.history import Asked, run_history

    asked = Asked(tuple(case or ()), load=load, last=last, host=on, database=database, json=json)
    raise typer.Exit(run_history(asked))


@app.command()
def ci(
    system: Annotated[str, typer.Argument(metavar="gitlab|github", help="The CI system.")],
    scenarios: Scenarios = None,
    shards: Annotated[
        int | None, typer.Option("--shards", min=1, help="So many jobs, not one for each variant.")
    ] = None,
    native: Annotated[
        list[str] | None,
        typer.Option("--native", metavar="ARCH", help="Has runners of its own; may be repeated."),
    ] = None,
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="PATH", help="Fail only on what is worse than it.")
    ] = "",
    install: Annotated[
        str, typer.Option("--install", metavar="REQUIREMENT", help="What pip is to install.")
    ] = "qemu-matrix",
    qemu: Qemu = None,
    build: BuildOption = None,
    host: HostFile = None,
) -> None:
    """Print a pipeline that runs scenarios: one job for each architecture and accelerator."""
    from matrix.cli.pipelines import PipelineRequest, run_ci, system_named

    request = PipelineRequest(
        system=system_named(system),
        scenarios=tuple(scenarios or ()),
        shards=shards or 0,
        native=tuple(native or ()),
        baseline=baseline,
        install=install,
        qemu=tuple(qemu or ()),
        build=tuple(build or ()),
        host=host,
    )
    run_ci(request)


@app.command()
def schema(
    expectations: Annotated[
        bool, typer.Option("--expectations", help="Of files of known failures.")
    ] = False,
) -> None:
    """Print the JSON Schema of the scenario format, for editors."""
    import json

    from matrix.scenario.expectation_schema import expectations_schema
    from matrix.scenario.schema import json_schema

    typer.echo(json.dumps(expectations_schema() if expectations else json_schema(), indent=2))


def main() -> NoReturn:
    """The entry point of ``matrix`` and ``python -m matrix``."""
    # Loading makes thousands of objects that live to the end: collecting garbage among them, now
    # and again when Python exits, is a sixth of what a short command takes. A run switches the
    # collector on for its own objects.
    gc.disable()
    try:
        app()
    except MatrixError as error:
        print(f"matrix: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("matrix: interrupted", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (matrix list | head): keep the interpreter's own
        # flush at exit from complaining about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)
    except Exception:  # noqa: BLE001 - the last resort: a bug of ours, reported as such
        traceback.print_exc()
        print("matrix: internal error, please report it with the lines above", file=sys.stderr)
        sys.exit(ExitCode.ERROR)
    finally:
        gc.freeze()
    sys.exit(ExitCode.OK)
