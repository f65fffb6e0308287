#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: query-hotpluggable-cpus counts down, on every machine
# that has it (pc, q35, pseries, s390x; loongarch64 from 10.0 on). So the first entry that is free, which a
# tool plugs in, is the CPU with the highest number. The guest has a hole then (CPUs 0 and 2 of "-smp
# 1,maxcpus=3"), and so has query-cpus-fast, whose cpu-index is no count. And it cannot be migrated to "-smp
# 2,maxcpus=3", a guest of as many CPUs: a destination made so has 0 and 1. Plug from the end of the list.
#
#                                                  x86_64 pc   ppc64 pseries   s390x
#   cpu-index after the first free one came        0, 2        0, 2            0, 2
#   the migration to "-smp 2,maxcpus=3"            failed      failed          failed
#   the same, with the last one of the list        completed   completed       completed
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
apt-get -qq -y "${options[@]}" install --download-only \
	'qemu-system-x86=1:7.2*' 'qemu-system-ppc=1:7.2*' 'qemu-system-misc=1:7.2*' seabios
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/qemu-*; do
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


MACHINES = {"x86_64": "pc", "ppc64": "pseries", "s390x": "s390-ccw-virtio"}


def plugged(architecture: str, entry: int) -> tuple[list[int], str]:
    """The indexes of the CPUs after one of the free entries was plugged, and how a migration ends."""
    machine = ["-machine", MACHINES[architecture], "-m", "256", "-smp"]
    source = Qemu(*machine, "1,maxcpus=3", program=f"qemu-system-{architecture}")
    free = [cpu for cpu in source("query-hotpluggable-cpus") if "qom-path" not in cpu]
    assert source("device_add", driver=free[entry]["type"], **free[entry]["props"]) == {}
    indexes = [cpu["cpu-index"] for cpu in source("query-cpus-fast")]
    destination = Qemu(*machine, "2,maxcpus=3", "-incoming", "defer", program=f"qemu-system-{architecture}")
    for qemu in source, destination:
        capability = {"capability": "return-path", "state": True}
        assert qemu("migrate-set-capabilities", capabilities=[capability]) == {}
    assert destination("migrate-incoming", uri="unix:socket") == {}
    assert source("migrate", uri="unix:socket") == {}
    while (status := source("query-migrate")["status"]) not in ("completed", "failed"):
        time.sleep(0.05)
    source.kill()
    destination.kill()
    return indexes, status


seen = []
for architecture in MACHINES:
    seen.append([*plugged(architecture, 0), *plugged(architecture, -1)])
    print(f"{architecture:8}", *seen[-1])
sys.exit(any(line != [[0, 2], "failed", [0, 1], "completed"] for line in seen))
PYTHON
