"""Fixtures of the suite tests: small build directories, and recordings of real runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

BuildWriter = Callable[..., Path]

CONFIG = """\
# a comment
SRCDIR=.
ARCH=x86_64
TEST_DIR=x86
ENVIRON_DEFAULT=yes
"""


@pytest.fixture
def write_build(tmp_path: Path) -> BuildWriter:
    """Writes a build directory: ``config.mak``, ``unittests.cfg``, and its images, empty."""

    def write(
        tests: str | bytes = "[one]\nfile = one.flat\n",
        config: str = CONFIG,
        *,
        images: tuple[str, ...] = ("one.flat",),
        folder: str = "x86",
    ) -> Path:
        directory = tmp_path / "build"
        (directory / folder).mkdir(parents=True, exist_ok=True)
        (directory / "config.mak").write_text(config)
        content = tests.encode() if isinstance(tests, str) else tests
        (directory / folder / "unittests.cfg").write_bytes(content)
        for image in images:
            (directory / folder / image).touch()
        return directory

    return write


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Data of real kvm-unit-tests runs, which only some working copies have beside them."""
    path = Path(__file__).parents[2] / "../shared/kvm-unit-tests"
    if not path.is_dir():
        pytest.skip("the recorded kvm-unit-tests runs are not here")
    return path.resolve()
