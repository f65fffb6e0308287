#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 for the last line: cpu-max of query-machines, "maximum number of
# CPUs supported by the machine type", is no number of vCPUs that can be had. It knows nothing of the machine's options,
# nor of its accelerator: under TCG, q35 and microvm of 7.2 take 255, for want of an interrupt controller for more, and
# aarch64's virt takes 8 with a GICv2, which is what it has by itself in 7.2 (10.0 has a GICv3, and takes 512).
#
#                               cpu-max   vCPUs that it takes
#   x86_64 pc                   255       255
#   x86_64 q35                  288       255
#   aarch64 virt                512       8
#   aarch64 virt,gic-version=3  512       512
#   aarch64 virt,gic-version=2  512       8      (10.0.2 and 11.1.3 too)
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
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' 'qemu-system-arm=1:7.2*' seabios
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/qemu-system-x86_64 "$work"/root/usr/bin/qemu-system-aarch64; do
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
import json, socket, subprocess, sys

DATA = ["-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios"]

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


def starts(program: str, machine: str, vcpus: int) -> bool:
    """Whether QEMU takes so many vCPUs."""
    try:
        qemu = Qemu(program, "-machine", machine, "-smp", str(vcpus), "-m", "512")
    except (json.JSONDecodeError, OSError):  # QEMU has ended
        return False
    count = len(qemu("query-cpus-fast"))
    qemu.kill()
    return count == vcpus


def maximum(program: str, machine: str) -> int:
    """What query-machines says."""
    qemu = Qemu(program, "-machine", "none")
    machines = qemu("query-machines")
    qemu.kill()
    return next(each["cpu-max"] for each in machines if machine in (each["name"], each.get("alias")))


expected = {
    ("x86_64", "pc"): (255, 255),
    ("x86_64", "q35"): (288, 255),
    ("aarch64", "virt"): (512, 8),
    ("aarch64", "virt,gic-version=3"): (512, 512),
    ("aarch64", "virt,gic-version=2"): (512, 8),
}
good = True
for (program, machine), (most, taken) in expected.items():
    said = maximum(program, machine.partition(",")[0])
    right = said == most and starts(program, machine, taken)
    right = right and not starts(program, machine, taken + 1)
    print(f"{program} {machine}: cpu-max {said}, takes {taken if right else 'another number'}")
    good &= right
sys.exit(not good)
PYTHON
