"""Cases and inventories to plan with."""

from dataclasses import replace
from typing import Any

import pytest

from matrix.inventory import Binary, Host, Inventory, KvmProof, KvmState, Machine
from matrix.migrating import Migration
from matrix.model import Architecture, Build, Case, Test, Variant


class Maker:
    """Builds plain data with sensible defaults; keyword arguments override."""

    def test(self, **changes: Any) -> Test:
        return replace(Test(name="boot", image="/build/arm/guest.flat"), **changes)

    def build(self, architecture: Architecture = Architecture.AARCH64, **changes: Any) -> Build:
        build = Build(architecture, "/build", "/build/arm", default_cpu="max")
        return replace(build, **changes)

    def case(
        self,
        arch: Architecture = Architecture.AARCH64,
        *,
        test: Test | None = None,
        build: Build | None = None,
        excluded: str = "",
        migration: Migration | None = None,
        **axes: Any,
    ) -> Case:
        return Case(
            id="scenario.boot",
            scenario="scenario",
            suite="builtin",
            test=test or self.test(),
            variant=Variant(arch, **axes),
            build=build or self.build(arch),
            excluded=excluded,
            migration=migration,
        )

    def binary(self, arch: Architecture = Architecture.AARCH64, **changes: Any) -> Binary:
        binary = Binary(
            qemu="system",
            architecture=arch,
            path=f"/usr/bin/qemu-system-{arch.value}",
            version=(7, 2, 22),
            version_text="7.2.22",
            sandbox=True,
        )
        return replace(binary, **changes)

    def machine(self, name: str = "virt", cpu_max: int = 8) -> Machine:
        return Machine(name, cpu_max=cpu_max)

    def proof(
        self,
        state: KvmState,
        arch: Architecture = Architecture.X86_64,
        cpu: str = "",
        reason: str = "because",
    ) -> KvmProof:
        return KvmProof("system", arch, cpu, state, reason)

    def inventory(
        self, *binaries: Binary, proofs: tuple[KvmProof, ...] = (), **changes: Any
    ) -> Inventory:
        host = Host(architecture="x86_64", kernel="6.1.0", cpus=2, memory=8 * 2**30)
        inventory = Inventory(host, binaries=binaries, proofs=proofs)
        return replace(inventory, **changes)


@pytest.fixture(scope="session")
def make() -> Maker:
    return Maker()
