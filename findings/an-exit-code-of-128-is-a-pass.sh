#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: of the codes with which test guests end QEMU the upper bits are
# lost, as a process has 8 for them, and nobody refuses or clamps one that is too large. isa-debug-exit has room for 7 bits
# (status = 2 * code + 1): a guest that exits with 128 exits as one with 0, which is kvm-unit-tests' pass. sifive_test, whose
# register has 16 bits for the code of a failure, and semihosting, with 32 or 64, make of 256 the status 0. So a guest
# that counts its failures into its exit code passes with enough of them; it has to limit them itself.
#
#                                  0            7            one too large
#   isa-debug-exit (x86_64)        status 1     status 15    128: status 1
#   sifive_test, fail (riscv64)                 status 7     256: status 0
#   semihosting (aarch64)          status 0     status 7     256: status 0
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if a line is another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' 'qemu-system-arm=1:7.2*' 'qemu-system-misc=1:7.2*' seabios
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/qemu-system-x86_64 "$work"/root/usr/bin/qemu-system-aarch64 "$work"/root/usr/bin/qemu-system-riscv64; do
	cat >"$work/bin/${program##*/}" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$program "\$@"
WRAPPER
	chmod +x "$work/bin/${program##*/}"
done
"$work/bin/qemu-system-x86_64" --version | head -n 1
cd "$work"
setpriv --pdeathsig KILL python3 - "$work/bin" <<'PYTHON'
import struct, subprocess, sys

DATA = ["-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios"]


def multiboot(code: bytes) -> bytes:
    """An image for 32-bit x86 at 1 MiB, by the addresses in its header."""
    magic, flags, base = 0x1BADB002, 1 << 16, 1 << 20
    header = struct.pack("<III", magic, flags, -(magic + flags) & 0xFFFFFFFF)
    return header + struct.pack("<IIIII", base, base, 0, 0, base + 32) + code


def elf(machine: int, base: int, code: bytes) -> bytes:
    """A file with one segment, loaded and started at ``base``."""
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, base, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 4096, base, base, len(code), len(code), 4096)
    return (header + segment).ljust(4096, b"\0") + code


def debug_exit(code: int) -> bytes:
    """mov al, code; out 0xf4, al; hlt."""
    return multiboot(bytes([0xB0, code, 0xE6, 0xF4, 0xF4]))


def sifive_test(code: int) -> bytes:
    """lui t0, 0x100; t1 = code << 16 | 0x3333; sw t1, 0(t0); j ."""
    high = (code << 4 | 3) << 12
    return elf(243, 0x80000000, struct.pack("<IIIII", 0x001002B7, high | 0x337, 0x33330313, 0x0062A023, 0x6F))


def semihosting(code: int) -> bytes:
    """SYS_EXIT_EXTENDED of ADP_Stopped_ApplicationExit and the code."""
    words = struct.pack("<IIII", 0x52800400, 0x10000061, 0xD45E0000, 0x14000000)
    return elf(183, 0x40200000, words + struct.pack("<QQ", 0x20026, code))


def status(program: str, image: bytes, *arguments: str) -> int:
    """With which QEMU ends."""
    with open("kernel", "wb") as file:
        file.write(image)
    argv = [f"{sys.argv[1]}/qemu-system-{program}", *DATA, "-nodefaults", "-display", "none", *arguments]
    return subprocess.run([*argv, "-kernel", "kernel"], stdin=subprocess.DEVNULL, timeout=60).returncode


ways = {
    "isa-debug-exit": ("x86_64", debug_exit, "-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
    "sifive_test, fail": ("riscv64", sifive_test, "-machine", "virt", "-bios", "none"),
    "semihosting": ("aarch64", semihosting, "-machine", "virt", "-cpu", "max", "-semihosting"),
}
expected = {
    "isa-debug-exit": {0: 1, 7: 15, 128: 1},
    "sifive_test, fail": {7: 7, 256: 0},
    "semihosting": {0: 0, 7: 7, 256: 0},
}
found = {
    way: {code: status(ways[way][0], ways[way][1](code), *ways[way][2:]) for code in codes}
    for way, codes in expected.items()
}
for way, codes in found.items():
    print(f"{way:18}", ", ".join(f"{code}: status {each}" for code, each in codes.items()))
sys.exit(found != expected)
PYTHON
