#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: pmemsave of physical addresses behind which there is nothing
# is answered {}, and the file, of the size asked for, has zeros in it: nothing tells memory that the guest
# has cleared from an address that is wrong, of another machine (RAM begins at 1 GiB on aarch64's virt, at 2 GiB on
# riscv64's), or beyond what the guest was given. memsave (by virtual addresses) and xp of the human monitor say so.
#
#   64 MiB of RAM, 32 bytes at       pmemsave             memsave             xp
#   3 GiB                            {}, 32 zeros         Invalid addr        Cannot access memory
#   2^50                             {}, 32 zeros         Invalid addr        Cannot access memory
#   the last 16 bytes of RAM         {}, 16 zeros behind
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
import json, socket, subprocess, sys

DATA = ["-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios"]

class Qemu:
    """A QEMU that is stopped, and its monitor."""

    def __init__(self, program: str, *arguments: str) -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/qemu-system-{program}", *DATA, "-nodefaults", "-display", "none",
             "-accel", "tcg", "-S", *monitor, *arguments],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
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


def saved(qemu: Qemu, address: int) -> bytes | object:
    """32 bytes by pmemsave, or its error."""
    answer = qemu("pmemsave", val=address, size=32, filename="saved")
    if answer != {}:
        return answer
    with open("saved", "rb") as file:
        return file.read()


qemu = Qemu("x86_64", "-m", "64")
end = 64 << 20
with open("ones", "wb") as file:
    file.write(bytes([255]) * 16)
found = []
for address in (3 << 30, 1 << 50):
    memsave = qemu("memsave", val=address, size=32, filename="other")
    xp = qemu("human-monitor-command", command_line=f"xp /1xb {address:#x}")
    print(f"{address:#x}: pmemsave {saved(qemu, address)!r}\n  memsave {memsave!r}\n  xp {xp!r}")
    found.append(saved(qemu, address) == bytes(32) and "Invalid addr" in memsave and "Cannot access memory" in xp)
qemu.kill()
qemu = Qemu("x86_64", "-m", "64", "-device", f"loader,file=ones,addr={end - 16:#x},force-raw=on")
last = saved(qemu, end - 16)
qemu.kill()
print(f"the last 16 bytes of RAM: pmemsave {last!r}")
sys.exit(found != [True, True] or last != bytes([255]) * 16 + bytes(16))
PYTHON
