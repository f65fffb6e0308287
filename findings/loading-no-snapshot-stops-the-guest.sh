#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: loading a snapshot that does not exist is refused,
# by loadvm and by the job snapshot-load ("Snapshot 'none' does not exist in one or more devices"), and
# leaves a running guest stopped, in the run state restore-vm, though nothing of it was touched. It is for
# the caller to say "cont". (A snapshot-save that is refused leaves it running.) And a load that succeeds
# restores memory and devices, not whether the guest ran: one that was saved while it ran stays paused if
# the guest was paused before loadvm, and one that was saved while paused runs.
#
#   running, load of none      restore-vm
#   paused, load of "running"  paused
#   running, load of "paused"  running
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


subprocess.run([f"{sys.argv[1]}/qemu-img", "create", "-q", "-f", "qcow2", "disk", "64M"], check=True)
node = "driver=qcow2,node-name=disk,file.driver=file,file.filename=disk"
qemu = Qemu("-machine", "pc-q35-7.2", "-m", "64", "-blockdev", node, "-device", "virtio-blk-pci,drive=disk")


def after(command: str) -> str:
    """The run state after a command of the human monitor."""
    answer = qemu("human-monitor-command", command_line=command)
    status = qemu("query-status")["status"]
    print(f"{command:16} {status:10} {answer.strip()}")
    return status


qemu("cont")
after("savevm running")
missing = after("loadvm none")
qemu("cont")
qemu("stop")
after("savevm paused")
paused = after("loadvm running")
qemu("cont")
running = after("loadvm paused")
qemu.kill()
sys.exit((missing, paused, running) != ("restore-vm", "paused", "running"))
PYTHON
