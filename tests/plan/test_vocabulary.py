"""Values that no QEMU of the run takes, as opposed to those that only some take."""

from typing import Any

from matrix.inventory import Binary, Machine
from matrix.migrating import Migration
from matrix.model import Architecture
from matrix.plan.vocabulary import wrong_values
from tests import make

X86 = Architecture.X86_64


def old() -> Binary:
    binary: Binary = make.binary(
        X86,
        machines=(Machine("pc-q35-7.2", "q35", 288, properties="smm=bool dumpdtb=string"),),
        cpus=("max",),
        cpu_properties=("x2apic=bool",),
    )
    return binary


def new() -> Binary:
    binary: Binary = make.binary(
        X86,
        qemu="new",
        version=(11, 1, 0),
        machines=(Machine("pc-q35-11.1", "q35", 4096, properties="smm=bool wdat=bool"),),
        cpus=("max", "diamond"),
        cpu_properties=("x2apic=bool apx=bool", ""),
    )
    return binary


def wrong(*binaries: Binary, **axes: Any) -> list[tuple[str, str, str]]:
    cases = [make.case(arch=X86, qemu=binary.qemu, **axes) for binary in binaries]
    found = wrong_values(cases, [make.inventory(*binaries)])
    return [(each.axis, each.message, each.allowed) for each in found]


def test_what_nobody_knows_is_wrong_with_the_nearest_name() -> None:
    both = (old(), new())
    where = "in QEMU 7.2.22, 11.1.0 for x86_64"
    assert wrong(*both, machine="q53", cpu="max,+x2apicc") == [
        ("machine", f"machine: no machine 'q53' {where}", "did you mean 'q35'?"),
        (
            "cpu",
            f"cpu: no property 'x2apicc' of CPU model 'max' {where}",
            "did you mean 'x2apic'?",
        ),
    ]
    ((_, message, allowed),) = wrong(*both, machine="q35,wdta=on")
    assert (message, allowed) == (
        f"machine: no property 'wdta' of machine 'q35' {where}",
        "did you mean 'wdat'?",
    )
    ((_, _, allowed),) = wrong(*both, cpu="zzzzzz")
    assert allowed == "QEMU's help lists what there is"


def test_what_some_know_is_not_wrong() -> None:
    both = (old(), new())
    assert wrong(*both, machine="pc-q35-11.1,wdat=on", cpu="max,apx=on") == []
    assert wrong(*both, machine="q35,wdat=on", cpu="diamond") == []
    assert len(wrong(old(), machine="q35,wdat=on", cpu="diamond")) == 2


def test_what_no_scenario_may_have_is_wrong() -> None:
    ((axis, message, _),) = wrong(old(), new(), machine="q35,dumpdtb=/tmp/x")
    assert axis == "machine"
    assert message.startswith("machine: property 'dumpdtb' of machine 'q35'")
    assert "types it as string" in message


def test_who_does_not_answer_decides_nothing() -> None:
    assert wrong(old(), machine="q35", cpu="max") == []
    cases = [make.case(arch=X86, machine="q53", cpu="mxa")]
    assert list(wrong_values(cases, [make.inventory()])) == []
    assert list(wrong_values(cases, [make.inventory(make.binary(X86))])) == []
    dumb = make.binary(X86, machines=(Machine("q35"),), cpus=("max",))
    cases = [make.case(arch=X86, machine="q35,smm=on", cpu="max,x2apic=on")]
    assert list(wrong_values(cases, [make.inventory(dumb)])) == []


def test_what_the_scenario_skips_is_not_looked_at() -> None:
    cases = [make.case(arch=X86, machine="q53", excluded="not here")]
    assert list(wrong_values(cases, [make.inventory(old())])) == []


def test_the_machine_of_a_migration() -> None:
    def found(machine: str) -> list[str]:
        migration = Migration(destinations=("new",), machine=machine)
        cases = [make.case(arch=X86, migration=migration)]
        inventory = make.inventory(old(), new())
        return [each.axis for each in wrong_values(cases, [inventory])]

    assert found("pc-q35-7.2,dumpdtb=/tmp/x") == ["destination.machine"]
    assert found("pc-q35-2.7") == ["destination.machine"]
    assert found("pc-q35-7.2") == found("newest-common") == found("") == []


def test_what_one_host_takes_is_no_mistake() -> None:
    cases = [make.case(arch=X86, cpu="new")]
    hosts = [
        make.inventory(make.binary(X86, cpus=("old",))),
        make.inventory(make.binary(X86, cpus=("old", "new"))),
    ]
    assert len(list(wrong_values(cases, hosts[:1]))) == 1
    assert list(wrong_values(cases, hosts)) == []
