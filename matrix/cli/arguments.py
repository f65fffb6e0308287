"""Arguments and options that several commands take, each said once."""

from pathlib import Path
from typing import Annotated

import typer

FAIL_ON_SKIP = "--fail-on-skip"

Scenarios = Annotated[
    list[Path] | None, typer.Argument(metavar="SCENARIO…", help="Scenario files (YAML).")
]
Keyword = Annotated[
    str,
    typer.Option(
        "-k", metavar="EXPR", help="Only cases that match, as in 'aarch64 and not timer'."
    ),
]
Arch = Annotated[
    list[str] | None, typer.Option("--arch", help="Only this architecture; may be repeated.")
]
Accel = Annotated[
    list[str] | None, typer.Option("--accel", help="auto, kvm or tcg, instead of the scenario's.")
]
Qemu = Annotated[
    list[str] | None,
    typer.Option("--qemu", metavar="NAME[=DIR]", help="A QEMU installation beside the system's."),
]
BuildOption = Annotated[
    list[str] | None,
    typer.Option("--build", metavar="ARCH=DIR", help="A suite build for one architecture."),
]
SetAxis = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="AXIS=VALUE", help="Set an axis, as in smp=4 or memory=1GiB."),
]
Repeat = Annotated[int | None, typer.Option("--repeat", min=1, help="Run every case N times.")]
UntilFail = Annotated[
    bool,
    typer.Option(
        "--until-fail",
        help="Repeat every case until it does not pass: --repeat times at most, or 1000.",
    ),
]
Retries = Annotated[
    int | None,
    typer.Option(
        "--retries",
        min=0,
        metavar="N",
        help="Try a case that did not pass up to N times more: if one passes, it is flaky.",
    ),
]
Require = Annotated[
    str,
    typer.Option(
        "--require",
        metavar="N[%]",
        help="Exit 1 if fewer cases really run; those that scenarios leave out do not count.",
    ),
]
FailOnSkip = Annotated[
    list[str] | None,
    typer.Option(
        FAIL_ON_SKIP,
        metavar="[=PATTERN]",
        help="Exit 1 if a case is skipped, for any cause or for one that matches, as in =no-*.",
    ),
]
Expect = Annotated[
    list[Path] | None,
    typer.Option("--expect", metavar="FILE", help="Known failures beside the scenarios' own."),
]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="TIME", help="For every case, as in 30s or 5m.")
]
All = Annotated[bool, typer.Option("--all", help="Also tests in the group 'nodefault'.")]
HostFile = Annotated[
    Path | None, typer.Option("--host", metavar="FILE", help="Host file: QEMUs and builds by name.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Ask QEMU and KVM again, not the cache.")]
MetricsAddress = Annotated[
    str,
    typer.Option("--metrics", metavar="ADDR:PORT", help="Serve metrics for Prometheus meanwhile."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ShardOption = Annotated[
    str,
    typer.Option("--shard", metavar="I/N", help="Only part I of N, each case in exactly one."),
]
SharedDurations = Annotated[
    Path | None,
    typer.Option(
        "--durations", metavar="FILE", help="Balance --shard by a run's times; same for all parts."
    ),
]
HistoryDatabase = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="URL", help="The history: a file, or postgresql://USER@HOST/NAME."
    ),
]
NoHistory = Annotated[
    bool, typer.Option("--no-history", help="Neither read nor write the history of runs.")
]
