"""Writes a cpio archive in the kernel's format of an initramfs ("newc").

The format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst. The same members give
the same bytes: no times, no owners.
"""

import stat
from collections.abc import Iterable
from dataclasses import dataclass

TRAILER = "TRAILER!!!"
LARGEST = 0xFFFFFFFF
"""Bytes of a member: its size has eight hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file, folder or device of an archive."""

    path: str
    """Relative, without a leading slash; the folders that it is in come before it."""
    mode: int
    """Type and permissions, as in ``st_mode``."""
    content: bytes = b""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device."""


def regular(path: str, content: bytes, *, executable: bool = False) -> Member:
    """A file."""
    return Member(path, stat.S_IFREG | (0o755 if executable else 0o644), content)


def folder(path: str) -> Member:
    """An empty folder."""
    return Member(path, stat.S_IFDIR | 0o755)


def symbolic_link(path: str, target: str) -> Member:
    """A symbolic link to ``target``, which need not be there."""
    return Member(path, stat.S_IFLNK | 0o777, target.encode("utf-8", "surrogateescape"))


def character_device(path: str, major: int, minor: int) -> Member:
    """A character device; an initramfs needs /dev/console for its first program's output."""
    return Member(path, stat.S_IFCHR | 0o600, device=(major, minor))


def archive(members: Iterable[Member]) -> bytes:
    """The archive with ``members`` in their order.

    Raises:
        ValueError: a path is empty, absolute or has a NUL byte in it, or a member is too large.
    """
    pieces = [_member(number, member) for number, member in enumerate(members, 1)]
    return b"".join((*pieces, _member(0, Member(TRAILER, 0))))


def _member(number: int, member: Member) -> bytes:
    name = member.path.encode("utf-8", "surrogateescape") + b"\0"
    if not member.path or member.path.startswith("/") or b"\0" in name[:-1]:
        raise ValueError(f"{member.path!r} is no path of an archive's member")
    if len(member.content) > LARGEST:
        raise ValueError(f"{member.path} is too large for an initramfs")
    links = 2 if stat.S_ISDIR(member.mode) else 1
    numbers = (
        *(number, member.mode, 0, 0, links, 0),  # inode, mode, owner, group, links, time
        *(len(member.content), 0, 0),  # size, and the device that it would be on
        *(*member.device, len(name), 0),  # a checksum, which this format has not
    )
    header = b"070701" + b"".join(b"%08X" % value for value in numbers)
    return _padded(header + name) + _padded(member.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
