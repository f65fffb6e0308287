#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 alike; not 11.1.3: the clock of a riscv64 virt machine (mtime, by which
# all of its timers go, and which Linux has for its monotonic clock) begins at 0 with each reset, and that
# offset is not in the stream of a migration. So a guest that has ever been reset, by itself or by the
# monitor, is ahead at the destination by all the time that it ran before: one that rebooted after a week
# leaps by a week, and all of its timers are due at once. One that was never reset arrives with the time it
# had, which is what tests of a migration look at. Both sides say "completed".
#
#   mtime in seconds        source   destination
#   never reset             3.5      3.5
#   reset after 3 s         0.5      3.5           (11.1.3: 0.5, 0.5)
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if the first differ by more than 0.1 s or the second agree.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-misc=1:7.2*' seabios
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
"$work/bin/qemu-system-riscv64" --version | head -n 1
cd "$work"
setpriv --pdeathsig KILL python3 - "$work/bin" <<'PYTHON'
import json, socket, subprocess, sys, time


class Qemu:
    """A QEMU that is stopped, and its monitor."""

    def __init__(self, *arguments: str, program: str = "qemu-system-riscv64") -> None:
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


# Its guest sleeps: wfi, and a jump back to it.
MACHINE = ["-machine", "virt", "-m", "64", "-bios", "none"]
MACHINE += ["-device", "loader,addr=0x80000000,data=0xffdff06f10500073,data-len=8"]


def mtime(qemu: Qemu) -> float:
    """The register of the ACLINT, in seconds."""
    return int(qemu("human-monitor-command", command_line="xp /1gx 0x200bff8").split(":")[1], 16) / 10e6


def run(qemu: Qemu, seconds: float) -> None:
    qemu("cont")
    time.sleep(seconds)
    qemu("stop")


def migrated(reset: bool) -> tuple[float, float, float]:
    """Time at the reset, at the source and at the destination."""
    source, destination = Qemu(*MACHINE), Qemu(*MACHINE, "-incoming", "defer")
    run(source, 3)
    before = mtime(source)
    if reset:
        source("system_reset")
        while not any(event["event"] == "RESET" for event in source.events):
            source("query-status")
    run(source, 0.5)
    for qemu in source, destination:
        capability = {"capability": "return-path", "state": True}
        assert qemu("migrate-set-capabilities", capabilities=[capability]) == {}
    assert destination("migrate-incoming", uri="unix:socket") == {}
    assert source("migrate", uri="unix:socket") == {}
    while (status := source("query-migrate")["status"]) not in ("completed", "failed"):
        time.sleep(0.05)
    assert status == "completed"
    while destination("query-status")["status"] == "inmigrate":
        time.sleep(0.05)
    times = before, mtime(source), mtime(destination)
    source.kill()
    destination.kill()
    return times


never, reset = migrated(False), migrated(True)
for name, (_, source, destination) in ("never reset", never), ("reset after 3 s", reset):
    print(f"{name:16} {source:.2f} at the source, {destination:.2f} at the destination")
leap = reset[2] - reset[1]
sys.exit(abs(never[2] - never[1]) > 0.1 or abs(leap - reset[0]) > 0.1 or reset[1] > reset[0])
PYTHON
