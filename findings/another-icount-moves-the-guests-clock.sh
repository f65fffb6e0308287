#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: -icount is no part of what a destination compares, and
# what the stream has of a guest's clock means what the destination's -icount makes of it: the number
# of instructions, not their time. A destination that shifts by 6 where the source did by 3 multiplies all
# of the guest's past by 8, and one with -icount behind a source without begins at 0, so that the clock goes
# backwards. Both sides say "completed". A riscv64 guest's mtime, before and after:
#
#   -icount                 source    destination
#   none -> none            2.0 s     2.0 s
#   none -> shift=3         2.0 s     0.0 s
#   shift=3 -> shift=3      2.2 s     2.2 s
#   shift=3 -> shift=6      2.6 s     20.6 s
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
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-misc=1:7.2*'
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/qemu-system-riscv64; do
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
import json, os, socket, subprocess, sys, time


class Qemu:
    """A QEMU that is stopped, and its monitor."""

    def __init__(self, program: str, *arguments: str, **environment: str) -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/{program}", "-L", "root/usr/share/qemu",
             "-nodefaults", "-display", "none", "-accel", "tcg", "-S", *monitor, *arguments],
            pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL, env={**os.environ, **environment},
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


def mtime(qemu: Qemu) -> float:
    """Seconds by the guest's clock."""
    return int(qemu("human-monitor-command", command_line="xp /1gx 0x200bff8").split()[-1], 16) / 1e7


def ratio(source: str, destination: str) -> float:
    """What a migration makes of the clock: 1 is right."""
    # A guest that jumps on the spot.
    code = "loader,addr=0x80000000,data=0x6f,data-len=4"
    machine = ["-machine", "virt", "-m", "64", "-bios", "none", "-device", code]
    here, there = (
        Qemu("qemu-system-riscv64", *machine, *(["-icount", each] if each else []), *more)
        for each, more in ((source, ()), (destination, ("-incoming", "unix:socket")))
    )
    here("cont")
    time.sleep(2)
    here("stop")
    before = mtime(here)
    here("migrate", uri="unix:socket")
    while here("query-migrate")["status"] not in ("completed", "failed"):
        time.sleep(0.01)
    while there("query-status")["status"] == "inmigrate":
        time.sleep(0.01)
    after = mtime(there)
    status = here("query-migrate")["status"]
    print(f"{source or 'none':8} -> {destination or 'none':8} {status}: {before:.1f} s -> {after:.1f} s")
    here.kill()
    there.kill()
    return round(after / before, 1) if status == "completed" else -1


pairs = [("", ""), ("", "shift=3"), ("shift=3", "shift=3"), ("shift=3", "shift=6")]
sys.exit([ratio(*pair) for pair in pairs] != [1, 0, 1, 8])
PYTHON
