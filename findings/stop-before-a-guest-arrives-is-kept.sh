#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.13 and 11.1.3 alike: a QEMU that waits for a guest (-incoming) takes
# stop and cont, answers {} and shows nothing of it: query-status goes on saying "inmigrate", and there is
# no event. It keeps them for the guest that is to come: after stop, the guest arrives paused, and runs
# neither there nor at its source; after cont, it runs although -S asked for one that is left paused. Who
# pauses all of its QEMUs for a moment, destinations among them, and tries "cont" on those that were
# running, leaves a guest that nobody resumes.
#
#   started with   then         after a running guest's arrival
#   -              -            running
#   -              stop         paused
#   -              stop, cont   running
#   -S             -            paused
#   -S             cont         running
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


def arrived(options: list[str], commands: list[str]) -> str:
    """Run state of a guest that ran at its source, at a destination that was given these before."""
    source, destination = Qemu("-machine", "pc"), Qemu("-machine", "pc", "-incoming", "defer", *options)
    for command in commands:
        assert destination(command) == {}
        assert destination("query-status")["status"] == "inmigrate"
    assert destination.events == []
    assert destination("migrate-incoming", uri="unix:socket") == {}
    assert source("query-status")["status"] == "running"
    assert source("migrate", uri="unix:socket") == {}
    while source("query-migrate").get("status") != "completed":
        time.sleep(0.05)
    while (state := destination("query-status")["status"]) == "inmigrate":
        time.sleep(0.05)
    source.kill()
    destination.kill()
    return state


WAYS = [([], []), ([], ["stop"]), ([], ["stop", "cont"]), (["-S"], []), (["-S"], ["cont"])]
seen = [arrived(*way) for way in WAYS]
for way, state in zip(WAYS, seen):
    print(*way, state)
sys.exit(seen != ["running", "paused", "running", "paused", "running"])
PYTHON
