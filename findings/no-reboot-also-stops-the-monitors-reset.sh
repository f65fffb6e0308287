#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: -no-reboot, whose manual says "Exit instead of
# rebooting", is no matter of the guest's reboots only: the monitor's system_reset ends QEMU too, with exit
# status 0 and SHUTDOWN, reason host-qmp-system-reset. With -no-shutdown beside it the guest can never be
# started again: it is in the run state shutdown, cont demands a reset ("Resetting the Virtual Machine is
# required"), and system_reset answers {} and shuts down once more. set-action reboot=reset, before
# the reset, brings it back.
#
#   -no-reboot                  system_reset   exit status 0
#   -no-reboot -no-shutdown     system_reset   shutdown
#                               cont           Resetting the Virtual Machine is required
#                               system_reset   shutdown
#                               set-action reboot=reset, system_reset, cont   running
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


qemu = Qemu("-machine", "pc", "-m", "64", "-no-reboot")
qemu("cont")
qemu("system_reset")
ended = qemu.process.wait(30)
print("-no-reboot: exit status", ended)

qemu = Qemu("-machine", "pc", "-m", "64", "-no-reboot", "-no-shutdown")
seen = []


def state(what: str, *commands: tuple[str, dict]) -> None:
    """The run state after some commands, and the last one's answer."""
    for command, arguments in commands:
        answer = qemu(command, **arguments)
        time.sleep(0.5)
    status = qemu("query-status")["status"]
    seen.append((answer, status))
    print(f"{what:20} {answer}, {status}")


reset, cont = ("system_reset", {}), ("cont", {})
state("cont", cont)
state("system_reset", reset)
state("cont", cont)
state("system_reset", reset)
state("and with set-action", ("set-action", {"reboot": "reset"}), reset, cont)
qemu.kill()
refused = ("Resetting the Virtual Machine is required", "shutdown")
sys.exit(ended != 0 or seen != [({}, "running"), ({}, "shutdown"), refused, ({}, "shutdown"), ({}, "running")])
PYTHON
