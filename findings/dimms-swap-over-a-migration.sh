#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12) and 11.1.3 alike: the address of a pc-dimm is not in the stream of a
# migration. Two of one size, hot-plugged at the source in one order and named on the destination's command
# line in the other, with the same ids and the same memory backends, are each at the other's address
# there: both sides say "completed", the contents went with their backend, and the guest finds the halves
# of its hot-plugged memory exchanged. Without addr= a device goes to the first free place, so that the order
# of the past is part of the state: give each the addr (and slot) that query-memory-devices shows.
#
#                 source   destination   with addr and slot
#   0x100000000   b        a             b
#   0x108000000   a        b             a
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if the migration is refused, or the contents are at other places.
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


from pathlib import Path

ADDRESSES = (0x100000000, 0x108000000)


def machine(side: str, *arguments: str) -> Qemu:
    for name in "ab":
        with open(f"{side}-{name}", "wb") as file:
            file.truncate(128 << 20)
    backends = [f"memory-backend-file,id=memory-{name},size=128M,share=on,mem-path={side}-{name}" for name in "ab"]
    objects = [argument for backend in backends for argument in ("-object", backend)]
    return Qemu("-machine", "pc-q35-7.2", "-m", "128M,slots=2,maxmem=1G", *objects, *arguments)


def contents(qemu: Qemu) -> list[str]:
    """The letters in the guest's hot-plugged memory."""
    answers = [qemu("human-monitor-command", command_line=f"xp /1xb {address:#x}") for address in ADDRESSES]
    return [chr(int(answer.split()[-1], 16)) for answer in answers]


def arrived(places: dict[str, str]) -> list[str]:
    """The letters at the source and at a destination whose devices have these further properties."""
    here = machine("here")
    for name in "ba":
        assert here("device_add", driver="pc-dimm", id=name, memdev=f"memory-{name}") == {}
    for name in "ab":
        with open(f"here-{name}", "r+") as file:
            file.write(name)
    devices = [f"pc-dimm,id={name},memdev=memory-{name}{places.get(name, '')}" for name in "ab"]
    there = machine("there", *(word for device in devices for word in ("-device", device)), "-incoming", "defer")
    Path("socket").unlink(missing_ok=True)
    assert there("migrate-incoming", uri="unix:socket") == {}
    here("migrate", uri="unix:socket")
    while (status := there("query-migrate").get("status")) not in ("completed", "failed"):
        time.sleep(0.05)
    seen = [status, *contents(here), *contents(there)]
    here.kill()
    there.kill()
    print(*seen)
    return seen


given = {"a": f",slot=1,addr={ADDRESSES[1]:#x}", "b": f",slot=0,addr={ADDRESSES[0]:#x}"}
seen = [arrived({}), arrived(given)]
sys.exit(seen != [["completed", *"baab"], ["completed", *"baba"]])
PYTHON
