#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: dump-guest-memory with detach=true returns at once,
# and only that: the guest stands still until the dump is written (STOP, the run state save-vm), as
# without it. cont is refused meanwhile ("There is a dump in process, please wait."), and DUMP_COMPLETED
# comes before the guest runs again. A guest that must not stop for the seconds that its memory takes to be
# written cannot be dumped.
#
#   while it is written: save-vm, the guest's counter does not move; cont: There is a dump in process, [...]
#   events: STOP, DUMP_COMPLETED, RESUME
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if the guest runs while it is dumped, or cont is taken.
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

# x1 = 0x41000000; 1: x0 += 1; store it there; go to 1
Path("loop").write_bytes(bytes.fromhex("0120a8d2" "00040091" "200000f9" "feffff17"))
qemu = Qemu(
    *("-machine", "virt", "-cpu", "cortex-a57", "-m", "512"),
    *("-device", "loader,file=loop,addr=0x42000000,cpu-num=0"), program="qemu-system-aarch64",
)


def counter() -> int:
    answer = qemu("human-monitor-command", command_line="xp /1xg 0x41000000")
    return int(answer.split()[-1], 16)


qemu("cont")
while not counter():
    time.sleep(0.05)
qemu.events.clear()
assert qemu("dump-guest-memory", paging=False, protocol="file:dump", detach=True) == {}
first, status, cont, last = counter(), qemu("query-status")["status"], qemu("cont"), counter()
dump = qemu("query-dump")["status"]
while qemu("query-status")["status"] != "running":
    time.sleep(0.05)
events = [event["event"] for event in qemu.events]
qemu.kill()
print(f"dump {dump}: {status}, counter {first}, {last}; cont: {cont}\n{', '.join(events)}")
stood = (dump, status, first) == ("active", "save-vm", last) and "dump in process" in str(cont)
sys.exit(not stood or events != ["STOP", "DUMP_COMPLETED", "RESUME"])
PYTHON
