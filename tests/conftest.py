"""What holds for all tests: they leave the user's own state alone."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test records its runs in the history of whoever runs the tests, nor reads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATRIX_STATE", str(tmp_path_factory.mktemp("state")))
        patch.delenv("MATRIX_DATABASE", raising=False)
        yield
