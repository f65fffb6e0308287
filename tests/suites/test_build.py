from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import matrix.guests
from matrix.errors import NoBuildError, SuiteError
from matrix.model import Architecture, Build, Endian
from matrix.suites.build import (
    CONFIGURE_NAMES,
    TEST_DIRECTORIES,
    builtin_build,
    read_build,
    read_config,
    revision,
    unittests_file,
)

KNOWN = "x86_64, i386, arm64, arm, ppc64, s390x, riscv64, riscv32, mips64el, loongarch64"


def configured(tmp_path: Path, text: str) -> Path:
    (tmp_path / "config.mak").write_text(text)
    return tmp_path


def problem_of(directory: Path, architecture: Architecture | None = None) -> str:
    with pytest.raises(SuiteError) as caught:
        read_build(directory, architecture)
    return str(caught.value).replace(str(directory), "DIR")


def test_a_full_configuration(tmp_path: Path) -> None:
    text = (
        "SRCDIR=.\nARCH=ppc64\nTEST_DIR=powerpc\nFIRMWARE=powerpc/boot_rom.bin\n"
        "ENVIRON_DEFAULT=yes\nERRATATXT=errata.txt\nGEN_SE_HEADER=/usr/bin/gen\nTARGET=qemu\n"
        "TARGET_CPU=power9\nDEFAULT_QEMU_CPU=max\nCONFIG_EFI=y\nEFI_DIRECT=y\n"
    )
    assert read_build(configured(tmp_path, text)) == Build(
        architecture=Architecture.PPC64,
        directory=str(tmp_path),
        images=str(tmp_path / "powerpc"),
        firmware=str(tmp_path / "powerpc/boot_rom.bin"),
        default_cpu="power9",
        target_cpu="power9",
        efi=True,
        efi_direct=True,
        own=("environment", "se_header"),
        files=(("errata", str(tmp_path / "errata.txt")),),
    )


@pytest.mark.parametrize("architecture", Architecture)
def test_every_architecture(architecture: Architecture, tmp_path: Path) -> None:
    build = read_build(configured(tmp_path, f"ARCH={CONFIGURE_NAMES[architecture]}\n"))
    assert build.architecture is architecture
    assert build.images == str(tmp_path / TEST_DIRECTORIES[architecture])
    assert build == read_build(tmp_path, architecture)
    assert (build.target, build.own, build.efi, build.firmware) == (
        "qemu",
        (),
        False,
        "",
    )


@pytest.mark.parametrize(
    ("text", "endian"),
    [
        ("ARCH=ppc64\nENDIAN=big\n", "big"),
        ("ARCH=ppc64\nENDIAN=little\n", "little"),
        ("ARCH=s390x\nENDIAN=\n", "big"),
        ("ARCH=arm64\nENDIAN=\n", "little"),
    ],
)
def test_byte_order(tmp_path: Path, text: str, endian: str) -> None:
    assert read_build(configured(tmp_path, text)).endian == endian


def test_kvmtool_and_the_default_cpu(tmp_path: Path) -> None:
    build = read_build(configured(tmp_path, "ARCH=arm64\nTARGET=kvmtool\nDEFAULT_QEMU_CPU=max\n"))
    assert (build.target, build.default_cpu, build.target_cpu) == ("kvmtool", "max", "")


def test_relative_directories_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(tmp_path, "ARCH=s390x\n")
    monkeypatch.chdir(tmp_path)
    assert read_build(Path()).images == str(tmp_path / "s390x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ARCH=riscv128\n",
            f"DIR/config.mak:1: ARCH=riscv128: this architecture is not supported; one of {KNOWN}",
        ),
        (
            "X=1\n",
            f"DIR/config.mak: ARCH is not set; one of {KNOWN}",
        ),
        (
            "ARCH=arm\nTARGET=crosvm\n",
            "DIR/config.mak:2: TARGET=crosvm is unknown; one of qemu, kvmtool",
        ),
    ],
)
def test_configurations_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    assert problem_of(configured(tmp_path, text)) == message


def test_another_architecture_than_expected(tmp_path: Path) -> None:
    directory = configured(tmp_path, "ARCH=arm64\n")
    message = problem_of(directory, Architecture.X86_64)
    assert message == "DIR/config.mak:1: this is a build for aarch64, not for x86_64"


def test_no_build_at_all(tmp_path: Path) -> None:
    assert problem_of(tmp_path) == (
        "DIR: has no config.mak, so it is not a kvm-unit-tests build; "
        "run ./configure and make there, or name the directory where they were run,"
        " or one with what `make standalone` leaves"
    )
    message = "DIR: no such directory; name a kvm-unit-tests build directory"
    assert problem_of(tmp_path / "none") == message
    assert "no such directory" in problem_of(Path("a\0b"))
    assert "no such directory" in problem_of(Path("x" * 5000))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=50,
)
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_build_or_a_suite_error(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.mak").write_bytes(data)
    with pytest.raises(SuiteError):
        read_build(tmp_path)


def test_tests_are_beside_the_images_or_in_the_source_tree(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    for directory in (source / "arm", out / "arm"):
        directory.mkdir(parents=True)
    configured(out, f"ARCH=arm64\nSRCDIR={source}\nTEST_DIR=arm\n")
    build, config = read_build(out), read_config(out)
    with pytest.raises(SuiteError) as caught:
        unittests_file(build, config)
    assert str(caught.value) == (
        f"{out}/arm/unittests.cfg: no such file; looked for {source}/arm/unittests.cfg too"
    )
    (source / "arm/unittests.cfg").touch()
    assert unittests_file(build, config) == source / "arm/unittests.cfg"
    (out / "arm/unittests.cfg").touch()
    assert unittests_file(build, config) == out / "arm/unittests.cfg"


def test_relative_source_tree(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "arm").mkdir()
    (tmp_path / "arm/unittests.cfg").touch()
    configured(tmp_path / "out", "ARCH=arm64\nSRCDIR=..\n")
    build = read_build(tmp_path / "out")
    assert unittests_file(build, read_config(tmp_path / "out")).samefile(
        tmp_path / "arm/unittests.cfg"
    )


HASH = "1da1819e49fc4938985edca67df669099b4c87a7"


def git_directory(directory: Path, head: str) -> Path:
    directory.mkdir(parents=True)
    (directory / "HEAD").write_text(head + "\n")
    return directory


def test_revision_of_a_branch_and_of_a_detached_head(tmp_path: Path) -> None:
    git = git_directory(tmp_path / ".git", "ref: refs/heads/master")
    assert revision(tmp_path) == ""
    (git / "packed-refs").write_text(
        f"# pack-refs\n{'0' * 40} refs/tags/x\n{HASH} refs/heads/master\n"
    )
    assert revision(tmp_path) == HASH
    (git / "refs/heads").mkdir(parents=True)
    (git / "refs/heads/master").write_text("f" * 40 + "\n")
    assert revision(tmp_path) == "f" * 40
    (git / "HEAD").write_text(HASH + "\n")
    assert revision(tmp_path) == HASH


def test_revision_of_a_linked_work_tree(tmp_path: Path) -> None:
    common = git_directory(tmp_path / "main/.git", "ref: refs/heads/other")
    linked = git_directory(common / "worktrees/tree", "ref: refs/heads/topic")
    (linked / "commondir").write_text("../..\n")
    (common / "refs/heads").mkdir(parents=True)
    (common / "refs/heads/topic").write_text(HASH + "\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {linked}\n")
    assert revision(tree) == HASH


@pytest.mark.parametrize(
    "head", ["", "ref: ../../secret", "ref: refs/../../x", "nonsense", "ref: "]
)
def test_revision_of_what_is_no_checkout(tmp_path: Path, head: str) -> None:
    assert revision(tmp_path) == ""
    git_directory(tmp_path / ".git", head)
    assert revision(tmp_path) == ""


def test_build_names_its_revision(tmp_path: Path) -> None:
    git_directory(tmp_path / "source/.git", HASH)
    (tmp_path / "out").mkdir()
    configured(tmp_path / "out", "ARCH=arm64\nSRCDIR=../source\n")
    assert read_build(tmp_path / "out").revision == HASH


def test_embedded_guests_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix.guests, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(SuiteError, match="the embedded guests for arm are missing"):
        builtin_build(Architecture.ARM)


def test_embedded_guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix.guests, "__file__", str(tmp_path / "__init__.py"))
    directory = tmp_path / "images/aarch64"
    directory.mkdir(parents=True)
    plain = builtin_build(Architecture.AARCH64)
    assert (plain.builtin, plain.images, plain.own) == (True, str(directory), ())
    configured(directory, "ARCH=arm64\nTEST_DIR=.\nDEFAULT_QEMU_CPU=max\n")
    build = builtin_build(Architecture.AARCH64)
    assert (build.builtin, build.images, build.default_cpu) == (True, str(directory), "max")


@pytest.mark.parametrize(
    ("architecture", "endian", "folder"),
    [
        (Architecture.PPC64, None, "ppc64"),
        (Architecture.PPC64, Endian.LITTLE, "ppc64"),
        (Architecture.PPC64, Endian.BIG, "ppc64-big"),
        (Architecture.S390X, Endian.BIG, "s390x"),
        (Architecture.ARM, Endian.LITTLE, "arm"),
    ],
)
def test_embedded_guests_in_each_byte_order(
    architecture: Architecture, endian: Endian | None, folder: str
) -> None:
    build = builtin_build(architecture, endian)
    assert Path(build.directory).name == folder
    assert build.architecture is architecture
    assert endian in (None, build.endian)


def test_a_byte_order_that_no_embedded_guest_has() -> None:
    with pytest.raises(NoBuildError, match="embedded guests for s390x are big-endian only"):
        builtin_build(Architecture.S390X, Endian.LITTLE)
