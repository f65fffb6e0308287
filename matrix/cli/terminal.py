"""Progress on a terminal: what runs, how long already, what its guest said last."""

import time
from pathlib import Path
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from matrix.attempt import Attempt
from matrix.cli.plain_progress import (
    HopCounts,
    bad_hop,
    failure,
    host_again,
    interruption,
    lost_host,
    opening,
    trouble,
)
from matrix.cli.style import VERDICT_STYLES, ColourOutput, duration
from matrix.migrating import Hop
from matrix.model import Case
from matrix.plan.decisions import Decision
from matrix.results.counts import Counts
from matrix.run.progress import Running


class LiveProgress:
    """Running cases with their elapsed time and last console line, counts, and the time left."""

    def __init__(self, output: ColourOutput, run: Path) -> None:
        self._output = output
        self._console = output.console
        self._run = run
        self._running: dict[int, Running] = {}
        self._counts = Counts()
        self._hops = HopCounts()
        self._total = 0
        self._left: float | None = None
        self._since = time.monotonic()
        self._live = Live(console=self._console, refresh_per_second=4, get_renderable=self._render)

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

    def expected(self, attempts: int) -> None:
        """Count to another number from now on."""
        self._total = attempts

    def started(self, running: Running) -> None:
        """Show it."""
        self._running[id(running)] = running

    def hopped(self, case_id: str, hop: Hop) -> None:
        """Show how many there were, and say so at once where one went wrong."""
        self._hops.add(case_id, hop)
        if not hop.good:
            self._output.say([bad_hop(case_id, hop)])

    def finished(self, running: Running, attempt: Attempt, left: float | None) -> None:
        """Count it, and print the failure where there is one."""
        self._running.pop(id(running), None)
        self._hops.forget(running.decision.case.id)
        self._counts.verdicts[attempt.verdict] += 1
        self._left = left
        if not attempt.verdict.good:
            self._output.say(failure(running, attempt, self._run, self._output.width))

    def moved(self, running: Running, attempt: Attempt) -> None:
        """Show it no longer, and say why."""
        self._running.pop(id(running), None)
        self._hops.forget(running.decision.case.id)
        self._output.say([trouble(running, attempt)])

    def host_lost(self, host: str, why: str) -> None:
        """Say so."""
        self._output.say([lost_host(host, why)])

    def host_back(self, host: str) -> None:
        """Say so."""
        self._output.say([host_again(host)])

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
                Text(self._hops.of(running.decision.case.id), style="cyan")
                or Text(running.console.last_line, style="dim"),
            )
        if len(shown) > room:
            table.add_row("", f"and {len(shown) - room} more", "")
        return Group(table, self._status(now))

    def _status(self, now: float) -> Text:
        done = self._counts.total
        parts = [Text(f"{done}/{self._total}")]
        parts += [
            Text(text, style=VERDICT_STYLES[verdict] if verdict else "")
            for verdict, text in self._counts.parts()
        ]
        parts.append(Text(f"{duration(now - self._since)} elapsed"))
        if self._left is not None and done < self._total:
            parts.append(Text(f"about {duration(self._left)} left"))
        return Text("  ").join(parts)
