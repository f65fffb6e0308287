#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.13 and 11.1.3 alike: a guest that has powered itself off (with
# -no-shutdown at its source) can still be migrated, and the migration is "completed". Its destination then
# has the status "shutdown", but there is neither the event SHUTDOWN nor STOP, and the destination does not
# end, though it was started without -no-shutdown, where a guest that powers off ends its QEMU. cont is
# refused ("Resetting the Virtual Machine is required"). Who waits for an event or for the exit of the QEMU that
# has the guest now waits forever: query-status has to be asked after each migration. (A guest that
# panicked, with the action "pause", arrives as "guest-panicked" in the same silence.)
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if the destination ends, emits another event, or has another status.
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
    """A QEMU and its monitor."""

    def __init__(self, *arguments: str, program: str = "qemu-system-x86_64") -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-qmp", "chardev:m"]
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/{program}", "-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios",
             "-nodefaults", "-display", "none", "-accel", "tcg", *monitor, *arguments],
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


source = Qemu("-machine", "pc", "-no-shutdown", "-qtest", "unix:ports,server=on,wait=off")
ports = socket.socket(socket.AF_UNIX)
ports.connect("ports")
time.sleep(2)  # the firmware enables ACPI's registers
ports.sendall(b"outw 0x604 0x2000\n")  # PM1a_CNT: SLP_EN, type 0, which is S5 here
while source("query-status")["status"] == "running":
    time.sleep(0.05)
print("source:     ", source("query-status")["status"], [each["event"] for each in source.events])

destination = Qemu("-machine", "pc", "-incoming", "defer")
assert destination("migrate-incoming", uri="unix:socket") == {}
assert source("migrate", uri="unix:socket") == {}
while source("query-migrate").get("status") != "completed":
    time.sleep(0.05)
time.sleep(2)
status, refused = destination("query-status")["status"], destination("cont")
events = [each["event"] for each in destination.events if each["event"] != "MIGRATION"]
print("destination:", status, events, "| cont:", refused, "| exit status:", destination.process.poll())
at_source = {each["event"] for each in source.events}
expected = "shutdown", [], "Resetting the Virtual Machine is required", None
as_seen = (status, events, refused, destination.process.poll()) == expected
source.kill()
destination.kill()
sys.exit(not (as_seen and "SHUTDOWN" in at_source))
PYTHON
