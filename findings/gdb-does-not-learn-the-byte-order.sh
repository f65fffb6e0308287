#!/usr/bin/env bash
# gdb-multiarch 13.1 with QEMU 7.2.22 (both Debian 12), and with QEMU 10.0.2 and 11.1.3 alike: gdb that is
# attached without an ELF file learns the architecture from QEMU's gdbstub, and not its byte order. It
# takes powerpc:common64 and even s390:64-bit, which has never been anything but big-endian, for
# little-endian, and shows every register and word of memory with its bytes reversed, without a warning.
# "set endian big" before "target remote" puts it right, an ELF file too. Of mips64el (whose stub
# describes nothing) it takes the architecture of its own host, and gives up: "Remote 'g' packet reply is
# too long". x86_64, i386, aarch64 and riscv64 are right.
#
#             as attached          with "set endian big"
#   ppc64     0x1000000000000      0x100
#   s390x     0xe803e00f00000000   0xfe003e8
#   riscv64   0x1000
#   mips64el  Remote 'g' packet reply is too long
#
# Unpacks both from Debian 12's packages into a temporary folder (apt-get with the host's sources; nothing
# is installed) and fails if ppc64's pc is right without "set endian big", or wrong with it, or mips64el
# has one.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only \
	'qemu-system-ppc=1:7.2*' 'qemu-system-misc=1:7.2*' 'qemu-system-mips=1:7.2*' opensbi 'gdb-multiarch=13.1*'
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/{qemu-*,gdb-multiarch}; do
	cat >"$work/bin/${program##*/}" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$program "\$@"
WRAPPER
	chmod +x "$work/bin/${program##*/}"
done
"$work/bin/qemu-system-ppc64" --version | head -n 1
cd "$work"
setpriv --pdeathsig KILL python3 - "$work/bin" <<'PYTHON'
import json, socket, subprocess, sys, time


class Qemu:
    """A QEMU that is stopped, and its monitor."""

    def __init__(self, *arguments: str, program: str = "qemu-system-x86_64") -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/{program}", "-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios",
             "-nodefaults", "-display", "none", "-accel", "tcg", "-S", *monitor, *arguments],
            pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self.lines = ours.makefile("rw")
        self.events: list[dict] = []
        self.lines.readline()
        self("qmp_capabilities")

    def __call__(self, command: str, **arguments: object) -> object:
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            message = json.loads(self.lines.readline())
            if "event" not in message:
                return message["return"] if "return" in message else message["error"]["desc"]
            self.events.append(message)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def counter(machine: str, program: str, *commands: str) -> str:
    """What gdb says the program counter of a guest is that has not run."""
    qemu = Qemu("-machine", machine, "-m", "256", "-gdb", "unix:gdb,server=on,wait=off", program=program)
    chosen = [argument for command in (*commands, "target remote gdb", "info registers pc") for argument in ("-ex", command)]
    gdb = [f"{sys.argv[1]}/gdb-multiarch", "--data-directory", "root/usr/share/gdb", "-nx", "-batch", *chosen]
    said = subprocess.run(gdb, capture_output=True, text=True, env={"PYTHONHOME": "root/usr"})
    qemu.kill()
    pc = [line.split()[1] for line in said.stdout.splitlines() if line.startswith("pc ")]
    errors = [line[:41] for line in said.stderr.splitlines() if line.startswith("Remote")]
    return (pc or errors or ["none"])[0]


power = ("pseries", "qemu-system-ppc64")
seen = {
    "ppc64": counter(*power),
    "ppc64, set endian big": counter(*power, "set endian big"),
    "s390x": counter("s390-ccw-virtio", "qemu-system-s390x"),
    "s390x, set endian big": counter("s390-ccw-virtio", "qemu-system-s390x", "set endian big"),
    "riscv64": counter("virt", "qemu-system-riscv64"),
    "mips64el": counter("malta", "qemu-system-mips64el"),
}
for what, pc in seen.items():
    print(f"{what:22} {pc}")
right = seen["riscv64"] == "0x1000" and seen["ppc64, set endian big"] == "0x100"
sys.exit(not right or seen["ppc64"] != "0x1000000000000" or not seen["mips64el"].startswith("Remote 'g' packet"))
PYTHON
