"""``matrix host``, and what ``--virtual-host`` says before anything is started."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from matrix.cli.hosting import Action, _obey, _starters, run_host
from matrix.cli.run_command import _uses_qemu_here, _virtual_settings
from matrix.errors import HostError, UsageError
from matrix.hosts.virtual.host_options import parse_option
from matrix.hosts.virtual.programs import Programs
from matrix.hosts.virtual.protocol import KernelRecord
from matrix.hosts.virtual.vmm import proving_cases
from matrix.model import Accelerator, Architecture
from matrix.plan.decisions import LOCAL, Run, Skip
from matrix.run.options import Selection


def test_the_list_of_none_says_where_it_looked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    monkeypatch.setenv("MATRIX_CACHE", str(tmp_path))
    run_host(Action.LIST, (), Selection())
    assert capsys.readouterr().out == f"0 images and 0 saved hosts (0 MiB) in {tmp_path}/virtual\n"


def test_pruning_says_what_it_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MATRIX_CACHE", str(tmp_path))
    (tmp_path / "virtual/snapshots").mkdir(parents=True)
    (tmp_path / "virtual/snapshots/a").write_bytes(b"x" * (1 << 20))
    run_host(Action.PRUNE, (), Selection())
    assert capsys.readouterr().out == "1 removed (1 MiB)\n"


def test_a_resumed_run_has_the_virtual_hosts_it_was_planned_with() -> None:
    option = "aarch64=debian-13,name=mine,mode=nvhe"
    (settings,) = _virtual_settings({"virtual_hosts": [option]})
    assert (settings.option, settings.kernel_name) == (option, "mine")
    assert _virtual_settings({}) == ()


@pytest.mark.parametrize(
    ("action", "hosts", "message"),
    [
        (Action.LIST, ["aarch64=debian-13"], "matrix host list takes no host"),
        (Action.PRUNE, ["aarch64=debian-13"], "matrix host prune takes no host"),
        (Action.SHELL, [], "matrix host shell takes one host, as in aarch64=debian-13"),
        (Action.BUILD, ["aarch64"], "write ARCH=KERNEL"),
    ],
)
def test_wrong_usage(action: Action, hosts: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run_host(action, hosts, Selection())


def test_a_shell_has_one_qemu() -> None:
    with pytest.raises(UsageError, match="takes one --qemu"):
        run_host(Action.SHELL, ["aarch64=debian-13"], Selection(qemu=("a=/a", "b=/b")))


@pytest.mark.qemu
def test_hosts_are_built_for_the_qemus_that_are_named() -> None:
    qemus = tuple(
        f"{name}={Path(shutil.which('qemu-system-aarch64') or '').parent}" for name in "ab"
    )
    options = ["aarch64=debian-13"]
    starters = asyncio.run(_starters(options, Selection(qemu=qemus)))
    assert [each.name for each in starters] == [f"virtual-aarch64-debian-13-{x}" for x in "ab"]
    (usual,) = asyncio.run(_starters(options, Selection()))
    assert usual.name == "virtual-aarch64-debian-13"


@pytest.mark.qemu
def test_an_architecture_without_kvm_under_tcg_says_why() -> None:
    with pytest.raises(HostError, match=r"for s390x: QEMU .* model max has no SIE"):
        run_host(Action.BUILD, ["s390x=debian-13"], Selection())


def test_a_resumed_run_looks_at_the_emulators_of_its_virtual_hosts() -> None:
    case = next(proving_cases(Architecture.AARCH64))
    name = parse_option("aarch64=debian-13").name_with("system")
    here, there, elsewhere = (
        Run(case, Accelerator.KVM, "", 1, 1 << 28, host=host) for host in (LOCAL, name, "rack-7")
    )
    assert _uses_qemu_here(here)
    assert _uses_qemu_here(there)
    assert not _uses_qemu_here(elsewhere)
    assert not _uses_qemu_here(Skip(case, "no KVM"))


def test_a_log_that_has_nothing_new_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    class Guest:
        """What ``log`` sees of a host."""

        boot_log: tuple[KernelRecord, ...] = (KernelRecord(6, 1, 1.5, "Booting Linux"),)

        async def flush_log(self) -> tuple[KernelRecord, ...]:
            return ()

    guest: Any = Guest()
    for _ in range(2):
        asyncio.run(_obey(guest, Architecture.AARCH64, Programs(), ["log"]))
    assert capsys.readouterr().out == (
        "[    1.500000] Booting Linux\n"
        "its kernel has logged nothing new since it was started, or asked the last time\n"
    )


def test_make_kvm_fails_where_an_architecture_is_skipped() -> None:
    makefile = Path(__file__).parents[2] / "Makefile"
    assert "run scenarios/virtual-kvm.yaml --fail-on-skip " in makefile.read_text()
