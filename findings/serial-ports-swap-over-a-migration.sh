#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: two isa-serial devices with fixed ports (index=0,
# index=1), named on the destination's command line in the other order, exchange their state over a
# migration that both sides call "completed": COM1's registers arrive in COM2. Their sections are "serial"
# 0 and "serial" 1, counted as the devices were made; the port is not in the name. PCI devices (by their
# address) and USB devices (by their port) may be named in any order.
#
# Seen: the scratch register of COM1 (0x3ff) 0xaa at the source, 0xbb at the destination; COM2 (0x2ff)
# 0xbb, 0xaa.
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if the registers stay where they were or the migration fails.
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


def ports(*indexes: int) -> list[str]:
    devices = [f"isa-serial,chardev=null{index},index={index}" for index in indexes]
    chardevs = [argument for index in indexes for argument in ("-chardev", f"null,id=null{index}")]
    return ["-machine", "pc-q35-7.2", "-m", "64", *chardevs, *(argument for device in devices for argument in ("-device", device))]


def scratch(qemu: Qemu) -> list[str]:
    """The scratch registers of COM1 and COM2."""
    return [qemu("human-monitor-command", command_line=f"i /b {port}").split()[-1] for port in ("0x3ff", "0x2ff")]


there = Qemu(*ports(1, 0), "-incoming", "unix:socket")
here = Qemu(*ports(0, 1))
here("human-monitor-command", command_line="o /b 0x3ff 0xaa")
here("human-monitor-command", command_line="o /b 0x2ff 0xbb")
source = scratch(here)
here("migrate", uri="unix:socket")
while (status := here("query-migrate")["status"]) not in ("completed", "failed"):
    time.sleep(0.01)
while there("query-migrate").get("status") not in ("completed", "failed"):
    time.sleep(0.01)
destination = scratch(there)
here.kill()
there.kill()
print(f"{status}: source {source}, destination {destination}")
sys.exit((status, source, destination) != ("completed", ["0xaa", "0xbb"], ["0xbb", "0xaa"]))
PYTHON
