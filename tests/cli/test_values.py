"""Machines, CPU models and properties that no QEMU takes: errors where they stand, never skips."""

import shutil

import pytest

from tests.cli.conftest import World

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no qemu-system-x86_64"),
]

SCENARIO = """\
name: values
suite: {kind: kvm-unit-tests, build: builtin, tests: [boot]}
matrix:
  arch: [x86_64]
  accel: [tcg]
  machine: [q35, q53]
  include:
    - {arch: x86_64, machine: "q35,boot.splash=/dev/null", cpu: "max,+x2apicc"}
"""


@pytest.mark.parametrize("command", [("list",), ("run", "-o", "out")])
def test_what_no_qemu_takes_is_an_error_at_its_line(world: World, command: tuple[str, ...]) -> None:
    (world.root / "values.yaml").write_text(SCENARIO)
    done = world.run(*command, "values.yaml")
    lines = done.stderr.replace("matrix: ", "").splitlines()
    problems = [line for line in lines if line.startswith("values.yaml")]
    assert done.returncode == 2
    assert [line.split(": ")[0] for line in problems] == [
        *("values.yaml:6:18", "values.yaml:8:31", "values.yaml:8:65")
    ]
    assert "no machine 'q53' in QEMU" in problems[0]
    assert problems[0].endswith("did you mean 'q35'?")
    assert "'splash' in property 'boot' of machine 'q35'" in problems[1]
    assert problems[2].endswith("did you mean 'x2apic'?")
    assert not (world.root / "out").exists()


def test_an_option_is_wrong_by_its_name(world: World) -> None:
    (world.root / "values.yaml").write_text(SCENARIO.partition("  include")[0])
    done = world.run("list", "values.yaml", "--set", "machine=q53", "--set", "cpu=qemu63")
    assert done.returncode == 2
    assert "--set machine=q53: machine: no machine 'q53' in QEMU" in done.stderr
    assert "--set cpu=qemu63: cpu: no CPU model 'qemu63' in QEMU" in done.stderr
    done = world.run("list", "values.yaml", "--set", "machine=q35,smm=on", "--set", "cpu=max")
    assert (done.returncode, done.stdout.count("run ")) == (0, 1)
