"""The user's folders, also where there is no user to speak of (no HOME, a uid without a name), and
this program itself."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs

NOWHERE = Path(os.devnull)
"""The home of who has none: nothing is found there, and root cannot make anything there either."""


def expanded(path: str | Path) -> Path:
    """The path with ``~`` filled in; as it is where nobody knows what that would be."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser() raises then


def cache_folder() -> Path:
    """Where caches of this program are kept."""
    return _known(platformdirs.user_cache_dir, ".cache")


def state_folder() -> Path:
    """Where state is kept between runs."""
    return _known(platformdirs.user_state_dir, ".local/state")


def config_folder() -> Path:
    """Where the user's settings are."""
    return _known(platformdirs.user_config_dir, ".config")


def own_command(module: str = "matrix") -> tuple[str, ...]:
    """The words that start this program once more, or another module of it.

    What lies in the current folder is not imported (``-P``), unless this program itself was found
    in the first place where Python looks, as by ``python -m matrix`` in its source tree.
    """
    in_tree = sys.path[:1] == [str(Path(__file__).parents[1])]
    return (sys.executable, *(() if in_tree else ("-P",)), "-m", module)


def _known(place: Callable[[str], str], usual: str) -> Path:
    """The folder; the ``usual`` one below :data:`NOWHERE` where ``~`` cannot be filled in."""
    try:
        path = Path(place("matrix"))
    except RuntimeError:  # platformdirs, of a home that nobody knows
        path = Path()
    return path if path.is_absolute() else NOWHERE / usual / "matrix"
