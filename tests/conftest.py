"""What holds for all tests: they leave the user's own state alone, and come out the same each time.

``pytest --hypothesis-profile=explore`` looks for new examples of the properties instead.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The speed of the machine is no property of what is tested, nor is what was drawn another time.
settings.register_profile(
    "matrix",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("matrix")


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test records its runs in the history of whoever runs the tests, nor reads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATRIX_STATE", str(tmp_path_factory.mktemp("state")))
        patch.delenv("MATRIX_DATABASE", raising=False)
        yield
