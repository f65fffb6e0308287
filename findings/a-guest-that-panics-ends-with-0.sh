#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: a guest that panics (and says so, by pvpanic), one that
# resets itself by a triple fault under -no-reboot, and a QEMU that is killed by SIGTERM all end with exit status 0, as
# one that was shut down in order. A script that trusts the status takes a crashed kernel for a success; the
# monitor's SHUTDOWN has the reason. With -action panic=exit-failure a panic, and it alone, ends with 1.
#
#                                            exit status   SHUTDOWN, reason
#   panic                                    0             guest-panic
#   panic, -action panic=exit-failure        1             guest-panic
#   triple fault, -no-reboot                 0             guest-reset
#   SIGTERM                                  0             host-signal
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
import json, signal, socket, struct, subprocess, sys

DATA = ["-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios"]
PANIC = bytes.fromhex("b001 66ba0505 ee f4 ebfd")  # mov al, 1; mov dx, 0x505; out dx, al; hlt
FAULT = bytes.fromhex("0f011d 50001000 0f0b")  # lidt of an empty table; ud2
REST = bytes.fromhex("f4 ebfd")


def multiboot(code: bytes) -> bytes:
    """An image for 32-bit x86 at 1 MiB, by the addresses in its header."""
    magic, flags, base = 0x1BADB002, 1 << 16, 1 << 20
    header = struct.pack("<III", magic, flags, -(magic + flags) & 0xFFFFFFFF)
    return header + struct.pack("<IIIII", base, base, 0, 0, base + 32) + code


def end(code: bytes, *arguments: str, kill: bool = False) -> tuple[int, str]:
    """How QEMU ends, and the reason of its SHUTDOWN."""
    with open("kernel", "wb") as file:
        file.write(multiboot(code).ljust(256, b"\0"))
    ours, theirs = socket.socketpair()
    monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
    argv = [f"{sys.argv[1]}/qemu-system-x86_64", *DATA, "-nodefaults", "-display", "none", "-device",
            "pvpanic", "-accel", "tcg", *monitor, "-kernel", "kernel", *arguments]
    qemu = subprocess.Popen([*argv, "-S"], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    lines = ours.makefile("rw")
    lines.readline()
    lines.write('{"execute": "qmp_capabilities"} {"execute": "cont"}')
    lines.flush()
    reason = ""
    for line in lines:
        message = json.loads(line)
        if kill and message.get("event") == "RESUME":
            qemu.send_signal(signal.SIGTERM)
        if message.get("event") == "SHUTDOWN":
            reason = message["data"]["reason"]
    return qemu.wait(60), reason


found = {
    "panic": end(PANIC),
    "panic, -action panic=exit-failure": end(PANIC, "-action", "panic=exit-failure"),
    "triple fault, -no-reboot": end(FAULT, "-no-reboot"),
    "SIGTERM": end(REST, kill=True),
}
for guest, (status, reason) in found.items():
    print(f"{guest:34} exit status {status}, {reason}")
sys.exit([*found.values()] != [(0, "guest-panic"), (1, "guest-panic"), (0, "guest-reset"), (0, "host-signal")])
PYTHON
