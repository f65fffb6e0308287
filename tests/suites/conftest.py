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
    """Configurations and logs of real kvm-unit-tests runs, where they lie beside the working copy.

    They are under the GPL and no part of this project; ``data/recorded`` has what is told by them.
    """
    path = Path(__file__).parents[2] / "../shared/kvm-unit-tests"
    if not path.is_dir():
        pytest.skip(f"{path.name}' unittests.cfg, under the GPL, is not in this project")
    return path.resolve()
