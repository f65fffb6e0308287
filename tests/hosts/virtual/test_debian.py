"""Debian's kernels out of packages of both layouts, with programs that stand for apt's."""

import asyncio
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.hosts.virtual import debian
from matrix.hosts.virtual.debian import AR_MAGIC, Unpacked, fetch
from matrix.model import Architecture

OLD, NEW = "6.12.117+deb13-cloud-arm64", "7.2.13+deb14-cloud-arm64"
META = "linux-image-cloud-arm64"
VIRTIO = "kernel/drivers/block/virtio_blk.ko.xz"
SOUND = "kernel/sound/core/snd.ko.xz"
APT_GET = """#!/bin/sh
case "$*" in
*indextargets*) echo http://deb.example/debian ;;
*" download "*)
    while [ "$1" != download ]; do shift; done
    shift
    for package; do
        cp "@DEBS@/$package.deb" . || { echo "E: there is no $package" >&2; exit 100; }
    done ;;
esac
"""
APT_CACHE = """#!/bin/sh
case "$*" in
*" depends "*) while [ "$1" != depends ]; do shift; done; cat "@DEBS@/$2.depends" ;;
*" search "*) cat "@DEBS@/search" ;;
esac
"""


class Packages:
    """What the programs find."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, files: Mapping[str, bytes], depends: tuple[str, ...] = ()) -> None:
        """A package that can be had."""
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w:xz") as archive:
            for path, content in files.items():
                member = tarfile.TarInfo(f"./{path}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        data = tar.getvalue()
        header = f"{'data.tar.xz':<16}{'0':<12}{'0':<6}{'0':<6}{'100644':<8}{len(data):<10}`\n"
        (self.folder / f"{name}.deb").write_bytes(AR_MAGIC + header.encode() + data)
        self.name(name, depends)

    def name(self, name: str, depends: tuple[str, ...] = ()) -> None:
        """A package that the lists have."""
        lines = [name, *(f"  Depends: {each}" for each in depends)]
        (self.folder / f"{name}.depends").write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    folder, programs = tmp_path / "debs", tmp_path / "programs"
    folder.mkdir()
    programs.mkdir()
    for name, script in (("apt-get", APT_GET), ("apt-cache", APT_CACHE)):
        (programs / name).write_text(script.replace("@DEBS@", str(folder)))
        (programs / name).chmod(0o755)
    (folder / "search").touch()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(debian, "KEYRING", folder / "search")
    return Packages(folder)


def get(folder: Path) -> Unpacked:
    return asyncio.run(fetch("debian-sid", Architecture.AARCH64, folder, lambda _: None))


def test_a_package_that_is_whole(packages: Packages, tmp_path: Path) -> None:
    packages.name(META, (f"linux-image-{OLD}",))
    modules = f"lib/modules/{OLD}"
    files = {
        f"boot/vmlinuz-{OLD}": b"kernel",
        f"{modules}/{VIRTIO}": b"",
        f"{modules}/{SOUND}": b"",
    }
    packages.add(f"linux-image-{OLD}", files, ("kmod", "linux-base"))
    found = get(tmp_path / "kernel")
    assert found.package == f"linux-image-{OLD}"
    assert found.kernel.read_bytes() == b"kernel"
    assert found.modules == tmp_path / "kernel" / modules
    assert (found.modules / VIRTIO).exists()
    assert not (found.modules / SOUND).exists()


def test_a_kernel_with_all_drivers(packages: Packages, tmp_path: Path) -> None:
    packages.name("linux-image-amd64", ("linux-image-6-amd64",))
    files = {"boot/vmlinuz-6-amd64": b"kernel", "lib/modules/6-amd64/kernel/drivers/iommu/x": b""}
    packages.add("linux-image-6-amd64", files)
    get_full = fetch("debian-13", Architecture.X86_64, tmp_path / "k", lambda _: None, full=True)
    assert asyncio.run(get_full).package == "linux-image-6-amd64"


def add_split(packages: Packages) -> None:
    """The newest kernel, as forky and sid have it."""
    parts = (f"linux-base-{NEW}", f"linux-binary-{NEW}", f"linux-modules-{NEW}")
    packages.name(META, (f"linux-base-{META}", f"linux-image-{NEW}"))
    packages.add(f"linux-image-{NEW}", {"usr/share/bug/x": b""}, ("<linux-initramfs-tool>", *parts))
    folder = f"usr/lib/modules/{NEW}"
    packages.add(parts[1], {f"{folder}/vmlinuz": b"kernel"})
    packages.add(parts[2], {f"{folder}/{VIRTIO}": b"", f"{folder}/{SOUND}": b""})


def test_a_package_in_parts(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_split(packages)
    found = get(tmp_path / "kernel")
    assert found.package == f"linux-image-{NEW}"
    assert found.kernel == tmp_path / f"kernel/usr/lib/modules/{NEW}/vmlinuz"
    assert found.modules == found.kernel.parent
    assert (found.modules / VIRTIO).exists()
    assert not (found.modules / SOUND).exists()
    monkeypatch.setenv("PATH", "")  # nobody is asked again
    assert get(tmp_path / "kernel") == found
    assert sorted(tmp_path.iterdir()) == [tmp_path / n for n in ("debs", "kernel", "programs")]


def test_an_older_kernel_where_a_part_of_the_newest_is_gone(
    packages: Packages, tmp_path: Path
) -> None:
    add_split(packages)
    (packages.folder / f"linux-modules-{NEW}.deb").unlink()
    (packages.folder / "search").write_text(f"linux-image-{OLD} - Linux\n")
    files = {f"boot/vmlinuz-{OLD}": b"older", f"lib/modules/{OLD}/{VIRTIO}": b""}
    packages.add(f"linux-image-{OLD}", files)
    assert get(tmp_path / "kernel").kernel.read_bytes() == b"older"


def test_no_kernel_to_be_had(packages: Packages, tmp_path: Path) -> None:
    packages.name(META)
    with pytest.raises(HostError, match=f"^apt cannot get a kernel like {META}: there is none of"):
        get(tmp_path / "kernel")
    add_split(packages)
    (packages.folder / f"linux-binary-{NEW}.deb").unlink()
    with pytest.raises(HostError, match=f"{META}: there is no linux-binary"):
        get(tmp_path / "kernel")


def test_a_package_with_no_kernel_in_it(packages: Packages, tmp_path: Path) -> None:
    packages.name(META, (f"linux-image-{NEW}",))
    packages.add(f"linux-image-{NEW}", {"usr/share/bug/x": b""})
    with pytest.raises(HostError, match="has no kernel and modules where they usually are"):
        get(tmp_path / "kernel")
