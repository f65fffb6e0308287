#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: of two -cpu the last one wins, as a script counts on
# that appends its own to a given command line. Of two -smp none does: they are merged, property by property. So "-smp 4,threads=4" and then "-smp 3" is no guest of three
# vCPUs but "Invalid CPU topology", and "-smp 2,maxcpus=4" and then "-smp 3" has room for four:
#
#   -smp 2,maxcpus=4 -smp 3      3 vCPUs, 4 at most
#   -smp 4 -smp maxcpus=8        4 vCPUs, 8 at most
#   -smp 4,threads=4 -smp 3      refused
#   -cpu max -cpu qemu64         qemu64
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
import json, os, socket, subprocess, sys


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


def seen(words: str) -> str:
    """vCPUs, how many there may be, and their type."""
    try:
        qemu = Qemu("qemu-system-x86_64", "-m", "64", *words.split())
    except (json.JSONDecodeError, OSError):  # QEMU has ended
        return "refused"
    vcpus, most = qemu("query-cpus-fast"), qemu("query-hotpluggable-cpus")
    cpu = most[0]["type"].removesuffix("-x86_64-cpu")
    qemu.kill()
    return f"{len(vcpus)} of {len(most)}, {cpu}"


expected = {
    "-smp 2,maxcpus=4 -smp 3": "3 of 4, qemu64",
    "-smp 4 -smp maxcpus=8": "4 of 8, qemu64",
    "-smp 4,threads=4 -smp 3": "refused",
    "-cpu max -cpu qemu64": "1 of 1, qemu64",
}
found = {words: seen(words) for words in expected}
for words, said in found.items():
    print(f"{words:26}", said)
sys.exit(found != expected)
PYTHON
