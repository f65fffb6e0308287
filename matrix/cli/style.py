"""How the terminal shows things: one style per verdict, and durations in words."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from matrix.results.segments import Line, Style
from matrix.verdicts import Verdict

VERDICT_STYLES: dict[Verdict, str] = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.SKIP: "yellow",
    Verdict.XFAIL: "cyan",
    Verdict.XPASS: "magenta",
    Verdict.TIMEOUT: "bold red",
    Verdict.STALL: "bold red",
    Verdict.CRASH: "bold red",
    Verdict.ERROR: "bold magenta",
    Verdict.FLAKY: "bold yellow",
}


STYLES: dict[Style, str] = {
    Style.PLAIN: "",
    Style.HEADING: "bold",
    Style.FAINT: "dim",
    Style.PATH: "underline",
    **{Style.of(verdict): style for verdict, style in VERDICT_STYLES.items()},
}


def styled(line: Line) -> Text:
    """A line of results with its colours."""
    return Text.assemble(*((text, STYLES[style]) for text, style in line))


class ColourOutput:
    """Standard output with colours (see :class:`matrix.cli.standard_output.Output`)."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self.console.width

    def say(self, lines: Iterable[Line]) -> None:
        """Print lines of results as they are."""
        for line in lines:
            self.console.print(styled(line), soft_wrap=True, highlight=False)


def duration(seconds: float) -> str:
    """``7s``, ``2m05s``, ``1h02m``: short enough for a column."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
