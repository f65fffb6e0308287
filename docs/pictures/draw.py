"""Draws the pictures of the manual from real runs: ``make pictures``.

What a command prints becomes an SVG, a page of the report a PNG by headless Chromium. The runs are
made in a temporary folder, and where this program lies is left out. Look at what was drawn before
it is committed.
"""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COLUMNS = 80
LARGEST = 300_000
"""Bytes of a picture: every clone has them."""
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""rich loads its font from elsewhere; the manual loads nothing."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A command of which a terminal is drawn."""

    name: str
    words: str
    """Behind ``matrix``."""
    exits: int = 0
    lines: int = 60
    """At most so many are drawn."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A part of the report of a run, as large as a window."""

    name: str
    place: str
    width: int
    height: int


COMMANDS = (
    Printed("run", "run smoke --quiet -o runs/smoke"),
    Printed("failures", "run verdicts --arch s390x -k 'fail or hang' -o runs/failures", 1),
    Printed("show", "show runs/failures hang", lines=27),
)
REPORTED = "run verdicts -k 'not spin and not deadloop and not kvm' -q -o runs/verdicts"
"""The run of the report: it exits 1."""
VIEWS = (
    Seen("report-summary", "", 1200, 760),
    Seen("report-matrix", "#matrix", 1200, 600),
    Seen("report-narrow", "", 400, 760),
)


def terminal_picture(command: str, printed: str, lines: int) -> str:
    """What a terminal shows of a command, as SVG.

    Args:
        command: as typed.
        printed: with the escape sequences of colours.
        lines: how many of them are shown.
    """
    shown = printed.rstrip("\n").splitlines()
    if len(shown) > lines:
        shown = [*shown[:lines], "…"]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    console.print(Text(f"$ {command}", style="bold"), highlight=False)
    console.print(Text.from_ansi("\n".join(shown)), highlight=False)
    return FONTS.sub("", console.export_svg(title="qemu-matrix", unique_id="terminal"))


def report_picture(browser: Browser, report: Path, seen: Seen) -> bytes:
    """A part of a report as PNG, in its light colours."""
    page = browser.new_page(
        viewport={"width": seen.width, "height": seen.height}, color_scheme="light"
    )
    page.goto(report.as_uri() + seen.place)
    page.wait_for_selector("html[data-ready]", state="attached")
    picture = page.screenshot()
    page.close()
    return picture


def _run(folder: Path, words: str, exits: int) -> str:
    """What the command prints there, in colour, without the folder that this program is in.

    Raises:
        SystemExit: it ends in another way than it is to.
    """
    variables = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "MATRIX_STATE": str(folder / "state")}
    done = subprocess.run(
        [sys.executable, "-m", "matrix", *shlex.split(words)],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != exits:
        sys.exit(f"matrix {words} has ended with {done.returncode}, not {exits}")
    return done.stdout.replace(f"{ROOT}/", "")


def draw(folder: Path, target: Path) -> None:
    """Make the runs in ``folder``, and write all pictures to ``target``.

    Raises:
        SystemExit: a command does not end as it is to, or a picture is too large.
    """
    pictures = {
        f"{each.name}.svg": terminal_picture(
            f"matrix {each.words}", _run(folder, each.words, each.exits), each.lines
        ).encode("utf-8")
        for each in COMMANDS
    }
    _run(folder, REPORTED, 1)
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    arguments = [] if os.geteuid() else ["--no-sandbox"]  # it does not let root in
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        for each in VIEWS:
            report = folder / "runs/verdicts/report.html"
            pictures[f"{each.name}.png"] = report_picture(browser, report, each)
        browser.close()
    for name, picture in pictures.items():
        if len(picture) > LARGEST:
            sys.exit(f"{name} has {len(picture)} bytes, more than {LARGEST}")
        (target / name).write_bytes(picture)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        draw(Path(place), HERE)
