"""A run that tested nothing, or less than it was to test, does not exit 0."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--build", "arm64=gone"), "--build arm64=gone: there is no folder gone; give that of a"),
        (("--build", "x86=build"), "--build: 'x86' may be i386 or x86_64; write the one"),
        (("--qemu", "mine=gone"), "--qemu mine=gone: there is no folder {root}/gone; give a "),
        (("--host", "host.yaml"), "host.yaml:2:10: there is no folder {root}/gone; give that of"),
    ],
)
def test_a_path_that_is_named_and_not_there(
    world: Any, scripts: Any, arguments: tuple[str, ...], said: str
) -> None:
    world.suite(one=scripts.passing())
    (world.root / "host.yaml").write_text("qemu: {}\nbuilds: {arm: gone}\n")
    done = world.matrix_run(*arguments)
    assert done.returncode == 2
    assert said.format(root=world.root) in done.stderr
    assert not (world.root / "out").exists()
