"""matrix.guests.check: what it says about good, changed, missing and unbuildable images."""

import shutil
import subprocess
from pathlib import Path

import pytest

from matrix.guests import check
from matrix.guests.check import IMAGES, Status

needs_make = pytest.mark.skipif(not shutil.which("make"), reason="needs make")

STAND_IN = """
single:
	mkdir -p images/$(ARCH)/x86
	echo TEST_DIR=x86 >images/$(ARCH)/config.mak
	echo '[boot]' >images/$(ARCH)/x86/unittests.cfg
	echo 'code CODE' >images/$(ARCH)/x86/guest.flat
	echo '$(ARCH): gcc 12' >images/COMPILERS
"""
"""A Makefile that works as the guests' own does, in no time and without a compiler."""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Stand-in sources, whose images have been committed."""
    folder = tmp_path / "sources"
    (folder / "arch" / "x86_64").mkdir(parents=True)
    (folder / "arch" / "x86_64" / "arch.mk").touch()
    (folder / "Makefile").write_text(STAND_IN)
    subprocess.run(["make", "-s", "-C", str(folder), "ARCH=x86_64"], check=True)
    return folder


def check_stand_in(sources: Path) -> check.Finding:
    work = sources.parent / "work"
    return check.check("x86_64", work, sources=sources, images=sources / "images")


def test_read_compilers(tmp_path: Path) -> None:
    assert check.read_compilers(tmp_path) == {}
    (tmp_path / "COMPILERS").write_text("arm: gcc: 12; ld 2\ni386: gcc 13\n")
    assert check.read_compilers(tmp_path) == {"arm": "gcc: 12; ld 2", "i386": "gcc 13"}


def test_differences_names_every_file(tmp_path: Path) -> None:
    expected, found = tmp_path / "expected", tmp_path / "found"
    for folder in (expected / "x86", found / "x86"):
        folder.mkdir(parents=True)
        (folder / "same").write_bytes(b"same")
    (expected / "x86" / "guest.flat").write_bytes(b"abcdef")
    (found / "x86" / "guest.flat").write_bytes(b"abXdef")
    (expected / "config.mak").write_bytes(b"ab")
    (found / "config.mak").write_bytes(b"abc")
    (expected / "gone").write_bytes(b"")
    (found / "new").write_bytes(b"")
    assert check.differences(expected, found) == (
        "config.mak: differs from byte 2 on (2 bytes committed, 3 built)",
        "gone: committed, but no longer built",
        "new: built, but not committed",
        "x86/guest.flat: differs from byte 2 on (6 bytes committed, 6 built)",
    )
    assert check.differences(expected, found, text_only=True) == (
        "config.mak: differs from byte 2 on (2 bytes committed, 3 built)",
    )
    assert check.differences(expected, expected) == ()


def test_unknown_architecture(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["x86_64", "vax"]) == Status.NOT_BUILT
    assert capsys.readouterr().out.startswith("no such architecture: vax; there are aarch64, arm, ")


@needs_make
def test_unchanged_images_are_the_same(sources: Path) -> None:
    assert check.architectures(sources) == ("x86_64",)
    assert check_stand_in(sources).status == Status.SAME


@needs_make
def test_a_changed_image_is_named(sources: Path) -> None:
    (sources / "images" / "x86_64" / "x86" / "guest.flat").write_text("code CODf\n")
    finding = check_stand_in(sources)
    assert finding.status == Status.DIFFERENT
    assert "make guests builds them anew" in finding.message
    assert "x86/guest.flat: differs from byte 8 on" in finding.message


@needs_make
def test_another_compiler_is_said_and_two_builds_are_compared(sources: Path) -> None:
    (sources / "images" / "COMPILERS").write_text("x86_64: gcc 11\n")
    (sources / "images" / "x86_64" / "x86" / "guest.flat").write_text("what gcc 11 made of it")
    finding = check_stand_in(sources)
    assert finding.status == Status.SAME
    assert finding.message == (
        "the compiler here is gcc 12, not gcc 11; two builds in different folders are the same, "
        "the images were not compared"
    )


@needs_make
def test_another_compiler_does_not_excuse_text_files(sources: Path) -> None:
    (sources / "images" / "COMPILERS").unlink()
    (sources / "images" / "x86_64" / "config.mak").write_text("TEST_DIR=vax\n")
    finding = check_stand_in(sources)
    assert finding.status == Status.DIFFERENT
    assert "config.mak: differs from byte 9 on" in finding.message


@needs_make
def test_a_build_that_depends_on_its_folder_is_found(sources: Path) -> None:
    (sources / "images" / "COMPILERS").write_text("x86_64: gcc 11\n")
    (sources / "Makefile").write_text(STAND_IN.replace("CODE", "$(CURDIR)"))
    finding = check_stand_in(sources)
    assert finding.status == Status.DIFFERENT
    assert "gcc 11; two builds in different folders are not the same" in finding.message
    assert "x86/guest.flat: differs from byte" in finding.message


@needs_make
def test_what_make_says_is_shown(sources: Path) -> None:
    (sources / "Makefile").write_text("single:\n\t@echo guest.c: nowhere >&2; exit 1\n")
    finding = check_stand_in(sources)
    assert finding.status == Status.NOT_BUILT
    assert "guest.c: nowhere" in finding.message


@needs_make
def test_a_missing_compiler_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSS_s390x", "no-such-")
    finding = check.check("s390x", tmp_path)
    assert finding.status == Status.NOT_BUILT
    assert "no-such-gcc is missing: apt-get install gcc-s390x-linux-gnu" in finding.message


@needs_make
def test_a_compiler_that_not_every_distribution_has_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSS_loongarch64", "no-such-")
    finding = check.check("loongarch64", tmp_path)
    assert finding.status == Status.SAME
    assert str(finding) == (
        "loongarch64: not built: the compiler no-such-gcc is missing: apt-get install "
        "gcc-loongarch64-linux-gnu (Debian has it from 13 on); its images were not compared"
    )


def test_missing_make_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = check.check("x86_64", tmp_path / "work")
    assert finding.status == Status.NOT_BUILT
    assert "make is missing: apt-get install make" in finding.message


def test_the_committed_images_are_what_the_sources_give(tmp_path: Path) -> None:
    """Of the first architecture that has its compiler: ``make check`` builds all of them."""
    compiled = (
        architecture
        for architecture in check.architectures()
        if shutil.which(check.read_compilers(IMAGES)[architecture].split()[0])
    )
    finding = check.check(next(compiled), tmp_path)
    assert finding.status == Status.SAME, str(finding)
