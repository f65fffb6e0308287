#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12) and 10.0.2 (its backports), 11.1.3 like 10.0.2: the ways by which test guests
# end QEMU with a status of their own are of two kinds, and which is which depends on the version. Some
# are a shutdown: QMP says SHUTDOWN, and -no-shutdown holds QEMU, in the run state shutdown, until somebody
# says quit, which then ends it with the guest's status. The others are exit(): no event, the end of QMP's
# connection is all, and -no-shutdown holds nothing. A sifive_test "fail" is told as reason guest-panic,
# without GUEST_PANICKED.
#
#                            7.2.22              10.0.2, 11.1.3      the latter with -no-shutdown
#   isa-debug-exit           7                   7, SHUTDOWN         held (quit: 7), SHUTDOWN guest-shutdown
#   sifive_test              7                   7, SHUTDOWN         held (quit: 7), SHUTDOWN guest-panic
#   semihosting, aarch64     7                   7                   7
#   semihosting, riscv64     7                   7                   7
#   testdev chardev          7                   7                   7
#
# Unpacks both versions into temporary folders with apt-get (Debian 12's from the host's sources, those of
# the suite in the argument, default bookworm-backports, from its mirror; nothing is installed) and fails
# if one ends in another way.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
unpack() { # FOLDER PACKAGE…: bin/ and root/ in it
	rm -rf "$work"/{lists,archives}
	mkdir -p "$work/$1/bin" "$work"/{lists,archives}/partial
	: >"$work/status"
	apt-get -qq "${options[@]}" update
	apt-get -qq -y "${options[@]}" install --download-only "${@:2}"
	for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/$1/root"; done
	for program in "$work/$1"/root/usr/bin/qemu-*; do
		cat >"$work/$1/bin/${program##*/}" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/$1/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/$1/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/$1/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/$1/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/$1/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$program -L $work/$1/root/usr/share/qemu -L $work/$1/root/usr/share/seabios "\$@"
WRAPPER
		chmod +x "$work/$1/bin/${program##*/}"
	done
	"$work/$1/bin/qemu-system-x86_64" --version | head -n 1
}
unpack old 'qemu-system-x86=1:7.2*' 'qemu-system-arm=1:7.2*' 'qemu-system-misc=1:7.2*' seabios
suite=${1:-bookworm-backports}
mirror=$(apt-get "${options[@]}" indextargets --format '$(REPO_URI)' 'Origin: Debian' |
	grep '/debian/*$' | sort -u | sed -n 1p) || true
[ -n "$mirror" ] || { echo "apt-get has no source of Debian's packages here" >&2; exit 1; }
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
	"$mirror" "${suite%-backports} $suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$work/debian.sources"
options+=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work" -o "APT::Default-Release=$suite")
unpack new qemu-system-x86 qemu-system-arm qemu-system-riscv seabios
cd "$work"
setpriv --pdeathsig KILL python3 - <<'PYTHON'
import json, socket, struct, subprocess, sys
from pathlib import Path


def image(name: str, code: str, *block: int) -> str:
    """A file of instructions, and a semihosting block 0x100 bytes after them."""
    Path(name).write_bytes(bytes.fromhex(code).ljust(0x100, b"\0") + struct.pack(f"<{len(block)}Q", *block))
    return name


def loaded(name: str, address: int) -> list[str]:
    return ["-device", f"loader,file={name},addr={address:#x},cpu-num=0"]


ADP_STOPPED_APPLICATION_EXIT = 0x20026
# mov al, 3; out 0xf4, al; jmp to it; and at the reset vector a jump to the beginning
x86 = bytes.fromhex("b003" "e6f4" "ebfe").ljust(0xFFF0, b"\0") + bytes.fromhex("ea000000f0").ljust(16, b"\0")
Path("x86").write_bytes(x86)
# 0x73333 to 0x100000
sifive = image("sifive", "b7021000" "37330700" "13033333" "23a06200" "6f000000")
# SYS_EXIT of the block
arm = image("arm", "000380d2" "0140a8d2" "012080f2" "00005ed4" "00000014", ADP_STOPPED_APPLICATION_EXIT, 7)
riscv = image(
    "riscv", "13058001" "97050000" "9385c50f" "1310f001" "73001000" "13507040" "6f000000",
    ADP_STOPPED_APPLICATION_EXIT, 7,
)
# "3q" to the PL011
testdev = image("testdev", "0120a1d2" "60068052" "20000039" "200e8052" "20000039" "00000014")
a57, bare = ["virt", "-cpu", "cortex-a57"], ["virt", "-bios", "none"]
guests = {
    "isa-debug-exit": ("x86_64", ["pc", "-bios", "x86", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]),
    "sifive_test": ("riscv64", [*bare, *loaded(sifive, 0x80000000)]),
    "semihosting, aarch64": ("aarch64", [*a57, "-semihosting", *loaded(arm, 0x42000000)]),
    "semihosting, riscv64": ("riscv64", [*bare, "-semihosting", *loaded(riscv, 0x80000000)]),
    "testdev chardev": (
        "aarch64", [*a57, "-chardev", "testdev,id=t", "-serial", "chardev:t", *loaded(testdev, 0x42000000)]
    ),
}


def ended(version: str, architecture: str, *arguments: str) -> str:
    """QEMU's exit status, and whether it was held; and the reason of SHUTDOWN, if there was one."""
    ours, theirs = socket.socketpair()
    monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
    process = subprocess.Popen(
        [f"{version}/bin/qemu-system-{architecture}", "-nodefaults", "-display", "none", "-accel", "tcg", "-S",
         "-m", "64", *monitor, "-machine", *arguments], pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL,
    )
    theirs.close()
    lines, reason, end = ours.makefile("rw"), "", ""
    lines.write('{"execute": "qmp_capabilities"} {"execute": "cont"}')
    lines.flush()
    try:
        for line in lines:
            message = json.loads(line)
            if message.get("event") == "SHUTDOWN" and not reason:
                reason = f", {message['data']['reason']}"
            if message.get("event") == "STOP":
                end = "held, "
                lines.write('{"execute": "quit"}')
                lines.flush()
    except ConnectionResetError:
        pass
    return f"{end}{process.wait()}{reason}"


seen = {}
for name, (architecture, arguments) in guests.items():
    for version in ("old", "new"):
        for options in ([], ["-no-shutdown"]):
            seen[name, version, *options] = ended(version, architecture, *arguments, *options)
    print(f"{name:22}", *(f"{end:24}" for key, end in seen.items() if key[0] == name))
told = {"isa-debug-exit": "guest-shutdown", "sifive_test": "guest-panic"}
expected = {
    key: ("7" if len(key) == 2 else "held, 7") + f", {told[key[0]]}" if key[0] in told and key[1] == "new" else "7"
    for key in seen
}
sys.exit(seen != expected)
PYTHON
