"""Values of options, read as scenarios read theirs; what is wrong with one names the option."""

from collections.abc import Iterable
from pathlib import Path

from matrix.errors import UsageError
from matrix.hosts.folders import build_directory
from matrix.model import Architecture
from matrix.places import expanded
from matrix.scenario.values import parse_arch, parse_limit
from matrix.scenario.wording import Refused


def build_options(options: Iterable[str]) -> dict[Architecture, Path]:
    """``--build ARCH=DIR`` options as a mapping.

    Raises:
        UsageError: not ARCH=DIR, no such architecture or folder, or the same architecture twice.
    """
    builds: dict[Architecture, Path] = {}
    for option in options:
        name, equals, directory = option.partition("=")
        if not equals or not directory:
            raise UsageError(f"--build {option!r}: write ARCH=DIR, as in --build arm64=build/arm64")
        architecture = architecture_named("--build", name)
        if architecture in builds:
            raise UsageError(f"--build {option!r}: there is another one for {architecture.value}")
        builds[architecture] = _build_directory(option, directory)
    return builds


def _build_directory(option: str, directory: str) -> Path:
    try:
        return build_directory(expanded(directory))
    except Refused as refused:
        raise UsageError(f"--build {option}: {refused}") from None
    except RuntimeError:  # ~USER where there is no such user
        raise UsageError(f"--build {option}: there is no user of that name; write ./~…") from None


def architecture_named(option: str, name: str) -> Architecture:
    """The architecture of that name or alias, which was given to ``option``.

    Raises:
        UsageError: there is none, or several.
    """
    try:
        return parse_arch(name)
    except Refused as refused:
        raise UsageError(f"{option}: {refused}") from None


def duration_named(option: str, text: str) -> float:
    """Seconds that were given to ``option`` as a time.

    Raises:
        UsageError: it is not a time.
    """
    try:
        return parse_limit(text)
    except Refused as refused:
        raise UsageError(f"{option}: {refused.message}; {refused.allowed}") from None
