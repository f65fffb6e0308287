"""Names and folders of QEMU installations."""

from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.hosts.folders import check_name, emulator_directory
from matrix.scenario.wording import Refused


@pytest.mark.parametrize("name", ["10.0", "mine", "v9.2.0-rc1+fix_2", "7"])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-x", ".hidden", "a b", "a/b", "a=b", "ä", "a,b"])
def test_names_that_would_spoil_case_ids(name: str) -> None:
    with pytest.raises(Refused, match="cannot name an installation"):
        check_name(name)


def test_the_system_name_is_taken() -> None:
    with pytest.raises(Refused, match="'system' is the QEMU in PATH; choose another name"):
        check_name("system")


def test_the_folder_itself_or_its_bin(emulators: Callable[..., Path], tmp_path: Path) -> None:
    assert emulator_directory(emulators("build")) == tmp_path / "build"
    emulators("opt/bin")
    assert emulator_directory(tmp_path / "opt") == tmp_path / "opt/bin"


def test_a_likely_folder_is_suggested(emulators: Callable[..., Path], tmp_path: Path) -> None:
    likely = emulators("source/build")
    with pytest.raises(Refused) as caught:
        emulator_directory(tmp_path / "source")
    assert caught.value.allowed == f"did you mean {likely}?"


def test_the_emulator_itself_is_no_folder(emulators: Callable[..., Path], tmp_path: Path) -> None:
    program = emulators("build") / "qemu-system-x86_64"
    with pytest.raises(Refused) as caught:
        emulator_directory(program)
    assert (
        str(caught.value) == f"{program} is not a folder; give the one it is in, {program.parent}"
    )


def test_no_such_folder_and_no_emulators(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"there is no folder .*/absent; give a folder that holds"):
        emulator_directory(tmp_path / "absent")
    with pytest.raises(Refused, match=r"neither .* nor .*/bin holds qemu-system-\*; give"):
        emulator_directory(tmp_path)
