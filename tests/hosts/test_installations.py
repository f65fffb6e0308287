"""``--qemu NAME=DIR`` and where emulators are found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.hosts.host_settings import HostFile
from matrix.hosts.installations import Installation, installations
from matrix.model import Architecture

Emulators = Callable[..., Path]


def test_path_is_always_there() -> None:
    assert installations((), HostFile()) == (Installation("system"),)


def test_options_come_after_the_host_file_and_win(emulators: Emulators) -> None:
    old, new, mine = emulators("old"), emulators("new"), emulators("mine")
    host_file = HostFile("host.yaml", qemu=(("10.0", old), ("9.2", old)))
    found = installations((f"10.0={new}", f"mine={mine}"), host_file)
    assert found == (
        Installation("system"),
        Installation("10.0", new),
        Installation("9.2", old),
        Installation("mine", mine),
    )


def test_relative_folders_and_the_home_folder(
    emulators: Emulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulators("here/bin")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("here", "~/here", "./here/bin"):
        assert installations((f"x={given}",), HostFile())[1].directory == tmp_path / "here/bin"


@pytest.mark.parametrize("option", ["10.0", "=/opt", "10.0=", ""])
def test_not_of_the_form(option: str) -> None:
    with pytest.raises(UsageError, match=r"not of the form NAME=DIR; write for example --qemu"):
        installations((option,), HostFile())


def test_given_twice(emulators: Emulators) -> None:
    option = f"10.0={emulators('old')}"
    with pytest.raises(UsageError, match=r"'10.0' is given twice; give every name once"):
        installations((option, option), HostFile())


def test_messages_begin_with_the_option(tmp_path: Path) -> None:
    for option in (f"system={tmp_path}", f"x={tmp_path}", "x=~no-such-user/qemu"):
        with pytest.raises(UsageError) as caught:
            installations((option,), HostFile())
        assert str(caught.value).startswith(f"--qemu {option}: ")


def test_find_in_a_folder(emulators: Emulators) -> None:
    installation = Installation("mine", emulators("mine", "s390x"))
    found = installation.find(Architecture.S390X, "x86_64")
    assert found is not None
    assert found.name == "qemu-system-s390x"
    assert installation.find(Architecture.PPC64, "x86_64") is None
    assert installation.place.endswith("/mine")


def test_find_in_path(emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = emulators("bin", "arm")
    monkeypatch.setenv("PATH", str(directory))
    system = Installation("system")
    assert system.find(Architecture.ARM, "x86_64") == directory / "qemu-system-arm"
    assert system.find(Architecture.AARCH64, "x86_64") is None
    assert system.place == "PATH"


def test_red_hats_emulator_is_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    emulator = tmp_path / "qemu-kvm"
    system = Installation("system")
    assert system.find(Architecture.X86_64, "x86_64", emulator) is None
    emulator.touch()
    assert system.find(Architecture.X86_64, "x86_64", emulator) == emulator
    assert system.find(Architecture.AARCH64, "x86_64", emulator) is None
    assert system.find(Architecture.S390X, "s390x", emulator) == emulator
