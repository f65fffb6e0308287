#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: "looking" at memory with xp of the human monitor,
# pmemsave or a debugger's memory read is a real access where a device is mapped. Reading the data
# register of aarch64's PL011 takes the next character, and the guest never gets it; saving a range that
# covers a device changes the guest. A stopped guest is no less touched. Only
# dump-guest-memory keeps to RAM.
#
#   "XYZ" was sent to the guest   xp         0x58, 0x59, 0x5a, and nothing is left
#                                 gdb        0x58, 0x59, 0x5a, and nothing is left
#                                 pmemsave   0x58, 0x59, 0x5a, and nothing is left
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if one reads other characters or leaves some. The guest is stopped all
# the time; the debugger is the script itself, in the remote protocol.
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

DATA, FLAGS, CONTROL, EMPTY = 0x9000000, 0x9000018, 0x9000030, 0x10
qemu = Qemu(
    *("-machine", "virt", "-cpu", "cortex-a57", "-m", "64", "-gdb", "unix:gdb,server=on,wait=off"),
    *("-chardev", "socket,id=console,path=console,server=on,wait=off", "-serial", "chardev:console"),
    program="qemu-system-aarch64",
)
console, debugger = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
console.connect("console")
debugger.settimeout(10)
debugger.connect("gdb")


def packet(text: str) -> str:
    debugger.sendall(f"${text}#{sum(text.encode()) % 256:02x}".encode())
    answer = ""
    while "#" not in answer[:-2]:
        answer += debugger.recv(4096).decode()
    debugger.sendall(b"+")
    return answer.partition("$")[2].partition("#")[0]


def by_xp(address: int) -> int:
    return int(qemu("human-monitor-command", command_line=f"xp /1xw {address:#x}").split()[-1], 16)


def by_gdb(address: int) -> int:
    return int.from_bytes(bytes.fromhex(packet(f"m{address:x},4")), "little")


def by_pmemsave(address: int) -> int:
    qemu("pmemsave", val=address, size=4, filename="saved")
    return int.from_bytes(Path("saved").read_bytes(), "little")


packet("Qqemu.PhyMemMode:1")
packet(f"M{CONTROL:x},4:01030000")  # on, transmit, receive
seen = []
for look in (by_xp, by_gdb, by_pmemsave):
    console.sendall(b"XYZ")
    while by_xp(FLAGS) & EMPTY:
        time.sleep(0.05)
    read = []
    while not by_xp(FLAGS) & EMPTY:
        read.append(look(DATA))
        time.sleep(0.1)  # the next character comes when the monitor has let the console be read
    seen.append(read)
    print(f"{look.__name__:12} {[hex(value) for value in read]}, and nothing is left")
status = qemu("query-status")["status"]
qemu.kill()
sys.exit(seen != [[0x58, 0x59, 0x5A]] * 3)
PYTHON
