"""Options by which other runners know ours: whoever types one is told the name that it has here."""

from typing import Any

from typer.core import TyperCommand

ELSEWHERE = {
    "--maxfail": "--max-failures",
    "--exitfirst": "--fail-fast",
    "--stop-on-failure": "--fail-fast",
    "--failfast": "--fail-fast",
    "--ff": "--last-failed",
    "--failed-first": "--last-failed",
    "--rerun": "--last-failed",
    "--rerun-failed": "--failed",
    "-n": "--jobs",
    "--numprocesses": "--jobs",
    "--parallel": "--jobs",
    "--test-threads": "--jobs",
    "--workers": "--jobs",
    "--filter": "-k",
    "--keyword": "-k",
    "--only": "-k",
    "--test": "-k",
    "--count": "--repeat",
    "--reruns": "--retries",
    "--retry": "--retries",
    "--iterations": "--repeat",
    "--out": "--output",
    "--output-dir": "--output",
    "--outdir": "--output",
    "--no-cache": "--fresh",
    "--known-failures": "--expect",
    "--xfail": "--expect",
    "--partition": "--shard",
    "--kernel": "--virtual-host",
    "--qemu-binary": "--qemu",
    "--qemu-path": "--qemu",
    "--junitxml": "RUN/junit.xml is always written",
    "--collect-only": "the command 'matrix list'",
    "--co": "the command 'matrix list'",
    "--dry-run": "the command 'matrix list'",
    "--list": "the command 'matrix list'",
}
"""Option of pytest, nextest, kunit.py, avocado, tuxrun, ctest or virtme-ng → what it is here."""


GDBS = "-- before gdb's options"


class HintingCommand(TyperCommand):
    """A command that knows :data:`ELSEWHERE`, and that an axis is set by ``--set``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer's own; an unknown option of those has its name here beside the error."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # whatever it is, it is raised again
            # By name: the class is click's, which typer has as its own since 0.26.
            if type(error).__name__ == "NoSuchOption":
                unknown = str(getattr(error, "option_name", ""))
                hint = _hint(unknown, self._options())
                if self.name == "debug" and not unknown.startswith("--"):
                    hint = GDBS
                if hint:
                    error.possibilities = [hint]  # type: ignore[attr-defined]  # the class is typer's own
            raise

    def _options(self) -> set[str]:
        return {name for param in self.params for name in param.opts}


def _hint(unknown: str, known: set[str]) -> str:
    from matrix.scenario.axes import AXES

    axis = unknown.removeprefix("--")
    if axis in AXES and "--set" in known:
        return f"--set {axis}=VALUE"
    hint = ELSEWHERE.get(unknown, "")
    return hint if hint in known or not hint.startswith("-") else ""
