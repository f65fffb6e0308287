"""Progress on a terminal (rich, live) and elsewhere (plain lines), with failures as they happen."""

import time
from collections import Counter
from pathlib import Path
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from matrix.cli.style import VERDICT_STYLES, duration, styled
from matrix.model import Attempt, Case, Verdict
from matrix.plan.decisions import Decision, Run, Skip
from matrix.results.outcome import merge
from matrix.results.printable import printable
from matrix.run.progress import Running

_WITH_REASON = (Verdict.SKIP, Verdict.XFAIL, Verdict.XPASS)
"""Verdicts that are good and need a reason all the same."""


def failure(running: Running, attempt: Attempt, run: Path, width: int) -> list[Text]:
    """The lines that tell of an attempt that did not pass: as the summary will, but at once."""
    from matrix.results.text import outcome_lines  # loaded while guests run

    result = merge(running.decision.case, [attempt])
    return [styled(line) for line in outcome_lines(result, run, width)]


class PlainProgress:
    """One line per attempt: for pipes, files and CI logs."""

    def __init__(self, console: Console, run: Path) -> None:
        self._console = console
        self._run = run
        self._total = 0
        self._done = 0

    def planned(self, decisions: list[Decision], attempts: int) -> None:
        """Say how many cases there are."""
        self._total = attempts
        self._say(Text(opening(decisions, attempts)))

    def started(self, running: Running) -> None:
        """Nothing: the end of a case is what matters in a log."""

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:  # noqa: ARG002 - a log shows no forecast
        """One line, and the failure where there is one."""
        self._done += 1
        case = running.decision.case
        number = f" attempt {attempt.number}" if case.settings.repeat > 1 else ""
        words = f"  ({printable(attempt.reason)})" if attempt.verdict in _WITH_REASON else ""
        self._say(
            Text.assemble(
                f"[{self._done:>{len(str(self._total))}}/{self._total}] ",
                (f"{attempt.verdict.value:8}", VERDICT_STYLES[attempt.verdict]),
                f"{case.id}{number}  {attempt.accelerator}  {attempt.seconds:.1f} s{words}",
            )
        )
        if not attempt.verdict.good:
            for line in failure(running, attempt, self._run, self._console.width)[1:]:
                self._say(line)

    def interrupted(self, cases: tuple[Case, ...]) -> None:
        """Name what was running."""
        self._say(Text(interruption(cases)))

    def _say(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


class LiveProgress:
    """Running cases with their elapsed time and last console line, counts, and the time left."""

    def __init__(self, console: Console, run: Path) -> None:
        self._console = console
        self._run = run
        self._running: dict[int, Running] = {}
        self._counts: Counter[Verdict] = Counter()
        self._total = 0
        self._left: float | None = None
        self._since = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.clear()
        self._live.update(Text(""), refresh=True)
        self._live.stop()

    def planned(self, decisions: list[Decision], attempts: int) -> None:
        """Say how many cases there are."""
        self._total = attempts
        self._console.print(opening(decisions, attempts), highlight=False)

    def started(self, running: Running) -> None:
        """Show it."""
        self._running[id(running)] = running

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
        """Count it, and print the failure where there is one."""
        self._running.pop(id(running), None)
        self._counts[attempt.verdict] += 1
        self._left = left
        if not attempt.verdict.good:
            for line in failure(running, attempt, self._run, self._console.width):
                self._console.print(line, highlight=False, soft_wrap=True)

    def interrupted(self, cases: tuple[Case, ...]) -> None:
        """Name what was running."""
        self._console.print(interruption(cases), highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        table.expand = True
        now = time.monotonic()
        shown = sorted(self._running.values(), key=lambda running: running.since)
        room = max(1, self._console.size.height - 4)
        for running in shown[:room]:
            table.add_row(
                duration(now - running.since),
                Text(running.decision.case.id, style="bold"),
                Text(running.console.last_line, style="dim"),
            )
        if len(shown) > room:
            table.add_row("", f"and {len(shown) - room} more", "")
        return Group(table, self._status(now))

    def _status(self, now: float) -> Text:
        done = sum(self._counts.values())
        parts = [Text(f"{done}/{self._total}")]
        parts += [
            Text(f"{count} {verdict.value}", style=VERDICT_STYLES[verdict])
            for verdict, count in sorted(self._counts.items())
        ]
        parts.append(Text(f"{duration(now - self._since)} elapsed"))
        if self._left is not None and done < self._total:
            parts.append(Text(f"about {duration(self._left)} left"))
        return Text("  ").join(parts)


def opening(decisions: list[Decision], attempts: int) -> str:
    """The first line of a run."""
    runs = sum(1 for decision in decisions if isinstance(decision, Run))
    skips = sum(1 for decision in decisions if isinstance(decision, Skip))
    words = f"{runs} cases to run"
    if attempts != runs:
        words += f" ({attempts} attempts)"
    return f"{words}, {skips} to skip"


def interruption(cases: tuple[Case, ...]) -> str:
    """What an interrupt cut short."""
    names = ", ".join(case.id for case in cases)
    return f"interrupted, while these were running (they have no verdict): {names}"
