#!/usr/bin/env bash
# gdb-multiarch 13.1 with QEMU 7.2.22 (both Debian 12), and with QEMU 10.0.2 and 11.1.3 alike: a gdb that
# was attached to a guest that is stopped (by -S, or by the monitor's stop), looks at a register and ends,
# starts the guest: "detach", or the end of -batch, is a continue to QEMU's gdbstub, which does not know
# that it had found the guest stopped. The monitor is told by RESUME. Only "disconnect" leaves a stopped
# guest stopped, and that one leaves a running guest stopped, as attaching stopped it. So there is no one
# way for a tool to look at a guest: it has to ask query-status first.
#
#                stopped guest   running guest
#   detach       running         running
#   (end)        running         running
#   disconnect   prelaunch       paused
#
# Unpacks both from Debian 12's packages into a temporary folder (apt-get with the host's sources; nothing
# is installed) and fails if one is another.
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
for program in "$work"/root/usr/bin/{qemu-*,gdb-multiarch}; do
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


def after(stopped: bool, *commands: str) -> str:
    """The run state of a guest after a gdb that only looked at it."""
    qemu = Qemu("-machine", "pc", "-m", "64", "-gdb", "unix:gdb,server=on,wait=off")
    if not stopped:
        qemu("cont")
    chosen = [argument for command in ("target remote gdb", "info registers pc", *commands) for argument in ("-ex", command)]
    gdb = [f"{sys.argv[1]}/gdb-multiarch", "--data-directory", "root/usr/share/gdb", "-nx", "-batch", *chosen]
    subprocess.run(gdb, capture_output=True, check=True, env={"PYTHONHOME": "root/usr"})
    time.sleep(0.2)
    state = qemu("query-status")["status"]
    qemu.kill()
    return state


ways = {"detach": ["detach"], "(end)": [], "disconnect": ["disconnect"]}
seen = {name: (after(True, *commands), after(False, *commands)) for name, commands in ways.items()}
for name, states in seen.items():
    print(f"{name:12} stopped guest: {states[0]:10} running guest: {states[1]}")
sys.exit(list(seen.values()) != [("running", "running"), ("running", "running"), ("prelaunch", "paused")])
PYTHON
