#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: what a Multiboot guest, as kvm-unit-tests' of x86 are, finds as
# its command line is not what -append says but the image's path as it was typed, a blank, and that. Nothing is
# quoted: a guest that takes the first word for its name has the rest of a path with a blank for arguments, so that one
# build does one thing in one folder and another in the next. And -initrd is a list of modules, FILE ARGUMENTS,FILE ARGUMENTS…:
# of a file's path the first blank ends it, and commas are written twice.
#
#   -kernel "a folder/kernel" -append one   "a folder/kernel one"
#   -kernel kernel -append one              "kernel one"
#   -initrd "a folder/module"               refused: there is no file "a"
#   -initrd "a,comma"                       refused: there is no file "a"
#   -initrd "a,,comma"                      taken
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
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' seabios
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/qemu-system-x86_64; do
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
import os, struct, subprocess, sys

DATA = ["-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios"]
# mov esi, [ebx + 16]; mov dx, 0x3f8; next: lodsb; out dx, al; test al, al; jnz next; out 0xf4, al; hlt
PRINT = bytes.fromhex("8b7310 66baf803 ac ee 84c0 75fa e6f4 f4")


def multiboot(code: bytes) -> bytes:
    """An image for 32-bit x86 at 1 MiB, by the addresses in its header."""
    magic, flags, base = 0x1BADB002, 1 << 16, 1 << 20
    header = struct.pack("<III", magic, flags, -(magic + flags) & 0xFFFFFFFF)
    return header + struct.pack("<IIIII", base, base, 0, 0, base + 32) + code


def seen(kernel: str, *arguments: str) -> str:
    """The command line that the guest prints, or nothing where QEMU refuses."""
    argv = [f"{sys.argv[1]}/qemu-system-x86_64", *DATA, "-nodefaults", "-display", "none", "-serial",
            "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-accel", "tcg", "-kernel", kernel, *arguments]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.stdout.rstrip("\0") or "refused: " + done.stderr.strip().splitlines()[-1]


os.mkdir("a folder")
for path in ("kernel", "a folder/kernel", "a folder/module", "a,comma"):
    with open(path, "wb") as file:
        file.write(multiboot(PRINT))
lines = {
    ("a folder/kernel", "-append", "one"): "a folder/kernel one",
    ("kernel", "-append", "one"): "kernel one",
    ("kernel", "-initrd", "a folder/module"): "refused",
    ("kernel", "-initrd", "a,comma"): "refused",
    ("kernel", "-initrd", "a,,comma"): "kernel",
}
found = {words: seen(*words) for words in lines}
for words, said in found.items():
    print(words, "->", repr(said))
sys.exit([each.partition(":")[0].rstrip() for each in found.values()] != [*lines.values()])
PYTHON
