"""QMP replies made into a binary."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.hosts.answers import Answers, binary_of
from matrix.inventory import Binary, Machine
from matrix.model import Architecture
from tests.hosts.conftest import REPLIES


@pytest.fixture
def answers() -> Answers:
    return Answers(
        version=REPLIES["query-version"],
        machines=REPLIES["query-machines"],
        cpu_definitions=REPLIES["query-cpu-definitions"],
        cpu_types=None,
        kvm_present=True,
        accelerators=None,
        emulates=True,
        capabilities=REPLIES["query-migrate-capabilities"],
        options=REPLIES["query-command-line-options"],
        devices=REPLIES["device"],
        schema=REPLIES["query-qmp-schema"],
    )


def binary(answers: Answers) -> Binary:
    return binary_of("mine", Architecture.RISCV64, Path("/opt/qemu-system-riscv64"), answers)


def test_everything(answers: Answers) -> None:
    assert binary(answers) == Binary(
        qemu="mine",
        architecture=Architecture.RISCV64,
        path="/opt/qemu-system-riscv64",
        version=(7, 2, 22),
        version_text="7.2.22 (Debian 1:7.2+dfsg-7)",
        accelerators=("kvm", "tcg"),
        machines=(
            Machine("none", deprecated=True),
            Machine("spike_v1.10", alias="spike", cpu_max=8, is_default=True),
            Machine("virt", cpu_max=512, default_cpu="rv64"),
        ),
        cpus=("host", "rv64"),
        devices=("edu", "pvpanic-pci"),
        migration_capabilities=("events", "xbzrle"),
        migration_parameters=("downtime-limit", "max-bandwidth", "mode"),
        migration_modes=("normal", "cpr-reboot"),
        migration_addresses=("file", "socket"),
        sandbox=True,
        exit_with_parent=False,
    )


def test_whether_it_emulates_sie(answers: Answers) -> None:
    assert binary(answers).sie is None
    for found in (True, False):
        model = {"model": {"name": "max", "props": {"sief2": found, "cmma": False}}}
        assert binary(replace(answers, most_capable=model)).sie is found


def test_accelerators_that_it_names_itself(answers: Answers) -> None:
    named = replace(answers, accelerators=["tcg", "qtest", "kvm", "mshv"], kvm_present=False)
    assert binary(named).accelerators == ("kvm", "mshv", "tcg")


def test_accelerators_that_follow_from_what_it_does(answers: Answers) -> None:
    assert binary(replace(answers, kvm_present=False)).accelerators == ("tcg",)
    assert binary(replace(answers, emulates=False)).accelerators == ("kvm",)


@pytest.mark.parametrize(
    ("cpu_type", "model"),
    [
        ("rv64-riscv-cpu", "rv64"),
        ("x-rv128-riscv-cpu", "x-rv128"),
        ("power9_v2.0-powerpc64-cpu", "power9_v2.0"),
        ("5KEf-mips64-cpu", "5KEf"),
        ("gen16a-base-s390x-cpu", "gen16a-base"),
        ("odd", "odd"),
    ],
)
def test_cpus_without_definitions(answers: Answers, cpu_type: str, model: str) -> None:
    types = [{"name": cpu_type, "parent": "whatever"}]
    assert binary(
        replace(answers, cpu_definitions=None, cpu_types=types, kvm_present=False)
    ).cpus == (model,)


def test_migration_of_a_binary_that_does_not_describe_itself(answers: Answers) -> None:
    found = binary(replace(answers, schema=()))
    assert (found.migration_parameters, found.migration_modes) == ((), ())


def test_migration_before_there_were_channels_and_modes(answers: Answers) -> None:
    schema: list[dict[str, Any]] = [
        {"name": "migrate", "arg-type": "1"},
        {"name": "1", "members": [{"name": "uri", "type": "str"}]},
        {"name": "migrate-set-parameters", "arg-type": "2"},
        {"name": "2", "members": [{"name": "downtime-limit", "type": "int"}]},
    ]
    found = binary(replace(answers, schema=schema))
    assert found.migration_parameters == ("downtime-limit",)
    assert (found.migration_modes, found.migration_addresses) == ((), ())


def test_exit_with_parent(answers: Answers) -> None:
    options = [{"option": "run-with", "parameters": [{"name": "exit-with-parent"}]}]
    found = binary(replace(answers, options=options))
    assert (found.sandbox, found.exit_with_parent) == (False, True)


def test_what_could_not_be_asked(answers: Answers) -> None:
    found = binary(replace(answers, devices=None, note="it aborts"))
    assert (found.devices, found.note) == ((), "it aborts")


@pytest.mark.parametrize(
    ("package", "text"),
    [("", "7.2.22"), (" (v7.2.0-5-gabc)", "7.2.22 (v7.2.0-5-gabc)")],
)
def test_version_text(answers: Answers, package: str, text: str) -> None:
    version = {**answers.version, "package": package}
    assert binary(replace(answers, version=version)).version_text == text


def test_replies_of_another_form_raise_what_the_probe_expects(answers: Answers) -> None:
    for broken in (
        replace(answers, version={}),
        replace(answers, machines=[{"name": "virt"}]),
        replace(answers, machines=[{"name": "virt", "cpu-max": "many"}]),
        replace(answers, capabilities=[3]),  # type: ignore[list-item] # a reply may be anything
    ):
        with pytest.raises((KeyError, TypeError, ValueError)):
            binary(broken)
