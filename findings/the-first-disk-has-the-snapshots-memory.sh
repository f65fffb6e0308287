#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: a snapshot by savevm puts the guest's memory into
# the first disk of the command line and no more than a mark into the others. Named in another order (the
# same files at the same PCI addresses: the same guest), they have the snapshot no longer: loadvm says
# "This is a disk-only snapshot. Revert to it offline using qemu-img", advice that would lose the
# memory for good. snapshot-save and snapshot-load, which name the node of the state, do not depend on the
# order.
#
#                            loadvm                          snapshot-load
#   one, two (as saved)      running                         concluded
#   two, one                 This is a disk-only snapshot    concluded
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


for disk in ("one", "two"):
    subprocess.run([f"{sys.argv[1]}/qemu-img", "create", "-q", "-f", "qcow2", disk, "16M"], check=True)


def started(*disks: str) -> Qemu:
    """A QEMU with the disks in that order, each at its own PCI address."""
    machine = ["-machine", "pc", "-m", "64"]
    for disk in disks:
        machine += ["-blockdev", f"driver=qcow2,node-name={disk},file.driver=file,file.filename={disk}"]
        machine += ["-device", f"virtio-blk-pci,drive={disk},addr={4 if disk == 'one' else 5}"]
    return Qemu(*machine)


def job(qemu: Qemu, command: str) -> str:
    """The error of a snapshot job, or how it ended."""
    qemu(command, job_id="job", tag="by-job", vmstate="one", devices=["one", "two"])
    while (state := qemu("query-jobs")[0])["status"] not in ("concluded", "aborting"):
        time.sleep(0.02)
    qemu("job-dismiss", id="job")
    return state.get("error", state["status"])


saving = started("one", "two")
saving("human-monitor-command", command_line="savevm by-savevm")
assert job(saving, "snapshot-save") == "concluded"
saving("quit")
saving.process.wait()
seen = []
for disks in (("one", "two"), ("two", "one")):
    qemu = started(*disks)
    loaded = qemu("human-monitor-command", command_line="loadvm by-savevm").strip() or "loaded"
    seen += [(loaded, job(qemu, "snapshot-load"))]
    print(disks, *seen[-1], sep=" | ")
    qemu("quit")
    qemu.process.wait()
sys.exit("disk-only" not in seen[1][0] or seen[0] != ("loaded", "concluded") or seen[1][1] != "concluded")
PYTHON
