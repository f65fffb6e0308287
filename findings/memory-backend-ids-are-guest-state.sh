#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: the id of a memory backend, a name of the host's
# side like a netdev's or a drive's, is part of the guest's state. The stream names each block of RAM by
# it, and a destination whose backend of the same kind and size has another id is refused ("Unknown
# ramblock"). The id that is no id at all is the machine's default ("pc.ram" here: default-ram-id of
# query-machines): a backend of that name and a plain -m go to one another. The ids of other objects
# (-device, -netdev, -blockdev) may differ.
#
#   m0 -> m1 failed    pc.ram -> plain -m completed    plain -m -> m0 failed    device x -> device y completed
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if one is another.
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


def backend(name: str) -> list[str]:
    return ["-machine", f"pc-q35-7.2,memory-backend={name}", "-object", f"memory-backend-ram,size=64M,id={name}", "-m", "64"]


plain = ["-machine", "pc-q35-7.2", "-m", "64"]
seen = {
    "m0 -> m1": migrated(backend("m0"), backend("m1")),
    "pc.ram -> plain -m": migrated(backend("pc.ram"), plain),
    "plain -m -> m0": migrated(plain, backend("m0")),
    "device x -> device y": migrated([*plain, "-device", "virtio-rng-pci,id=x"], [*plain, "-device", "virtio-rng-pci,id=y"]),
}
print(seen)
sys.exit(list(seen.values()) != ["failed", "completed", "failed", "completed"])
PYTHON
