#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3: "-machine dumpdtb=FILE" writes the machine's device tree and ends.
# A machine that has none ignores it in 7.2 and runs its guest, so that a tool that asks each machine waits for
# ever; from 10.0 on it is refused. But so it is for ppc64's pseries, which has one: it is made at the first
# reset, and 10.0 looks before that. The command dumpdtb of QMP gets it from all three versions, of a QEMU with -S too.
#
#                      7.2.22             10.0.2, 11.1.3                        QMP's dumpdtb
#   riscv64 virt       ends, a file       ends, a file                          a file
#   ppc64 pseries      ends, a file       "This machine doesn't have an FDT"    a file
#   x86_64 pc          runs the guest     the same                              refused
#   s390x              runs the guest     the same                              refused
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
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' 'qemu-system-misc=1:7.2*' 'qemu-system-ppc=1:7.2*' opensbi seabios qemu-slof
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/qemu-system-x86_64 "$work"/root/usr/bin/qemu-system-s390x "$work"/root/usr/bin/qemu-system-riscv64 "$work"/root/usr/bin/qemu-system-ppc64; do
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
import json, os, socket, subprocess, sys

DATA = [
    *("-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios", "-L", "root/usr/share/slof"),
    *("-L", "root/usr/lib/riscv64-linux-gnu/opensbi/generic"),
]
FILE = "machine.dtb"

class Qemu:
    """A QEMU that is stopped, and its monitor."""

    def __init__(self, program: str, *arguments: str) -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/qemu-system-{program}", *DATA, "-nodefaults", "-display", "none",
             "-accel", "tcg", "-S", *monitor, *arguments],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self.lines = ours.makefile("rw")
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

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def written() -> bool:
    """Whether there is a file; it is removed."""
    if not os.path.exists(FILE):
        return False
    os.remove(FILE)
    return True


def by_option(program: str, machine: str) -> str:
    """What -machine dumpdtb= does."""
    argv = [f"{sys.argv[1]}/qemu-system-{program}", *DATA, "-nodefaults", "-display", "none", "-S"]
    argv += ["-machine", f"{machine},dumpdtb={FILE}"]
    qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return f"ends with {qemu.wait(10)}" + (", a file" if written() else "")
    except subprocess.TimeoutExpired:
        return "runs the guest"
    finally:
        qemu.kill()
        qemu.wait()


def by_command(program: str, machine: str) -> str:
    """What QMP's dumpdtb does."""
    qemu = Qemu(program, "-machine", machine)
    answer = qemu("dumpdtb", filename=FILE)
    qemu.kill()
    return "a file" if written() and answer == {} else "refused"


expected = {
    ("riscv64", "virt"): ("ends with 0, a file", "a file"),
    ("ppc64", "pseries"): ("ends with 0, a file", "a file"),
    ("x86_64", "pc"): ("runs the guest", "refused"),
    ("s390x", "s390-ccw-virtio"): ("runs the guest", "refused"),
}
found = {guest: (by_option(*guest), by_command(*guest)) for guest in expected}
for guest, said in found.items():
    print(f"{' '.join(guest):24}", *said, sep="  ")
sys.exit(found != expected)
PYTHON
