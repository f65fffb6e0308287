#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: loadvm of a snapshot that does not fit the machine
# (here: a virtio-rng was there when it was saved and is not now) is refused with an error, after it has
# gone back to the snapshot's disks and reset the guest. What was written since is gone from the disks,
# the memory that was to go with them is not there, and "cont", which is taken, starts that. Nothing
# tells beforehand whether a snapshot fits: save another one first.
#
#   disk before loadvm   new
#   loadvm               Unknown section or instance '0000:00:01.0:00.0/virtio-rng' 0. [...]
#   disk after loadvm    old
#   cont                 {}, running
#
# Unpacks QEMU 7.2 and qemu-img from Debian 12's packages into a temporary folder (apt-get with the host's
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
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' 'qemu-utils=1:7.2*' seabios
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
            pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
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


subprocess.run([f"{sys.argv[1]}/qemu-img", "create", "-q", "-f", "qcow2", "disk", "16M"], check=True)
machine = [
    *("-machine", "pc-q35-7.2", "-m", "64", "-device", "pcie-root-port,id=root0"),
    *("-blockdev", "driver=qcow2,node-name=disk,file.driver=file,file.filename=disk"),
    *("-device", "virtio-blk-pci,drive=disk,share-rw=on"),
]
contents = {"old": "0x11", "new": "0x22"}


def disk() -> str:
    """Which of the contents the disk has."""
    image = subprocess.run(
        [f"{sys.argv[1]}/qemu-io", "-r", "-U", "-f", "qcow2", "-c", "read -v 0 16", "disk"],
        check=True, capture_output=True, text=True,
    ).stdout
    return next(name for name, byte in contents.items() if f"{byte[2:]} {byte[2:]} {byte[2:]}" in image)


def write(qemu: Qemu, name: str) -> None:
    qemu("human-monitor-command", command_line=f'qemu-io disk "write -P {contents[name]} 0 4096"')
    qemu("human-monitor-command", command_line='qemu-io disk "flush"')


qemu = Qemu(*machine, "-device", "virtio-rng-pci,bus=root0")
write(qemu, "old")
qemu("human-monitor-command", command_line="savevm snapshot")
qemu.kill()
qemu = Qemu(*machine)
qemu("cont")
write(qemu, "new")
before = disk()
answer = qemu("human-monitor-command", command_line="loadvm snapshot").strip()
after = disk()
cont, status = qemu("cont"), qemu("query-status")["status"]
qemu.kill()
print(f"before {before}\n{answer}\nafter {after}\ncont {cont}, {status}")
sys.exit((before, "virtio-rng" in answer, after, cont, status) != ("new", True, "old", {}, "running"))
PYTHON
