#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: an ELF file that is given by -kernel is started at its
# entry point (aarch64 here), but for riscv64: there QEMU, or the firmware by its order, jumps to the lowest
# address that was loaded, and e_entry is not looked at, with -bios none as with OpenSBI. A test image whose
# linker script does not put its start first, or that has a table or a header there, runs into that,
# silently, where the same layout works for other architectures.
#
#                        entry 0x100 bytes into the image
#   aarch64              starts at the entry
#   riscv64              starts at the lowest address
#   riscv64, -bios none  starts at the lowest address
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
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-arm=1:7.2*' 'qemu-system-misc=1:7.2*' opensbi
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/qemu-system-riscv64 "$work"/root/usr/bin/qemu-system-aarch64; do
	cat >"$work/bin/${program##*/}" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$program "\$@"
WRAPPER
	chmod +x "$work/bin/${program##*/}"
done
"$work/bin/qemu-system-riscv64" --version | head -n 1
cd "$work"
setpriv --pdeathsig KILL python3 - "$work/bin" <<'PYTHON'
import os, struct, subprocess, sys, time

DATA = ["-L", "root/usr/share/qemu", "-L", "root/usr/lib/riscv64-linux-gnu/opensbi/generic"]
RISCV, AARCH64 = 243, 183  # e_machine


def elf(machine: int, base: int, code: bytes, entry: int) -> bytes:
    """A file with one segment, loaded at ``base``."""
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 4096, base, base, len(code), len(code), 4096)
    return (header + segment).ljust(4096, b"\0") + code


def riscv(letter: str) -> bytes:
    """lui t0, 0x10000; li t1, letter; sb t1, 0(t0); j ."""
    return struct.pack("<IIII", 0x100002B7, 0x313 | ord(letter) << 20, 0x00628023, 0x6F)


def aarch64(letter: str) -> bytes:
    """movz x0, #0x900, lsl #16; mov w1, letter; strb w1, [x0]; b ."""
    return struct.pack("<IIII", 0xD2A12000, 0x52800001 | ord(letter) << 5, 0x39000001, 0x14000000)


def seen(program: str, machine: int, base: int, put: object, *arguments: str) -> str:
    """Where a guest starts, by the letter that it prints: there are two places that print one."""
    with open("kernel.elf", "wb") as file:
        file.write(elf(machine, base, put("{").ljust(256, b"\0") + put("}"), base + 256))
    qemu = subprocess.Popen(
        [f"{sys.argv[1]}/qemu-system-{program}", *DATA, "-nodefaults", "-display", "none", "-serial",
         "stdio", "-machine", "virt", "-kernel", "kernel.elf", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    printed, begin = b"", time.monotonic()
    os.set_blocking(qemu.stdout.fileno(), False)
    while not {*b"{}"} & {*printed} and time.monotonic() < begin + 60:
        printed += qemu.stdout.read() or b""
        time.sleep(0.05)
    qemu.kill()
    qemu.wait()
    return {"{": "lowest address", "}": "entry"}.get(printed.decode("latin-1")[-1:], "nowhere")


found = {
    "aarch64": seen("aarch64", AARCH64, 0x40200000, aarch64, "-cpu", "max"),
    "riscv64": seen("riscv64", RISCV, 0x80200000, riscv),
    "riscv64, -bios none": seen("riscv64", RISCV, 0x80000000, riscv, "-bios", "none"),
}
for guest, place in found.items():
    print(f"{guest:20} starts at the {place}")
sys.exit([*found.values()] != ["entry", "lowest address", "lowest address"])
PYTHON
