#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3: a destination whose machine differs from the source's is
# refused only if it lacks something. One that has more (a device, a timer, a serial port, a vCPU) loads
# the stream, and both sides say "completed": sections are looked up by name as they come, and nobody
# checks that each of its own was loaded. So "A can go to B" says nothing of B to A, and a destination
# with the wrong number of vCPUs may pass. Seen with return-path on:
#
#   has more at the source / at the destination
#   virtio-rng     failed   completed
#   hpet           failed   completed
#   serial port    failed   completed
#   second vCPU    failed   completed   (11.1.3: failed, failed on x86_64; s390x and mips64el as here)
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


def migrated(source: list[str], destination: list[str]) -> str:
    """The status of a source that was migrated to the destination."""
    there = Qemu(*destination, "-incoming", "unix:socket")
    here = Qemu(*source)
    here("migrate-set-capabilities", capabilities=[{"capability": "return-path", "state": True}])
    here("migrate", uri="unix:socket")
    while (status := here("query-migrate")["status"]) not in ("completed", "failed"):
        time.sleep(0.01)
    here.kill()
    there.kill()
    return status


plain = ["-machine", "pc-q35-7.2", "-m", "64"]
without_timer = ["-machine", "pc-q35-7.2,hpet=off", "-m", "64"]
pairs = {
    "virtio-rng": (plain, [*plain, "-device", "virtio-rng-pci"]),
    "hpet": (without_timer, plain),
    "serial port": (plain, [*plain, "-serial", "null"]),
    "second vCPU": (plain, [*plain, "-smp", "2"]),
}
changed = False
for what, (less, more) in pairs.items():
    seen = migrated(more, less), migrated(less, more)
    print(f"{what:12}", *seen)
    changed |= seen != ("failed", "completed")
sys.exit(changed)
PYTHON
