#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: what is behind a guest's network card, -netdev, is the
# host's side and may be another one at the destination, unless the source has -netdev user: the
# connections of its TCP/IP stack are a section of the stream ("slirp"), and a destination on a tap device, a
# stream to passt or no network refuses it. The other way goes, and the guest's network is a new one. A
# -netdev user that nothing is plugged into is enough, on either side: at the destination it takes the
# state, at the source it is sent.
#
#   source -> destination
#   user -> stream                        failed: Unknown savevm section or instance 'slirp' 0
#   user -> the card without a network    failed, likewise
#   stream -> user                        completed
#   user -> stream, and a user beside     completed
#   stream, and a user beside -> stream   failed, likewise
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
import json, os, socket, subprocess, sys, time


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


CARD = "virtio-net-pci,romfile=,mac=52:54:00:00:00:01,addr=5"
STREAM = ["-netdev", "stream,id=n,server=on,addr.type=unix,addr.path=net"]
USER = ["-netdev", "user,id=n"]
BESIDE = ["-netdev", "user,id=other"]


def migrated(source_network: list[str], destination_network: list[str]) -> str:
    """How a migration ends."""

    def guest(network: list[str], *options: str) -> Qemu:
        card = CARD + (",netdev=n" if network else "")
        return Qemu("-machine", "pc", "-m", "64", *network, "-device", card, *options)

    source = guest(source_network)
    if os.path.exists("net"):
        os.unlink("net")  # or the other one could not listen there
    destination = guest(destination_network, "-incoming", "defer")
    for qemu in source, destination:
        capability = {"capability": "return-path", "state": True}
        assert qemu("migrate-set-capabilities", capabilities=[capability]) == {}
    assert destination("migrate-incoming", uri="unix:socket") == {}
    assert source("migrate", uri="unix:socket") == {}
    while (status := source("query-migrate")["status"]) not in ("completed", "failed"):
        time.sleep(0.05)
    source.kill()
    destination.kill()
    return status


lines = {
    "user -> stream": (USER, STREAM, "failed"),
    "user -> the card without a network": (USER, [], "failed"),
    "stream -> user": (STREAM, USER, "completed"),
    "user -> stream, and a user beside": (USER, [*STREAM, *BESIDE], "completed"),
    "stream, and a user beside -> stream": ([*STREAM, *BESIDE], STREAM, "failed"),
    "stream -> stream": (STREAM, STREAM, "completed"),
}
wrong = False
for name, (source, destination, expected) in lines.items():
    seen = migrated(source, destination)
    print(f"{name:36}", seen)
    wrong |= seen != expected
sys.exit(wrong)
PYTHON
