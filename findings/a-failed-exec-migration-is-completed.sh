#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: a migration to a command ("exec:zstd >file",
# "exec:ssh …") is "completed" when the command has taken the last byte. How it ends is asked by nobody:
# one that fails after that (a full disk that is seen at close, a remote side that refuses) leaves a
# source that says completed, in postmigrate, and no file. Only one that stops reading too early is noticed
# ("Broken pipe"). And QEMU waits for the command's end before it says anything: while the command still
# compresses, syncs or renames, its whole monitor is silent, query-status and quit too.
#
#   cat >state                completed   longest wait for an answer 0 s
#   cat >/dev/null; exit 3    completed                              0 s
#   reads all, then sleeps    completed                              5 s
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if the second is not completed, or QMP answers while the third command
# sleeps.
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


def migrated(name: str, command: str) -> tuple[str, float]:
    """Status of a source, and the longest of the waits for an answer, in seconds."""
    qemu = Qemu("-machine", "pc", "-m", "64")
    assert qemu("migrate", uri=f"exec:{command}") == {}
    longest, status = 0.0, ""
    while status not in ("completed", "failed"):
        asked = time.monotonic()
        status = qemu("query-migrate").get("status")
        longest = max(longest, time.monotonic() - asked)
    state = qemu("query-status")["status"]
    qemu.kill()
    print(f"{name:24} {status}, {state}; longest wait for an answer {longest:.1f} s")
    return status, longest


# One process that ends with QEMU, however that ends.
slow = "exec setpriv --pdeathsig KILL python3 -c 'import sys, time; sys.stdin.buffer.read(); time.sleep(5)'"
commands = {name: name for name in ("cat >state", "cat >/dev/null; exit 3")} | {"reads all, then sleeps": slow}
seen = [migrated(name, command) for name, command in commands.items()]
sys.exit(any(status != "completed" for status, _ in seen) or seen[2][1] < 4)
PYTHON
