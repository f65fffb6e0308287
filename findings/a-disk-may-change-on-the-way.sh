#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3: a virtio-blk disk of the destination may be half as
# large as the source's, and have another serial number and other logical blocks: the migration completes.
# A disk's size and identity are not in the stream, and no event tells of the difference. The number of
# its queues and vectors is refused (they are in the PCI configuration space); the length of a queue
# depends on the version:
#
#   64 MiB -> 32 MiB                    completed
#   serial=one -> serial=two            completed
#   queue-size 256 -> queue-size 64     completed   (11.1.3: failed, "vring.num 256 exceeds allocated max 64")
#   num-queues 2 -> num-queues 1        failed
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


def disk(mebibytes: int, properties: str = "") -> list[str]:
    image = f"{mebibytes}.img"
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    node = f"driver=raw,node-name=disk,file.driver=file,file.locking=off,file.filename={image}"
    return ["-machine", "pc-q35-7.2", "-m", "64", "-blockdev", node, "-device", f"virtio-blk-pci,drive=disk{properties}"]


seen = {
    "64 MiB -> 32 MiB": migrated(disk(64), disk(32)),
    "serial=one -> serial=two": migrated(disk(64, ",serial=one"), disk(64, ",serial=two")),
    "queue-size 256 -> 64": migrated(disk(64, ",queue-size=256"), disk(64, ",queue-size=64")),
    "num-queues 2 -> 1": migrated(disk(64, ",num-queues=2"), disk(64, ",num-queues=1")),
}
for what, status in seen.items():
    print(f"{what:24}", status)
sys.exit(list(seen.values()) != ["completed", "completed", "completed", "failed"])
PYTHON
