"""The options of the commands that show runs, and of those that print files for other programs.

Typer reads them off the functions. What a command needs is imported when it runs.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from matrix.cli import completing
from matrix.cli.arguments import (
    HistoryDatabase,
    Json,
    ReportFormat,
    runs_named,
    taking,
)
from matrix.errors import UsageError
from matrix.results.latest import LATEST, run_named
from matrix.run.options import Selection

RUN_HELP = "A run directory, or latest[:SCENARIO]."


def show(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="[RUN]",
            callback=run_named,
            autocompletion=completing.runs,
            help=RUN_HELP,
            show_default=False,
        ),
    ] = Path(LATEST),
    case: Annotated[
        str,
        typer.Argument(
            metavar="CASE", autocompletion=completing.cases, help="A case's id, or part of it."
        ),
    ] = "",
) -> None:
    """Print the summary of a run, or one case in full."""
    from matrix.cli.showing import run_show

    run_show(run, case)


_Sides = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN_A [RUN_B]",
        callback=runs_named,
        autocompletion=completing.runs,
        help="Run directories (one with --by) or latest[:SCENARIO], results.json files, or"
        " of the history history:RUN and history:latest[:SCENARIO].",
    ),
]
_By = Annotated[
    str,
    typer.Option(
        "--by", metavar="AXIS", help="Compare the variants of a run along this axis, as in qemu."
    ),
]
_Base = Annotated[
    str, typer.Option("--base", metavar="VALUE", help="With --by: the value to compare with.")
]
_Slower = Annotated[
    float,
    typer.Option("--slower", metavar="FACTOR", help="Report times that changed by this factor."),
]
_Metric = Annotated[
    float,
    typer.Option(
        "--metric", metavar="PERCENT", help="Report metrics that changed by more than this."
    ),
]
_AllMetrics = Annotated[
    bool, typer.Option("--all-metrics", help="List metrics without repeats, too.")
]
_Markdown = Annotated[bool, typer.Option("--markdown", help="Print a comment for a merge request.")]
_FailOnRegression = Annotated[
    bool, typer.Option("--fail-on-regression", help="Exit 1 on new failures and lost coverage.")
]
_AllowNewSkips = Annotated[
    bool,
    typer.Option("--allow-new-skips", help="With --fail-on-regression: ignore lost coverage."),
]
_FailOnSlower = Annotated[
    bool, typer.Option("--fail-on-slower", help="Exit 1 if a time grew by more than the noise.")
]


def compare(
    runs: _Sides,
    by: _By = "",
    base: _Base = "",
    slower: _Slower = 1.5,
    metric: _Metric = 20.0,
    all_metrics: _AllMetrics = False,
    json: Json = False,
    markdown: _Markdown = False,
    fail_on_regression: _FailOnRegression = False,
    allow_new_skips: _AllowNewSkips = False,
    fail_on_slower: _FailOnSlower = False,
    database: HistoryDatabase = None,
) -> None:
    """Show what changed between two runs, or, with --by, between the variants of one."""
    from matrix.cli.comparing import Comparison, run_compare

    comparison = Comparison(
        runs=tuple(runs),
        by=by,
        base=base,
        slower=slower,
        metric=metric,
        all_metrics=all_metrics,
        json=json,
        markdown=markdown,
        fail_on_regression=fail_on_regression,
        allow_new_skips=allow_new_skips,
        fail_on_slower=fail_on_slower,
        database=database,
    )
    raise typer.Exit(run_compare(comparison))


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN…", callback=runs_named, autocompletion=completing.runs, help=RUN_HELP
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Folder for index.html, or the file for other formats (- for stdout).",
        ),
    ] = None,
    of: Annotated[
        ReportFormat,
        typer.Option("--format", help="A page, a comment, or JSON for CI systems and others."),
    ] = ReportFormat.HTML,
    trace: Annotated[bool, typer.Option("--trace", help="Short for --format trace.")] = False,
    origin: Annotated[
        str, typer.Option("--origin", metavar="NAME", help="For kcidb: the CI system's name there.")
    ] = "",
    send: Annotated[
        str,
        typer.Option("--send", metavar="URL", help="For otlp: to a collector instead of a file."),
    ] = "",
    history: Annotated[
        int, typer.Option("--history", metavar="N", min=0, help="Include the N latest runs.")
    ] = 0,
    database: HistoryDatabase = None,
) -> None:
    """Write runs as one HTML page that needs no network, or one run for another program."""
    from matrix.cli.report_command import run_other, run_report
    from matrix.cli.sending import run_send

    kind = _traced(of) if trace else of
    if origin and kind is not ReportFormat.KCIDB:
        raise UsageError("--origin is for --format kcidb")
    if send and (kind is not ReportFormat.OTLP or output):
        raise UsageError("--send is for --format otlp, without -o")
    if kind is ReportFormat.HTML:
        run_report(runs, output, history=history, database=database)
    elif history or database:
        raise UsageError(f"--history is for the page, which --format {kind} does not write")
    elif send:
        run_send(runs, send)
    else:
        run_other(runs, output, kind, origin)


def _traced(of: ReportFormat) -> ReportFormat:
    """The format that ``--trace`` is short for."""
    if of not in (ReportFormat.HTML, ReportFormat.TRACE):
        raise UsageError(f"--trace and --format {of}: give one of the two")
    return ReportFormat.TRACE


def status(
    kernel: Annotated[
        Path, typer.Option("--kernel", metavar="GIT", help="A clone of Linux; HEAD is the end.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for index.html and data.")
    ],
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN…]", callback=runs_named, autocompletion=completing.runs, help=RUN_HELP
        ),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", metavar="TAG", help="Only what came after this release.")
    ] = "",
    kvm_unit_tests: Annotated[
        Path | None, typer.Option("--kvm-unit-tests", metavar="GIT", help="Its clone, for tests.")
    ] = None,
    organizations: Annotated[
        list[Path] | None,
        typer.Option(
            "--organizations",
            metavar="FILE",
            help="Lines of ADDRESS ORGANIZATION, before those that are known.",
        ),
    ] = None,
) -> None:
    """Write a page about the state of KVM: commits, authors, new tests, and what runs exercised."""
    from matrix.cli.status_command import run_status

    run_status(
        kernel,
        tuple(runs or ()),
        output,
        since=since,
        unit_tests=kvm_unit_tests,
        organizations=tuple(organizations or ()),
    )


def expect(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN…", callback=runs_named, autocompletion=completing.runs, help=RUN_HELP
        ),
    ],
) -> None:
    """Print a file of known failures, for a scenario's 'expect', from the failures of runs."""
    from matrix.cli.expect_command import run_expect

    run_expect(runs)


def history(
    case: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CASE]", help="A case's id, a pattern ('kut.*'), or part of an id."
        ),
    ] = None,
    load: Annotated[
        bool, typer.Option("--import", help="Record the given run directories instead.")
    ] = False,
    last: Annotated[int, typer.Option("--last", min=1, help="How many runs to show.")] = 20,
    on: Annotated[str, typer.Option("--on", metavar="HOST", help="Only runs on this host.")] = "",
    database: HistoryDatabase = None,
    json: Json = False,
) -> None:
    """Show past runs: verdicts, trends, when a case broke and how flaky it is."""
    from matrix.cli.history import Asked, run_history

    asked = Asked(tuple(case or ()), load=load, last=last, host=on, database=database, json=json)
    raise typer.Exit(run_history(asked))


@taking("scenarios", "arch", "qemu", "build", "host", "require", "fail_on_skip")
def ci(
    system: Annotated[str, typer.Argument(metavar="gitlab|github", help="The CI system.")],
    selection: Selection,
    shards: Annotated[
        int | None,
        typer.Option("--shards", min=1, help="Number of jobs, instead of one for each variant."),
    ] = None,
    native: Annotated[
        list[str] | None,
        typer.Option(
            "--native", metavar="ARCH", help="An architecture with native runners; may be repeated."
        ),
    ] = None,
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline", metavar="PATH", help="Fail only on regressions from these results."
        ),
    ] = "",
    install: Annotated[
        str, typer.Option("--install", metavar="REQUIREMENT", help="What pip installs in each job.")
    ] = "qemu-matrix",
) -> None:
    """Print a pipeline that runs scenarios: one job for each architecture and accelerator."""
    from matrix.cli.pipelines import PipelineRequest, run_ci, system_named

    run_ci(
        PipelineRequest(
            system=system_named(system),
            selection=selection,
            shards=shards or 0,
            native=tuple(native or ()),
            baseline=baseline,
            install=install,
        )
    )


class Format(StrEnum):
    """What ``matrix schema`` knows."""

    SCENARIO = "scenario"
    EXPECTATIONS = "expectations"
    RESULTS = "results"
    FLEET = "fleet"


def schema(
    of: Annotated[Format, typer.Argument(help="The kind of file.")] = Format.SCENARIO,
    expectations: Annotated[
        bool, typer.Option("--expectations", help="Short for the kind expectations.")
    ] = False,
) -> None:
    """Print the JSON Schema of scenarios, known failures, results.json or fleet files."""
    import json

    from matrix.hosts.fleet.fleet_file import fleet_schema
    from matrix.results.case_record import results_schema
    from matrix.scenario.expectations import expectations_schema
    from matrix.scenario.schema import json_schema

    schemas = {
        Format.SCENARIO: json_schema,
        Format.EXPECTATIONS: expectations_schema,
        Format.RESULTS: results_schema,
        Format.FLEET: fleet_schema,
    }
    made = schemas[Format.EXPECTATIONS if expectations else of]()
    typer.echo(json.dumps(made, indent=2))
