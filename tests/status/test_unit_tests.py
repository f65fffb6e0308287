from collections.abc import Callable

from matrix.status.unit_tests import read_unit_tests
from tests.status.conftest import Repository


def test_sections_that_are_added_are_new_tests(
    repository: Callable[[str], Repository],
) -> None:
    made = repository("kut")
    cfg = made.path / "x86/unittests.cfg"
    cfg.parent.mkdir()
    for text in (
        "[apic]\nfile = apic.flat\n",
        "[apic]\nfile = apic.flat\n\n[vmx]\nfile = vmx.flat\n",
        "[vmx]\nfile = vmx.flat\n\n[apic]\nfile = apic.flat\n",  # moved
        "[vmx]\nfile = vmx.flat\nextra_params = -cpu max\n",
    ):
        cfg.write_text(text)
        made.commit("Ann <ann@redhat.com>")
    (made.path / "arm").mkdir()
    (made.path / "arm/unittests.cfg").write_text("[gicv3]\n")
    made.commit("Bob <bob@arm.com>")
    found = read_unit_tests(made.path)
    assert [(each.part, each.name) for each in found] == [
        ("arm64", "gicv3"),
        ("x86", "vmx"),
        ("x86", "apic"),
    ]
    assert found[0].time - found[-1].time == 4 * 86400
