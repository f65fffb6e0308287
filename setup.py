"""Adds to the package what is made from its own commands: the manual page and shell completion.

Everything else is in pyproject.toml. What is made lies in build/ and is installed below share/.
"""

import sys
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
MADE = Path("build/share")

sys.path.insert(0, str(ROOT))  # a build does not find the project by itself

from matrix.cli.completion import PLACES, completion_script  # noqa: E402 - see above
from matrix.cli.manual import manual  # noqa: E402


def data_files() -> list[tuple[str, list[str]]]:
    """(folder of the environment, files of the project) of what is no Python."""
    texts = {"man/man1/matrix.1": manual()}
    texts |= {place: completion_script(shell) for shell, place in PLACES.items()}
    found = []
    for place, text in texts.items():
        path = MADE / place
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text + "\n", encoding="utf-8")
        found.append((f"share/{Path(place).parent}", [path.as_posix()]))
    for folder in (
        ROOT / "scenarios",
        *sorted(p for p in (ROOT / "scenarios").rglob("*") if p.is_dir()),
    ):
        relative = folder.relative_to(ROOT)
        files = sorted(relative / file.name for file in folder.glob("*.yaml"))
        found.append((f"share/qemu-matrix/{relative}", [file.as_posix() for file in files]))
    return found


setup(data_files=data_files())
