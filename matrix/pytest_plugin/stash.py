"""Where a pytest session keeps its :class:`MatrixSession`; as cheap to import as the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from matrix.pytest_plugin.plugin_session import MatrixSession

SESSION = pytest.StashKey["MatrixSession"]()


def session_of(config: pytest.Config) -> MatrixSession:
    """What is kept over the session; made when it is first needed."""
    if SESSION not in config.stash:
        from matrix.pytest_plugin.plugin_session import MatrixSession

        config.stash[SESSION] = MatrixSession(config)
    return config.stash[SESSION]
