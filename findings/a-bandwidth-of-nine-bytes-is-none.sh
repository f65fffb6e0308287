#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: max-bandwidth, in bytes per second, is divided by ten
# (for each 100 ms) and rounded down, and a limit of 0 is none. So the smallest values, which one sets to hold a
# migration while something is done to it ("1"), or by mistake for another unit, let it go as fast as it
# can, and query-migrate-parameters shows them as they were set.
#
#   max-bandwidth   after 2 s, of an idle guest (7.2.22)   10.0.2, 11.1.3
#   0               completed                              completed
#   1               completed                              completed
#   9               completed                              completed
#   10              active                                 active (and completed soon: no less than some
#                                                          hundred KB/s are sent)
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
for program in "$work"/root/usr/bin/qemu-system-x86_64; do
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

DATA = ["-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios"]

class Qemu:
    """A QEMU that is stopped, and its monitor."""

    def __init__(self, program: str, *arguments: str) -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/qemu-system-{program}", *DATA, "-nodefaults", "-display", "none",
             "-accel", "tcg", "-S", *monitor, *arguments],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self.lines = ours.makefile("rw")
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

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def migrated(limit: int) -> str:
    """The state of a migration after it has had two seconds, or once it is over."""
    destination = Qemu("x86_64", "-m", "256", "-incoming", "unix:socket")
    source = Qemu("x86_64", "-m", "256")
    source("migrate-set-parameters", max_bandwidth=limit)
    source("migrate", uri="unix:socket")
    begin, state = time.monotonic(), "setup"
    while state in ("setup", "active", "device") and time.monotonic() < begin + 2:
        time.sleep(0.05)
        state = source("query-migrate")["status"]
    kept = source("query-migrate-parameters")["max-bandwidth"]
    source.kill()
    destination.kill()
    return state if kept == limit else f"limit {kept}"


expected = {0: "completed", 1: "completed", 9: "completed", 10: "active"}
found = {limit: migrated(limit) for limit in expected}
for limit, state in found.items():
    print(f"max-bandwidth {limit:2}: {state}")
sys.exit(found != expected)
PYTHON
