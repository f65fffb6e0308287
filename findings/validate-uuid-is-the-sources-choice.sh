#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: the capability validate-uuid, set on the
# destination alone, validates nothing: a guest with another UUID arrives and both sides say "completed".
# Set on the source alone it is enforced, by a destination on which it is off. The source decides whether
# its UUID is in the stream, and a destination checks what is in the stream.
#
#   source off, destination on    completed
#   source on, destination off    failed
#   both on                       failed
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


def migrated(validates_there: bool, validates_here: bool) -> str:
    """The status of a source that was migrated to a destination of another UUID."""
    common = ["-machine", "pc-q35-7.2", "-m", "64", "-uuid"]
    there = Qemu(*common, "22222222-2222-2222-2222-222222222222", "-incoming", "defer")
    here = Qemu(*common, "11111111-1111-1111-1111-111111111111")
    for side, validates in ((there, validates_there), (here, validates_here)):
        wanted = {"return-path": True, "validate-uuid": validates}
        side("migrate-set-capabilities", capabilities=[{"capability": name, "state": state} for name, state in wanted.items()])
    there("migrate-incoming", uri="unix:socket")
    here("migrate", uri="unix:socket")
    while (status := here("query-migrate")["status"]) not in ("completed", "failed"):
        time.sleep(0.01)
    here.kill()
    there.kill()
    return status


seen = {(here, there): migrated(there, here) for here, there in ((False, True), (True, False), (True, True))}
for (here, there), status in seen.items():
    print(f"source {'on' if here else 'off':3}  destination {'on' if there else 'off':3}  {status}")
sys.exit(list(seen.values()) != ["completed", "failed", "failed"])
PYTHON
