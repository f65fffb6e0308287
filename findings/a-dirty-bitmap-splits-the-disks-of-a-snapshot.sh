#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: savevm takes a snapshot of a disk that has a dirty
# bitmap (any: not persistent, or disabled) without a word, and loadvm refuses it: "Device has active dirty
# bitmaps". It finds that out disk by disk, so that of two disks, the second with a bitmap, the first is
# old afterwards and the second new. snapshot-load says the same. Remove the bitmap before.
#
#                   first disk   second disk
#   before loadvm   new          new
#   after           old          new          Could not load snapshot [...] Device has active dirty bitmaps
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


disks = ("one", "two")
contents = {"old": "0x11", "new": "0x22"}
machine = ["-machine", "pc", "-m", "64"]
for disk in disks:
    subprocess.run([f"{sys.argv[1]}/qemu-img", "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
    machine += ["-blockdev", f"driver=qcow2,node-name={disk},file.driver=file,file.filename={disk}"]
    machine += ["-device", f"virtio-blk-pci,drive={disk},share-rw=on"]
qemu = Qemu(*machine)


def human(command: str) -> str:
    return qemu("human-monitor-command", command_line=command).strip()


def write(name: str) -> None:
    for disk in disks:
        human(f'qemu-io {disk} "write -P {contents[name]} 0 4096"')
        human(f'qemu-io {disk} "flush"')


def on(disk: str) -> str:
    """Which of the contents a disk has."""
    image = subprocess.run(
        [f"{sys.argv[1]}/qemu-io", "-r", "-U", "-f", "qcow2", "-c", "read -v 0 16", disk],
        check=True, capture_output=True, text=True,
    ).stdout
    return next(name for name, byte in contents.items() if f"{byte[2:]} {byte[2:]} {byte[2:]}" in image)


write("old")
assert qemu("block-dirty-bitmap-add", node="two", name="bitmap", disabled=True) == {}
saved = human("savevm snapshot")
write("new")
before = [on(disk) for disk in disks]
answer = human("loadvm snapshot")
after = [on(disk) for disk in disks]
qemu.kill()
print(f"savevm: {saved or 'no error'}\nbefore {before}\n{answer}\nafter {after}")
sys.exit((saved, before, after) != ("", ["new", "new"], ["old", "new"]) or "active dirty bitmaps" not in answer)
PYTHON
