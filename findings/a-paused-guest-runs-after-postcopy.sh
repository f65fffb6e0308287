#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: a guest that is paused (stop) while it is migrated
# arrives paused, as whether it ran is part of the state. Unless the migration switches to postcopy: then
# the destination starts it, with the event RESUME, though nobody said cont and it was still for all of its
# time at the source. Who stopped a guest to look at it, or to keep it from writing, has to start the
# destination with -S, which leaves a running guest paused as well.
#
#              destination         with -S
#   precopy    paused              paused
#   postcopy   running, RESUME     paused
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if a line is another. Needs userfaultfd (root, or
# vm.unprivileged_userfaultfd=1).
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
import json, random, socket, subprocess, sys, time


class Qemu:
    """A QEMU and its monitor."""

    def __init__(self, *arguments: str, program: str = "qemu-system-x86_64") -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
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


MEMORY = ["-machine", "pc", "-m", "64", "-device", "loader,file=random,addr=0x100000,force-raw=on"]


def wait(qemu: Qemu, *wanted: str) -> str:
    while (status := qemu("query-migrate").get("status")) not in (*wanted, "failed"):
        time.sleep(0.05)
    return status


def arrived(postcopy: bool, *options: str) -> tuple[str, bool]:
    """Run state of a guest that was paused, at the destination, and whether that emitted RESUME."""
    source = Qemu(*MEMORY)
    source("stop")
    assert source("query-status")["status"] == "paused"
    destination = Qemu(*MEMORY, "-incoming", "defer", *options)
    for qemu in source, destination:
        names = ["return-path", "postcopy-ram"][: 1 + postcopy]
        qemu("migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in names])
    assert destination("migrate-incoming", uri="unix:socket") == {}
    source("migrate-set-parameters", max_bandwidth=1 << 20)  # 16 s, if nothing were done
    assert source("migrate", uri="unix:socket") == {}
    assert wait(source, "active") == "active"
    if postcopy:
        assert source("migrate-start-postcopy") == {}
        assert wait(source, "postcopy-active", "completed") != "failed"  # it may be over soon
    source("migrate-set-parameters", max_bandwidth=0)
    assert {wait(qemu, "completed") for qemu in (source, destination)} == {"completed"}
    while (state := destination("query-status")["status"]) == "inmigrate":
        time.sleep(0.05)
    source.kill()
    destination.kill()
    return state, any(event["event"] == "RESUME" for event in destination.events)


open("random", "wb").write(random.Random(1).randbytes(16 << 20))
seen = []
for postcopy in False, True:
    seen += [arrived(postcopy), arrived(postcopy, "-S")]
    print("postcopy" if postcopy else "precopy ", *seen[-2:])
sys.exit(seen != [("paused", False), ("paused", False), ("running", True), ("paused", False)])
PYTHON
