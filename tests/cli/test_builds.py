"""Builds of other kinds, through the whole command: UEFI applications, kvmtool, symbols."""

import base64
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import matrix.guests
from matrix.verdict.elf import read_elf
from tests.cli.conftest import Scripts, World

GUEST = Path(matrix.guests.__file__).parent / "images/x86_64/x86/guest.elf"


def configure(world: Any, *lines: str) -> None:
    with (world.root / "build/config.mak").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


@pytest.fixture
def efi(world: World, scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> World:
    """A build of UEFI applications, and firmware for the fake QEMU's machine."""
    configure(world, "CONFIG_EFI=y", "ENVIRON_DEFAULT=yes")
    (world.root / "build/x86/guest.efi").write_bytes(b"MZ")
    descriptor = {
        "interface-types": ["uefi"],
        "mapping": {"device": "memory", "filename": str(world.root / "OVMF.fd")},
        "targets": [{"architecture": "x86_64", "machines": ["pc"]}],
        "features": [],
    }
    folder = world.root / "config/qemu/firmware"
    folder.mkdir(parents=True)
    (folder / "00-first.json").write_text(json.dumps(descriptor))
    (world.root / "OVMF.fd").write_bytes(b"firmware")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(world.root / "config"))
    sections = "[plain]\nfile = guest.flat\n\n[told]\nfile = guest.flat\ntest_args = 'a b'\n"
    (world.root / "build/x86/unittests.cfg").write_text(sections)
    # These guests have no -append by which the fake one could tell who it is.
    probe = world.root / "scripts/probe.json"
    noise = "\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe: loading Boot0001\r\n\x1b[2JPASS: all is well\r\n"
    guest = {"cont": [["stdout", noise + "SUMMARY: 1 tests\r\n"]]}
    probe.write_text(json.dumps({**json.loads(probe.read_text()), **guest}))
    return world


def test_uefi_applications(efi: Any) -> None:
    assert efi.matrix_run().returncode == 0
    assert efi.verdicts() == {"plain": "pass", "told": "pass"}
    folders = {case["test"]: efi.root / "out/cases" / case["id"] for case in efi.results()["cases"]}
    image = folders["plain"] / "efi/EFI/BOOT/BOOTX64.EFI"
    assert image.readlink() == efi.root / "build/x86/guest.efi"
    command = (folders["plain"] / "command.sh").read_text()
    assert f"-bios {efi.root}/OVMF.fd" in command
    assert f"file.dir={folders['plain']}/efi" in command
    assert "-kernel" not in command
    assert "-initrd" not in command
    script = folders["told"] / "efi/startup.nsh"
    assert script.read_text() == "@echo -off\nguest.efi a b\n"
    result = json.loads((folders["plain"] / "result.json").read_text())
    assert result["subtests"] == [{"name": "all is well", "verdict": "pass", "message": ""}]


def test_uefi_applications_without_firmware(efi: Any) -> None:
    (efi.root / "OVMF.fd").unlink()
    assert efi.matrix_run().returncode == 5
    assert set(efi.verdicts().values()) == {"skip"}
    assert all("no UEFI firmware for " in case["reason"] for case in efi.results()["cases"])


def test_kvmtool_without_kvm_for_its_guests(world: World, scripts: Scripts) -> None:
    world.suite(plain=scripts.passing())
    config = world.root / "build/config.mak"
    config.write_text(config.read_text().replace("TARGET=qemu", "TARGET=kvmtool"))
    shutil.rmtree(world.root / "qemu")  # nobody needs it
    (world.root / "qemu").mkdir()
    assert world.run("run", "scenario.yaml", "-o", "out", "--accel", "auto").returncode == 5
    (case,) = world.results()["cases"]
    assert case["verdict"] == "skip"
    assert case["reason"].startswith("the build is for kvmtool, which ")


def test_functions_in_the_reasons_of_failures(world: World) -> None:
    elf = read_elf(GUEST)
    assert elf is not None
    main = next(symbol for symbol in elf.symbols if symbol.name == "guest_main")
    shutil.copy(GUEST, world.root / "build/x86/guest.elf")
    trace = f"Unhandled exception 6 #UD(0) at ip {main.address:016x}\n\tSTACK: @{main.address:x}\n"
    registers = f"\nCPU#0\nEIP={main.address + 4:08x} EFL=00000246 HLT=0\nCS =0008 00000000 ffff\n"
    world.suite(
        aborts={"cont": [["stdout", trace], ["exit", 127]]},
        hangs={"cont": [["registers", registers], ["serve", None]]},
        passes={"cont": [["stdout", trace], ["exit", 1]]},
    )
    assert world.matrix_run("--timeout", "1s").returncode == 1
    cases = {case["test"]: case for case in world.results()["cases"]}
    assert f"at ip {main.address:016x} (guest_main+0x0); in " in cases["aborts"]["reason"]
    assert f"at pc 0x{main.address + 4:x} (guest_main+0x4)" in cases["hangs"]["reason"]
    assert "guest_main" not in cases["passes"]["reason"]
    folders = {test: world.root / "out/cases" / case["id"] for test, case in cases.items()}
    assert "Stack trace 1\n" in (folders["aborts"] / "diagnosis/stack.txt").read_text()
    assert "Program counters\n" in (folders["hangs"] / "diagnosis/stack.txt").read_text()
    assert not (folders["passes"] / "diagnosis").exists()


def test_an_unknown_key_is_a_warning_once_and_the_tests_run(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing(), two=scripts.passing())
    tests = world.root / "build/x86/unittests.cfg"
    tests.write_text(f"# of a fork\n[forked]\nflavour = x\nfile = guest.flat\n{tests.read_text()}")
    text = (world.root / "scenario.yaml").read_text()
    (world.root / "again.yaml").write_text(text.replace("name: fake", "name: again"))
    done = world.run("run", "again.yaml", *world.run_arguments("-k", "not forked")[1:])
    assert done.returncode == 0
    where = f"{world.root}/build/x86/unittests.cfg:3:1"
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"warning: {where}: unknown key 'flavour'; ")
    assert [case["test"] for case in world.results()["cases"]] == ["one", "two"] * 2


@pytest.mark.parametrize("folder", ["x86_64", "amd64", "x86-64"])
@pytest.mark.parametrize("how", ["environment", "scenario"])
def test_builds_are_found_by_every_name_of_their_architecture(
    world: World, scripts: Scripts, monkeypatch: pytest.MonkeyPatch, folder: str, how: str
) -> None:
    world.suite(one=scripts.passing())
    (world.root / "builds").mkdir()
    (world.root / "build").rename(world.root / "builds" / folder)
    scenario = world.root / "scenario.yaml"
    named = ", build: 'builds/{arch}'" if how == "scenario" else ""
    scenario.write_text(scenario.read_text().replace(", build: build", named))
    if how == "environment":
        monkeypatch.setenv("KVM_UNIT_TESTS", str(world.root / "builds"))
    done = world.run("list", "scenario.yaml", "--qemu", "fake=qemu")
    assert done.returncode == 0
    assert "warning" not in done.stderr  # where a slow machine is told what takes its time
    assert "fake.one.x86_64" in done.stdout
    assert "no build" not in done.stdout


STANDALONE = """#!/usr/bin/env bash
export KUT_STANDALONE=yes
export ARCH=x86_64
bin=`mktemp`
base64 -d << 'BIN_EOF' | zcat > $bin || exit 2
{image}BIN_EOF
function run()
{{
    local testname="$1"
    local groups="$2"
    local smp="$3"
    local kernel="$4"
    local opts="$5"
}}
touch executed
run {name} '' 1 $bin -append\\ {name}
"""


def test_standalone_tests(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing(), two=scripts.failing("two"))
    (world.root / "build/config.mak").unlink()
    folder = world.root / "build"
    image = base64.encodebytes(gzip.compress(GUEST.read_bytes())).decode()
    for name in ("one", "two"):
        (folder / name).write_text(STANDALONE.format(name=name, image=image))
    (folder / "cut").write_text((folder / "one").read_text().partition("BIN_EOF\nfunction")[0])
    done = world.matrix_run()
    assert done.returncode == 1
    assert world.verdicts() == {"one": "pass", "two": "fail", "cut": "skip"}
    assert done.stderr == (
        f"warning: {folder}/cut:5: cannot be read: the file that begins here has no BIN_EOF;"
        " make standalone writes such scripts\n"
    )
    assert not (world.root / "executed").exists()
    (case,) = [case for case in world.results()["cases"] if case["test"] == "one"]
    (kernel,) = (world.root / "cache").glob("standalone/*/one.*")
    assert kernel.read_bytes() == GUEST.read_bytes()
    assert str(kernel) in (world.root / "out" / case["command"]).read_text()
