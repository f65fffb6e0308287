"""What QEMU's ``dump-guest-memory`` leaves of a guest: an ELF core file."""

import struct
from pathlib import Path

_EM_PPC64, _EM_S390 = 21, 22
_NT_PRSTATUS = 1
_CORE = b"CORE\0"


def number_vcpus(path: Path) -> None:
    """Give each vCPU of a ppc64 or s390x guest its number, 1 and up, by which gdb knows threads.

    QEMU 10.0 writes it so, and 7.2 does of other guests. But all vCPUs of ppc64 are number 0 to
    7.2.22, of which gdb makes one thread that "has terminated", and those of s390x have theirs in
    the host's byte order.

    Raises:
        OSError: the file cannot be read or written.
        struct.error: it is no such file.
    """
    with path.open("r+b") as file:
        header = file.read(64)
        order = ">" if header[5:6] == b"\2" else "<"
        (machine,) = struct.unpack_from(order + "H", header, 18)
        if machine not in (_EM_PPC64, _EM_S390):
            return
        # Both are ELF64, and the notes' program header is the first (dump_begin in dump/dump.c).
        (table,) = struct.unpack_from(order + "Q", header, 32)
        file.seek(table)
        begin, size = struct.unpack(order + "8xQ16xQ", file.read(40))
        file.seek(begin)
        notes = file.read(size)
        at = number = 0
        while at < len(notes):
            name_size, size, kind = struct.unpack_from(order + "3I", notes, at)
            name = at + 12
            content = name + _rounded(name_size)
            if kind == _NT_PRSTATUS and notes[name : name + name_size] == _CORE:
                number += 1
                file.seek(begin + content + 32)  # pr_pid of elf_prstatus
                file.write(struct.pack(order + "I", number))
            at = content + _rounded(size)


def _rounded(size: int) -> int:
    """Names and contents of notes begin at multiples of 4."""
    return (size + 3) // 4 * 4
