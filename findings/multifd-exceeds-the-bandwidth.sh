#!/usr/bin/env bash
# QEMU 10.0.2 (Debian 12's backports), and 11.1.3 alike: max-bandwidth is no limit for a migration by multifd. It
# holds back the thread that hands pages out, ten times a second, and each channel sends one packet of 512
# KiB in between all the same: some 5 MiB/s per channel on top of what was asked for, nine times as much
# with eight channels here. query-migrate's mbps shows it, and query-migrate-parameters the limit. Whoever
# spares a network by it, or slows a migration to look at it, has to count the channels, or to take none.
#
#   max-bandwidth 4 MiB/s       7.2.22     10.0.2     11.1.3
#   one stream                  4 MiB/s    5 MiB/s    5 MiB/s
#   multifd, 2 channels         5          14         14
#   multifd, 8 channels         5          37         38
#
# Takes the Debian suite as argument (default: bookworm-backports), unpacks its QEMU into a temporary
# folder with apt-get from the host's mirror (nothing is installed), and fails if one stream exceeds 6 MiB/s, or
# eight channels do not exceed 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
suite=${1:-bookworm-backports}
apt-get -qq "${options[@]}" update
mirror=$(apt-get "${options[@]}" indextargets --format '$(REPO_URI)' 'Origin: Debian' |
	grep '/debian/*$' | sort -u | sed -n 1p) || true
[ -n "$mirror" ] || { echo "apt-get has no source of Debian's packages here" >&2; exit 1; }
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
	"$mirror" "${suite%-backports} $suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$work/debian.sources"
options+=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work" -o "APT::Default-Release=$suite")
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only qemu-system-x86 seabios
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
import json, random, socket, subprocess, sys, time


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


LIMIT, MEMORY = 4 << 20, 48 << 20  # bytes per second, bytes


def rate(channels: int) -> float:
    """Bytes per second of a migration, by QEMU's own count; 0 channels for one stream."""
    machine = ["-machine", "pc", "-m", "64", "-device", "loader,file=random,addr=0x100000,force-raw=on"]
    source, destination = Qemu(*machine), Qemu(*machine, "-incoming", "defer")
    for qemu in source, destination:
        names = ["return-path", "multifd"][: 1 + bool(channels)]
        qemu("migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in names])
        if channels:
            assert qemu("migrate-set-parameters", multifd_channels=channels) == {}
    assert source("migrate-set-parameters", max_bandwidth=LIMIT) == {}
    assert destination("migrate-incoming", uri="unix:socket") == {}
    assert source("migrate", uri="unix:socket") == {}
    while (answer := source("query-migrate"))["status"] not in ("completed", "failed"):
        time.sleep(0.2)
    source.kill()
    destination.kill()
    assert answer["status"] == "completed"
    seen = answer["ram"]["transferred"] / answer["total-time"] * 1000
    print(f"{channels} channels: {seen / (1 << 20):.1f} MiB/s")
    return seen


open("random", "wb").write(random.Random(1).randbytes(MEMORY))
one, two, eight = rate(0), rate(2), rate(8)
sys.exit(one > LIMIT * 1.5 or eight < LIMIT * 5)
PYTHON
