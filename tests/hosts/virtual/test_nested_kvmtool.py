"""kvmtool in a virtual host: its command line."""

from matrix.hosts.virtual.nested_kvmtool import NestedKvmtool
from matrix.hosts.virtual.nested_qemu import INITRD
from matrix.hosts.virtual.programs import Programs
from matrix.model import Architecture, Target
from tests import make

AARCH64 = Architecture.AARCH64


def test_the_command_line_is_that_of_a_machine_with_kvm() -> None:
    build = make.build(AARCH64, target=Target.KVMTOOL)
    test = make.test("gic", "/b/gic.flat", arguments="ipi", kvmtool_params=("--irqchip=gicv3",))
    kvmtool = NestedKvmtool("/home/me/lkvm", Programs())
    files = {"/b/gic.flat": "/files/1", INITRD: "/files/2"}
    argv = kvmtool.launch(make.case(test, AARCH64, build=build), files, "aarch64").argv
    text = " ".join(argv)
    assert text.startswith("/home/me/lkvm run --kernel /files/1 --cpus 1 --params ipi --nodefaults")
    assert text.endswith("--irqchip=gicv3 --initrd /files/2")
