"""Which YAML files are scenarios that the user wants run: by where they are and by their keys.

Plugins of pytest and projects have YAML files of their own. One of theirs is left alone unless it
has the three keys that every scenario has; and a scenario too, unless it was asked for.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

LARGEST = 2**20
"""Bytes that are looked at: scenarios are a few KiB."""

KEYS = (b"name", b"suite", b"matrix")
"""The top-level keys that every scenario has."""

_KEY = re.compile(rb"""^["']?(name|suite|matrix)["']?[ \t]*:(?:\s|$)""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: files and folders, absolute."""

    paths: frozenset[Path]

    def covers(self, path: Path) -> bool:
        """Whether ``path`` was named, or is in a folder that was."""
        return path in self.paths or not self.paths.isdisjoint(path.parents)


WANTED = pytest.StashKey[Wanted]()


def is_wanted(config: pytest.Config, path: Path) -> bool:
    """Whether ``path`` is a scenario, and was named on the command line or in
    ``matrix_scenarios``, or is in a folder that was."""
    if WANTED not in config.stash:
        config.stash[WANTED] = _wanted(config)
    return config.stash[WANTED].covers(path) and is_scenario(path)


def is_scenario(path: Path) -> bool:
    """Whether the file has the keys of a scenario; whether it is a valid one is seen later."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST)
    except OSError:
        return False
    return {match[1] for match in _KEY.finditer(data)} == set(KEYS)


def add_configured(config: pytest.Config) -> None:
    """Have pytest look at ``matrix_scenarios`` beside ``testpaths``, where nothing is named."""
    if config.args_source is config.ArgsSource.ARGS:
        return
    given = Wanted(frozenset(_path(config, argument) for argument in config.args))
    for path in config.getini("matrix_scenarios"):
        if path.exists() and not given.covers(path):
            config.args.append(str(path))


def _wanted(config: pytest.Config) -> Wanted:
    paths = set(config.getini("matrix_scenarios"))
    if config.args_source is config.ArgsSource.ARGS:
        paths.update(_path(config, argument) for argument in config.args)
    return Wanted(frozenset(paths))


def _path(config: pytest.Config, argument: str) -> Path:
    """The file or folder that an argument such as ``scenarios/a.yaml::case`` names.

    As pytest does it: symbolic links are not followed.
    """
    name = argument.partition("::")[0]
    return Path(os.path.abspath(config.invocation_params.dir / name))  # noqa: PTH100 - see above
