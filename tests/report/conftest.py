"""Runs to write reports about, and a browser to look at them with."""

import math
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pydantic_core import to_json

from matrix.attempt import Attempt
from matrix.inventory import Host
from matrix.migrating import (
    Hop,
    HopEvent,
    HopOutcome,
    Limits,
    MigrationSummary,
    Sample,
    Statistic,
    Strategy,
)
from matrix.model import Architecture
from matrix.plan.decisions import Decision
from matrix.report.case_rows import Row, fill_row, new_row
from matrix.results.case_record import record_of
from matrix.results.recorder import Recorder
from matrix.results.run_info import QemuFingerprint, RunInfo, ScenarioSource
from matrix.results.run_record import RunRecord, load_run
from matrix.verdicts import Verdict
from tests import make

Files = dict[str, str | bytes]


Results = Sequence[tuple[Decision, Attempt | None, Files]]
"""Each decision with what came of it, and the files that it left."""

RunMaker = Callable[..., RunRecord]


def record_run(path: Path, results: Results, **more: Any) -> RunRecord:
    """A whole run directory, as the recorder writes it."""
    decisions = [decision for decision, _, _ in results]
    info = RunInfo(
        **{
            "started": "2026-11-21T09:30:00.000Z",
            "host": Host("x86_64", "6.1.0", cpus=2, memory=4 * 2**30, cpu_model="Fast CPU"),
            "hostname": "builder",
            "scenarios": (ScenarioSource.of("smoke", "smoke.yaml", "name: smoke\n"),),
            "arguments": ("run", "smoke.yaml", "-o", "somewhere"),
            "binaries": tuple(
                QemuFingerprint("system", each, "/usr/bin/qemu", "7.2.0") for each in Architecture
            ),
            **more,
        }
    )
    with Recorder.start(path, info, decisions) as recorder:
        for decision, attempt, files in results:
            if attempt is None:
                continue
            folder = recorder.begin(decision.case, 1)
            for name, content in files.items():
                file = folder / name
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(content if isinstance(content, bytes) else content.encode())
            done = replace(
                attempt,
                artifacts=recorder.run.relative(folder),
                command=str(folder / "command.sh"),
            )
            recorder.finish(decision.case, done)
        recorder.end()
    return load_run(path)


@pytest.fixture(scope="session")
def record_at() -> RunMaker:
    """:func:`record_run`."""
    return record_run


@pytest.fixture
def recorded(tmp_path: Path) -> RunMaker:
    """Makes a run directory in which each case came to what is given."""

    def record(results: Results, name: str = "run", **more: Any) -> RunRecord:
        return record_run(tmp_path / name, results, **more)

    return record


def hops_of(count: int, *, bad: Sequence[int] = (), seed: int = 1) -> Iterator[Hop]:
    """Hops as a soak has them: two QEMU versions, three strategies, downtimes of some 10 ms."""
    chance = random.Random(seed)
    for number in range(1, count + 1):
        strategy = (Strategy.PRECOPY, Strategy.POSTCOPY, Strategy.MULTIFD)[number % 3]
        downtime = 0.02 * math.exp(chance.gauss(0, 0.6))
        stop, end = 0.9, 0.9 + downtime
        good = number not in bad
        yield Hop(
            number=number,
            begun=1.79e9 + number * 1.3,
            strategy=strategy,
            transport="unix",
            source=f"system 7.2.{number % 2}",
            destination=f"system 7.2.{(number + 1) % 2}",
            machine="pc-q35-7.2",
            outcome=HopOutcome.COMPLETED if good else HopOutcome.LOST,
            good=good,
            reason="" if good else "the destination never resumed",
            seconds=end + 0.05,
            total_time=end,
            setup_time=0.003,
            downtime=downtime,
            stop_to_resume=downtime * 1.2 + 0.001,
            blackout=downtime * 1.4 + 0.002,
            clock_jump=chance.gauss(0, 1e-4),
            requests=40,
            in_flight=number % 9,
            transferred=int(40e6 * math.exp(chance.gauss(0, 0.3))),
            passes=chance.randint(2, 9),
            throughput=8e7,
            events=(
                HopEvent(0.001, "source", "MIGRATION setup"),
                HopEvent(0.01, "source", "MIGRATION active"),
                HopEvent(stop, "source", "STOP"),
                HopEvent(stop + 0.001, "source", "MIGRATION device"),
                HopEvent(end, "source", "MIGRATION completed"),
                HopEvent(end + 0.001, "destination", "RESUME"),
            ),
            samples=tuple(
                Sample(
                    at=0.05 * step,
                    status="active",
                    remaining=int(192e6 * (0.7**step)),
                    transferred=int(2.2e6 * step),
                    passes=1 + step // 4,
                    dirty_rate=int(2e7 + 1e6 * step),
                    throughput=8e7 + 1e6 * chance.random(),
                )
                for step in range(18)
            ),
        )


def hop_lines(hops: Iterator[Hop]) -> str:
    return "".join(to_json(each).decode() + "\n" for each in hops)


LIMITS = Limits(downtime_p99=0.1, downtime_max=0.3, blackout_max=0.5)


@pytest.fixture(scope="session")
def summary() -> MigrationSummary:
    return MigrationSummary(
        hops=300,
        completed=299,
        as_expected=0,
        bad=1,
        seed=7,
        seconds=400.0,
        statistics=(
            Statistic("downtime", "s", 300, 0.02, 0.04, 0.09, 0.12),
            Statistic("blackout", "s", 300, 0.03, 0.06, 0.13, 0.17),
        ),
        broken=("downtime_max 300ms: hop 7 took 412 ms",),
    )


PATIENCE = 120_000
"""ms until a browser that does not do what it should is given up, on a busy host too."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, Debian's or what is installed as one.

    Not for the whole session: while playwright is there, its event loop runs, and tests of other
    modules could not have one.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no chromium is installed (.ci/install-packages chromium)")
    # Its sandbox does not let root in, and CI's containers run as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE)
        started = playwright.chromium.launch(
            executable_path=program, args=arguments, timeout=PATIENCE
        )
        yield started
        started.close()


class Reader:
    """A page as its reader has it, with everything that went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: self._dialog(dialog))

    def _dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, path: Path, place: str = "") -> Page:
        """Open a report at a place (``#cases?v=bad``) and wait until it is drawn."""
        self.page.goto(f"about:blank{place}")
        self.page.goto(path.as_uri() + place)
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return self.page

    def go(self, place: str) -> Page:
        """Go to another place of the same page."""
        self.page.evaluate("delete document.documentElement.dataset.ready")
        self.page.evaluate("place => { location.hash = place }", place)
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return self.page


def wait_until(page: Page, expression: str) -> None:
    """Wait until an expression of JavaScript is true.

    ``wait_for_function`` cannot: what is not true at first it has the page itself evaluate, again
    and again, and our pages' policy forbids that.
    """
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never true: {expression}"
        page.wait_for_timeout(20)


@pytest.fixture
def reader(browser: Browser) -> Iterator[Reader]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    reader = Reader(page)
    yield reader
    page.close()


@pytest.fixture
def write_hops(tmp_path: Path) -> Callable[..., Path]:
    """Writes a ``hops.jsonl`` of so many hops."""

    def write(count: int, **more: Any) -> Path:
        path = tmp_path / "hops.jsonl"
        path.write_text(hop_lines(hops_of(count, **more)))
        return path

    return write


RowsOf = Callable[..., list[Row]]


@pytest.fixture
def rows_of() -> RowsOf:
    """Rows from (test, architecture, verdict, reason[, axes])."""

    def build(*cases: Sequence[Any]) -> list[Row]:
        rows = []
        for test, arch, verdict, reason, *more in cases:
            case = make.case(test, arch, **(more[0] if more else {}))
            run = make.run(case)
            row = new_row(0, "run", run, {})
            if verdict == "skip":
                row.verdict, row.reason = Verdict.SKIP, reason
            elif verdict is not None:
                attempt = make.attempt(verdict, reason, accelerator=run.accelerator)
                fill_row(row, record_of(case, [attempt]))
            rows.append(row)
        return rows

    return build
