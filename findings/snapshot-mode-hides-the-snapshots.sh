#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: a guest that was booted once and saved by savevm cannot be
# run again and again with -snapshot, which is to leave the image alone: the temporary overlay that it puts
# on the image has no snapshots, and those of the image below are out of reach. An overlay by "qemu-img
# create -b" is no better, and an image that is read-only is not even looked at. Two guests cannot share the
# image either, as loadvm needs to write to it. So each run from a savevm needs a copy of the whole image; a
# state in a file (migrate to exec: or, from 8.2 on, file:) goes with -snapshot.
#
#                                       the saved state
#   loadvm, the image                   loaded
#   loadvm, a copy of it                loaded
#   loadvm, -snapshot                   Snapshot 'booted' does not exist in one or more devices
#   loadvm, qemu-img create -b          Snapshot 'booted' does not exist in one or more devices
#   loadvm, readonly=on                 no block device can store vmstate for snapshot
#   -incoming of a file, -snapshot      loaded
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
import json, shutil, socket, subprocess, sys, time


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


def guest(*options: str, disk: str = "disk") -> Qemu:
    drive = ["-drive", f"file={disk},format=qcow2,if=virtio"]
    return Qemu("-machine", "pc", "-m", "64", *drive, *options)


def magic(qemu: Qemu) -> bool:
    """Whether a word of the guest's memory is that of the state that was saved."""
    return "0x600df00d" in qemu("human-monitor-command", command_line="xp /1wx 0x100000")


def create(*arguments: str) -> None:
    subprocess.run([f"{sys.argv[1]}/qemu-img", "create", "-q", "-f", "qcow2", *arguments], check=True)


def loaded(name: str, qemu: Qemu) -> str:
    answer = qemu("human-monitor-command", command_line="loadvm booted").strip().removeprefix("Error: ")
    return ended(name, qemu, answer)


def restored(name: str, qemu: Qemu) -> str:
    while qemu("query-status")["status"] == "inmigrate":
        time.sleep(0.05)
    return ended(name, qemu, "")


def ended(name: str, qemu: Qemu, answer: str) -> str:
    seen = "loaded" if magic(qemu) else answer
    print(f"{name:32}", seen)
    qemu.kill()
    return seen


create("disk", "16M")
source = guest("-device", "loader,addr=0x100000,data=0x600df00d,data-len=4")
assert source("human-monitor-command", command_line="savevm booted") == ""
source("migrate", uri="exec:cat >state")
while (status := source("query-migrate")["status"]) not in ("completed", "failed"):
    time.sleep(0.05)
source.kill()
create("-b", "disk", "-F", "qcow2", "overlay")
shutil.copy("disk", "copy")
seen = [
    loaded("loadvm, the image", guest()),
    loaded("loadvm, a copy of it", guest(disk="copy")),
    loaded("loadvm, -snapshot", guest("-snapshot")),
    loaded("loadvm, qemu-img create -b", guest(disk="overlay")),
    loaded("loadvm, readonly=on", guest(disk="disk,readonly=on")),
    restored("-incoming of a file, -snapshot", guest("-snapshot", "-incoming", "exec:cat state")),
]
missing = "Snapshot 'booted' does not exist in one or more devices"
readonly = "no block device can store vmstate for snapshot"
sys.exit(seen != ["loaded", "loaded", missing, missing, readonly, "loaded"])
PYTHON
