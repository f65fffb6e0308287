"""Progress on a terminal: what runs, how long already, what its guest said last."""

import time
from pathlib import Path
from typing import Self

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from matrix.attempt import Attempt
from matrix.cli.live_names import live_names
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
from matrix.plan.decisions import Decision, Run
from matrix.results.counts import Counts
from matrix.run.progress import Running

TIME_WIDTH = 7
"""Columns of how long a case has been running, with the gap behind it."""

LEAST_TAIL = 24
"""Columns for what a guest said last, below which it has a line of its own."""

WIDE = 120
"""From this width on the last hop is described, not only counted."""


class LiveProgress:
    """Running cases with their elapsed time and last console line, counts, and the time left."""

    def __init__(self, output: ColourOutput, run: Path, told: set[str]) -> None:
        """``told`` takes the ids of the cases whose failures are printed in full."""
        self._told = told
        self._output = output
        self._console = output.console
        self._run = run
        self._running: dict[int, Running] = {}
        self._counts = Counts()
        self._hops = HopCounts()
        self._total = 0
        self._names: dict[str, str] = {}
        self._ends: float | None = None
        """``time.monotonic()`` at the end of the run, as it is expected now."""
        self._since = time.monotonic()
        self._live = Live(console=self._console, refresh_per_second=4, get_renderable=self.render)

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
        self._names = live_names(each.case for each in decisions if isinstance(each, Run))
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
        self._ends = None if left is None else time.monotonic() + left
        if not attempt.verdict.good:
            self._told.add(running.decision.case.id)
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

    def render(self) -> RenderableType:
        """The view as it is now."""
        now = time.monotonic()
        shown = sorted(self._running.values(), key=lambda running: running.since)
        names = [self._names.get(each.decision.case.id, each.decision.case.id) for each in shown]
        width = self._console.size.width
        longest = max(map(cell_len, names), default=0)
        beside = longest + LEAST_TAIL <= width - TIME_WIDTH
        room = max(1, self._console.size.height - 4) // (1 if beside else 2)
        lines: list[Text] = []
        for running, name in list(zip(shown, names, strict=True))[:room]:
            head = Text(f"{duration(now - running.since):>{TIME_WIDTH - 1}} ")
            head.append(name, "bold")
            tail = self._tail(running, width)
            if beside:
                head.pad_right(longest - cell_len(name) + 2)
                lines.append(_cut(head + tail, width))
            else:
                lines += [head, _cut(Text(" " * (TIME_WIDTH + 2)) + tail, width)]
        if len(shown) > room:
            lines.append(Text(f"{'':{TIME_WIDTH}}and {len(shown) - room} more"))
        return Group(*lines, self._status(now))

    def _tail(self, running: Running, width: int) -> Text:
        """How many hops a guest has made, and what it said last."""
        case_id = running.decision.case.id
        hops = self._hops.of(case_id) if width >= WIDE else self._hops.brief(case_id)
        said = Text(running.console.last_line, style="dim")
        return Text(f"{hops}  ", style="cyan") + said if hops else said

    def _status(self, now: float) -> Text:
        done = self._counts.total
        parts = [Text(f"{done}/{self._total}")]
        parts += [
            Text(text, style=VERDICT_STYLES[verdict] if verdict else "")
            for verdict, text in self._counts.parts()
        ]
        if self._running:
            parts.append(Text(f"{len(self._running)} running"))
        parts.append(Text(f"{duration(now - self._since)} elapsed"))
        if self._ends is not None and done < self._total and self._ends > now:
            parts.append(Text(f"about {duration(self._ends - now)} left"))
        return Text("  ").join(parts)


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text
