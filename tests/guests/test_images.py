"""The committed images: laid out as kvm-unit-tests builds, small, without traces of a machine."""

import re
import subprocess
from pathlib import Path

import pytest

from matrix.guests.check import IMAGES, SOURCES, architectures, read_compilers

LIMIT = 112 * 1024
SUITE_FOLDERS = {
    "aarch64": "arm",
    "arm": "arm",
    "i386": "x86",
    "loongarch64": "loongarch64",
    "mips64el": "mips",
    "ppc64": "powerpc",
    "ppc64-big": "powerpc",
    "riscv32": "riscv",
    "riscv64": "riscv",
    "s390x": "s390x",
    "x86_64": "x86",
}
"""kvm-unit-tests' own folder for each architecture, and one for MIPS, which it does not have."""
EVERY_ARCHITECTURE = pytest.mark.parametrize("architecture", sorted(SUITE_FOLDERS))


def config(architecture: str) -> dict[str, str]:
    lines = (IMAGES / architecture / "config.mak").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def sections(architecture: str) -> dict[str, dict[str, str]]:
    """Section to key to value; the generated files need no more of the format."""
    path = IMAGES / architecture / SUITE_FOLDERS[architecture] / "unittests.cfg"
    found: dict[str, dict[str, str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            found[line.strip("[]")] = {}
        elif line and not line.startswith("#"):
            name, _, value = line.partition(" = ")
            found[list(found)[-1]][name] = value
    return found


def files(architecture: str) -> list[Path]:
    return sorted(path for path in (IMAGES / architecture).rglob("*") if path.is_file())


def test_all_architectures_are_there() -> None:
    assert architectures() == tuple(sorted(SUITE_FOLDERS))
    assert sorted(path.name for path in IMAGES.iterdir() if path.is_dir()) == sorted(SUITE_FOLDERS)
    assert sorted(read_compilers(IMAGES)) == sorted(SUITE_FOLDERS)


@EVERY_ARCHITECTURE
def test_config_is_that_of_a_build(architecture: str) -> None:
    values = config(architecture)
    name = {"ppc64-big": "ppc64"}.get(architecture, architecture)
    assert values["ARCH_NAME"] == name
    assert values["ARCH"] == {"aarch64": "arm64"}.get(name, name)
    assert values["ENDIAN"] == {"ppc64": "little", "ppc64-big": "big"}.get(architecture, "")
    assert values["TEST_DIR"] == SUITE_FOLDERS[architecture]
    assert values["TARGET"] == "qemu"
    if values["FIRMWARE"]:
        assert (IMAGES / architecture / values["FIRMWARE"]).is_file()


@EVERY_ARCHITECTURE
def test_every_test_has_its_image(architecture: str) -> None:
    folder = IMAGES / architecture / SUITE_FOLDERS[architecture]
    for name, values in sections(architecture).items():
        assert (folder / values["file"]).is_file(), name
        assert "@" not in values["qemu_params"], name


@EVERY_ARCHITECTURE
def test_the_tests_are_the_same_everywhere(architecture: str) -> None:
    lacking = ["disk-integrity-vhost-user"] if architecture == "s390x" else []
    everywhere = [name for name in sections("x86_64") if name not in lacking]
    assert list(sections(architecture)) == everywhere
    for name, values in sections(architecture).items():
        expected = sections("x86_64")[name]
        for key in ("test_args", "smp", "groups", "timeout"):
            assert values.get(key) == expected.get(key), name


def test_every_test_of_the_image_is_in_the_file_and_the_other_way_round() -> None:
    table = re.findall(r'\{ "([\w-]+)", test_\w+ \}', (SOURCES / "lib" / "main.c").read_text())
    chosen = {values["test_args"].strip("\"'").split()[0] for values in sections("x86_64").values()}
    assert chosen == set(table)


def test_boot_is_given_the_words_that_it_compares_with() -> None:
    source = (SOURCES / "tests" / "boot.c").read_text()
    text = source[source.index("intact[] =") : source.index(";\n", source.index("intact[] ="))]
    words = "".join(re.findall(r'"([^"]*)"', text))
    assert sections("x86_64")["boot"]["test_args"] == f'"boot {{memory}} {words}"'


@EVERY_ARCHITECTURE
def test_files_are_small(architecture: str) -> None:
    for path in files(architecture):
        assert path.stat().st_size <= LIMIT, path.name


@EVERY_ARCHITECTURE
def test_every_image_has_its_symbols(architecture: str) -> None:
    """The Makefile leaves out a file that is too large."""
    assert "guest.elf" in {path.name for path in files(architecture)}


@EVERY_ARCHITECTURE
def test_files_name_no_path_of_a_machine(architecture: str) -> None:
    for path in files(architecture):
        content = path.read_bytes()
        assert not re.search(rb"/(home|root|tmp|work|build|usr|var|mnt|opt)/", content), path.name
        assert b".so." not in content, path.name


def test_an_image_stays_where_its_compiler_is_missing(tmp_path: Path) -> None:
    """As that of loongarch64 is in Debian 12."""
    words = (
        "ARCH=loongarch64",
        "CROSS_loongarch64=none-",
        f"OUT={tmp_path}",
        f"BUILD={tmp_path}/b",
    )
    done = subprocess.run(
        ["make", "-C", SOURCES, "image", *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "loongarch64: not built: the compiler none-gcc is missing" in done.stdout
    assert {each.name for each in tmp_path.iterdir()} == {"b"}
