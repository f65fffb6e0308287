"""Which programs share a disk, and what they bring."""

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.hosts.virtual import programs
from matrix.hosts.virtual.libraries import MissingLibraryError, libraries_of
from matrix.hosts.virtual.programs import Programs, launch_there, programs_of
from matrix.model import Accelerator, Architecture, Build, Case, Target, Test, Variant
from matrix.plan.decisions import Decision, Run, Skip
from tests.hosts.virtual.conftest import Compile

BUILD = Build(Architecture.AARCH64, "/b", "/b", target=Target.PROGRAM)


def case(image: str, arguments: str = "") -> Case:
    test = Test("t", image, arguments)
    return Case("s.t", "s", "kvm-selftests", test, Variant(Architecture.AARCH64), BUILD)


def test_only_what_runs_on_the_host_is_put_on_its_disk() -> None:
    one, other = case("/b/one"), case("/b/other")
    guest = replace(case("/b/guest"), build=replace(BUILD, target=Target.QEMU))
    decisions: list[Decision] = [
        *(Run(each, Accelerator.KVM, "", 1, 1, host="virtual-x") for each in (one, guest, one)),
        Run(other, Accelerator.KVM, "", 1, 1, host="virtual-y"),
        Skip(other, "no"),
    ]
    assert programs_of(decisions, "virtual-x") == ("/b/one",)


def test_programs_of_one_name_have_places_of_their_own() -> None:
    first, second = launch_there(case("/a/t", "-l 1")), launch_there(case("/b/t"))
    assert first.argv[0] != second.argv[0]
    assert first.argv[0].startswith("/disk/programs/")
    assert first.argv[1:] == ("-l", "1")


def test_a_batch_is_what_fits_from_a_program_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(programs, "BATCH_BYTES", 25)
    ahead = [tmp_path / name for name in "abcd"]
    for path in ahead:
        path.write_bytes(b"x" * 10)
    gather = Programs(tuple(map(str, ahead)))._gather
    assert list(gather(str(ahead[0])).stamps) == [str(ahead[0]), str(ahead[1])]
    assert list(gather(str(ahead[2])).stamps) == [str(ahead[2]), str(ahead[3])]
    large = tmp_path / "large"
    large.write_bytes(b"x" * 100)
    assert list(gather(str(large)).stamps) == [str(large)]
    ahead[1].unlink()
    assert list(gather(str(ahead[0])).stamps) == [str(ahead[0]), str(ahead[2])]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "program.c"
    path.write_text("int main(void) { return 0; }\n")
    return path


def test_a_program_brings_its_loader_and_libraries(
    tmp_path: Path, source: Path, compile_program: Compile
) -> None:
    program = compile_program(source, tmp_path / "program", "-Wl,--no-as-needed", "-lm")
    found = libraries_of(program)
    assert set(found) == {"/lib/ld-linux-aarch64.so.1", "/lib/libc.so.6", "/lib/libm.so.6"}
    assert all(path.is_file() for path in found.values())
    assert libraries_of(compile_program(source, program, "-static")) == {}
    assert libraries_of(source) == {}


def test_a_library_that_is_nowhere_is_named(
    tmp_path: Path, source: Path, compile_program: Compile
) -> None:
    library = compile_program(source, tmp_path / "libown.so", "-shared", "-fPIC")
    options = ("-Wl,--no-as-needed", "-L", str(tmp_path), "-lown")
    program = compile_program(source, tmp_path / "program", *options)
    assert libraries_of(program)["/lib/libown.so"] == library
    library.unlink()
    with pytest.raises(MissingLibraryError, match=r"program needs the library libown\.so, which"):
        libraries_of(program)
