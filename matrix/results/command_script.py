"""The text of ``command.sh``: a POSIX shell script that runs the very same QEMU by hand."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from matrix.model import Launch
from matrix.results.printable import printable


def command_script(
    launch: Launch, title: str, working_directory: Path | None = None, *, first: str = ""
) -> bytes:
    r"""The script that starts what ``launch`` starts, whatever bytes its arguments hold.

    One option with its values per line, so that a line can be taken out by hand; arguments given
    to the script are added at the end (``command.sh -d int``).

    Args:
        launch: the command line and what is added to its environment.
        title: what to say in the head of the script, usually the case's id.
        working_directory: where QEMU was started, for a command line with relative paths; None
            where it has none, so that the script does not depend on a folder that may be gone.
        first: what must be done by hand before it, as a comment.

    Returns:
        Bytes, because an argument need not be UTF-8.
    """
    program, *arguments = launch.argv
    what = f"Runs the same {launch.program} by hand"
    if "/" in program:
        program = os.path.abspath(program)  # noqa: PTH100 - Path.resolve would follow symlinks
    lines = [
        "#!/bin/sh",
        f"# {printable(title)}",
        f"# {what}; arguments given here are added to its command line.",
    ]
    if first:
        lines.append(f"# {printable(first)}")
    if working_directory is not None:
        lines.append(f"cd {shlex.quote(os.fspath(working_directory))} || exit")
    head = ["exec"]
    if launch.environment:
        head += ["env", *(shlex.quote(f"{name}={value}") for name, value in launch.environment)]
    head.append(shlex.quote(program))
    groups = [" ".join(head), *_groups(arguments), '"$@"']
    lines.append(" \\\n  ".join(groups))
    return os.fsencode("\n".join(lines) + "\n")


def _groups(arguments: list[str]) -> Iterator[str]:
    """Each option joined with the values that follow it, quoted."""
    group: list[str] = []
    for argument in arguments:
        if argument.startswith("-") and group:
            yield " ".join(group)
            group = []
        group.append(shlex.quote(argument))
    if group:
        yield " ".join(group)
