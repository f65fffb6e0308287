#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: a device tree given by -dtb (one that the same machine
# dumped, with one vCPU and 256 MiB) for a guest of two vCPUs and 512 MiB is three things on three
# machines: aarch64's virt puts the memory right and leaves the CPUs, riscv64's virt leaves both, so that
# the guest sees half of its memory and one vCPU, and pseries does not look at it. Nobody says a
# word.
#
#                    memory in the guest's tree   CPUs
#   aarch64 virt     512 MiB                      1
#   riscv64 virt     256 MiB                      1
#   ppc64 pseries    512 MiB                      2
#
# Unpacks QEMU 7.2 and dtc from Debian 12's packages into a temporary folder (apt-get with the host's
# sources; nothing is installed) and fails if a line is another.
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
	'qemu-system-arm=1:7.2*' 'qemu-system-ppc=1:7.2*' 'qemu-system-misc=1:7.2*' 'device-tree-compiler=1.6.1*' \
	opensbi
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/{qemu-*,dtc}; do
	cat >"$work/bin/${program##*/}" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$program "\$@"
WRAPPER
	chmod +x "$work/bin/${program##*/}"
done
"$work/bin/qemu-system-aarch64" --version | head -n 1
cd "$work"
setpriv --pdeathsig KILL python3 - "$work/bin" <<'PYTHON'
import json, re, socket, subprocess, sys, time


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


from pathlib import Path

Path("kernel").write_bytes(bytes.fromhex("00000014") * 64)  # aarch64 takes -dtb only with a kernel
machines = {
    "aarch64": ["virt", "-cpu", "cortex-a57", "-kernel", "kernel"],
    "riscv64": ["virt"],
    "ppc64": ["pseries"],
}


def dumped(architecture: str, file: str, *arguments: str) -> tuple[int, int]:
    """MiB of memory and number of CPUs in the guest's device tree."""
    qemu = Qemu("-machine", *machines[architecture], *arguments, program=f"qemu-system-{architecture}")
    qemu("human-monitor-command", command_line=f"dumpdtb {file}")
    qemu.kill()
    source = subprocess.run(
        [f"{sys.argv[1]}/dtc", "-q", "-I", "dtb", "-O", "dts", file], check=True, capture_output=True, text=True
    ).stdout
    ranges = re.findall(r"\bmemory@\w+ {[^}]*\breg = <([^>]*)>", source)
    size = sum(int(cells.split()[-1], 16) for cells in ranges)
    cpus = re.findall(r"\b(?:cpu|PowerPC,\w+)@\w+ {", source)
    return size >> 20, len(cpus)


seen = {}
for architecture in machines:
    small = dumped(architecture, "small.dtb", "-m", "256", "-smp", "1")
    assert small == (256, 1), small
    seen[architecture] = dumped(architecture, "large.dtb", "-m", "512", "-smp", "2", "-dtb", "small.dtb")
    print(f"{architecture:8} {seen[architecture][0]} MiB, {seen[architecture][1]} CPUs")
sys.exit(seen != {"aarch64": (512, 1), "riscv64": (256, 1), "ppc64": (512, 2)})
PYTHON
