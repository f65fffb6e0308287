#!/usr/bin/env bash
# gdb-multiarch 13.1 with QEMU 7.2.22 (both Debian 12), and with QEMU 10.0.2 and 11.1.3 alike: a guest that gdb has
# stopped can be continued by the monitor (cont, or whatever a management program sends after a migration or a
# snapshot). gdb is not told, and shows the registers that it read before. Then the first thing for which it
# has to ask QEMU again, a look at memory, stops the guest: the stub takes any byte for Ctrl-C while the
# guest runs. gdb says nothing of it, and the guest stays stopped:
#
#   cont by the monitor, under gdb   running
#   "print $rip"                     running, the old value
#   "x/x 0"                          paused
#
# Unpacks both from Debian 12's packages into a temporary folder (apt-get with the host's sources; nothing
# is installed) and fails if a line is another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only \
	'qemu-system-x86=1:7.2*' 'gdb-multiarch=13.1*' seabios
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/{qemu-system-x86_64,gdb-multiarch}; do
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
import json, os, socket, subprocess, sys, time


class Qemu:
    """A QEMU that is stopped, and its monitor."""

    def __init__(self, program: str, *arguments: str, **environment: str) -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/{program}", "-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios",
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


qemu = Qemu("qemu-system-x86_64", "-m", "64", "-chardev", "socket,id=g,path=gdb,server=on,wait=off", "-gdb", "chardev:g")
gdb = subprocess.Popen(
    [f"{sys.argv[1]}/gdb-multiarch", "-q", "-nx", "-data-directory", "root/usr/share/gdb"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
)


def said(command: str) -> str:
    """What gdb answers."""
    gdb.stdin.write(f"{command}\necho end of it\\n\n")
    gdb.stdin.flush()
    lines = []
    while "end of it" not in (line := gdb.stdout.readline()):
        assert line, lines
        lines.append(line)
    return "".join(lines).replace("(gdb) ", "").strip()


def status() -> str:
    return qemu("query-status")["status"]


for command in ("set architecture i386:x86-64", "target remote gdb"):
    said(command)
first = said("print/x $rip").split()[-1]
qemu("cont")
time.sleep(1)  # the guest has gone on
seen = [status(), said("print/x $rip").split()[-1] == first, status()]
looked = said("x/xb 0")
seen += [status()]
print(*seen, looked, sep="; ")
gdb.kill()
gdb.wait()
qemu.kill()
sys.exit(seen != ["running", True, "running", "paused"] or "0x0" not in looked)
PYTHON
