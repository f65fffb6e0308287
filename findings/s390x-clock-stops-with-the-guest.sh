#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: under TCG the clock of an s390x machine, its TOD
# (STCK), which is all that Linux there has for the time of day, is set once, when QEMU starts, and then
# goes with virtual time: it stands still while the guest is stopped, and neither cont nor a reset puts it
# right. A guest that was paused for a night, or rests in a snapshot or a state file, is a night late for
# good. The RTC of the other architectures (seen: x86_64, aarch64, ppc64, riscv64) goes on with the host
# while the guest is stopped, and in a file.
#
# Seen: stopped for 4 s, x86_64's rtc-time is 4 s further, s390x's TOD 0.0 s (single-steps included),
# after system_reset too.
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if one is another. The TOD is read by single-stepping a STCK through the
# gdbstub.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' 'qemu-system-misc=1:7.2*' seabios
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


PAUSE = 4


class Gdbstub:
    """As much of the remote protocol as it takes to run one instruction."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect("gdb")
        self("qXfer:features:read:target.xml:0,ffb")  # before it, 7.2 knows no registers one by one

    def __call__(self, packet: str) -> str:
        self.socket.sendall(f"${packet}#{sum(packet.encode()) % 256:02x}".encode())
        answer = b""
        while b"#" not in answer[:-2]:
            answer = (answer + self.socket.recv(4096)).lstrip(b"+")
        self.socket.sendall(b"+")
        return answer[1 : answer.index(b"#")].decode()

    def tod(self) -> float:
        """Seconds by STCK, whose bit 51 is a microsecond."""
        self("M2000,4:b2050800")  # stck 0x800
        self("P0=0000000180000000")
        self("P1=0000000000002000")
        self("s")
        return int(self("m800,8"), 16) / 4096e6


pc = Qemu("-machine", "pc", "-m", "64")
s390x = Qemu("-machine", "s390-ccw-virtio", "-m", "256", "-gdb", "unix:gdb,server=on,wait=off", program="qemu-system-s390x")
gdbstub = Gdbstub()


def clocks() -> tuple[float, float]:
    rtc = pc("qom-get", path="/machine", property="rtc-time")
    return rtc["tm_min"] * 60 + rtc["tm_sec"], gdbstub.tod()


before = clocks()
time.sleep(PAUSE)
s390x("system_reset")
time.sleep(0.5)
after = clocks()
pc.kill()
s390x.kill()
rtc, tod = (after[0] - before[0]) % 3600, after[1] - before[1]
print(f"stopped for {PAUSE} s: x86_64's RTC {rtc} s, s390x's TOD {tod:.3f} s")
sys.exit(rtc < PAUSE or tod > 0.5)
PYTHON
