#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: the breakpoints and watchpoints of a debugger whose
# connection ends without a detach (gdb was killed, its host is gone, a time limit was over) stay in the
# guest. It runs into them with nobody there, and stops: the monitor says STOP and the run state "debug".
# cont runs as far as the same breakpoint, and a reset of the machine removes none, so that the guest stops
# again after it; only the detach of another debugger does. One that was stopped when the connection
# ended is not continued either.
#
#   connection closed at a breakpoint   debug
#   cont                                debug
#   system_reset, cont                  debug
#   another attaches and detaches       running
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if a line is another. The debugger is the script itself, in the remote
# protocol.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-arm=1:7.2*'
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
"$work/bin/qemu-system-aarch64" --version | head -n 1
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


from pathlib import Path

Path("loop").write_bytes(bytes.fromhex("00040091" "ffffff17"))  # add x0, x0, #1; b to it


class Debugger:
    """A debugger attached to the guest, as far as packets go."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect("gdb")
        self("?")

    def __call__(self, packet: str) -> str:
        self.socket.sendall(f"${packet}#{sum(packet.encode()) % 256:02x}".encode())
        answer = ""
        while "#" not in answer[:-2]:
            answer += self.socket.recv(4096).decode()
        self.socket.sendall(b"+")
        return answer.partition("$")[2].partition("#")[0]


qemu = Qemu(
    *("-machine", "virt", "-cpu", "cortex-a57", "-m", "64", "-gdb", "unix:gdb,server=on,wait=off"),
    *("-device", "loader,file=loop,addr=0x42000000,cpu-num=0"), program="qemu-system-aarch64",
)


def state(what: str) -> str:
    """The run state half a second after something."""
    time.sleep(0.5)
    status = qemu("query-status")["status"]
    print(f"{what:36}{status}")
    return status


first = Debugger()
first("Z0,42000000,4")
first("c")
first.socket.close()
seen = [state("connection closed at a breakpoint")]
qemu("cont")
seen += [state("cont")]
qemu("system_reset")
qemu("cont")
seen += [state("system_reset, cont")]
Debugger()("D")
seen += [state("another attaches and detaches")]
qemu.kill()
sys.exit(seen != ["debug", "debug", "debug", "running"])
PYTHON
