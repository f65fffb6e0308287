#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: the times in a capture by filter-dump, a pcap file
# like tcpdump's, are not those at which the packets went by. They are the date of the guest's RTC at the start,
# taken for local time, plus the guest's virtual clock: wrong by the offset of the host's time zone where
# that is not UTC, in the year that -rtc base= names, and behind by all the time that the guest was stopped.
# A capture of a guest with -rtc base=, or of one that was paused, cannot be laid beside the host's, nor
# beside one of another guest. Here the card announces itself, twice with a pause of 2 s between:
#
#   options                         first packet, by the capture   second one after
#   (as it is)                      as it was                      0.0 s, not 2 s
#   TZ=EST5                         5 h later                      0.0 s
#   -rtc base=2001-09-09            2001-09-09                     0.0 s
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
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' seabios ipxe-qemu
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
import json, os, socket, struct, subprocess, sys, time


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


def times(name: str) -> list[float]:
    """The times of the packets in a capture, in seconds since 1970."""
    data, place, found = open(name, "rb").read(), 24, []
    while place < len(data):
        seconds, microseconds, length, _ = struct.unpack_from("<IIII", data, place)
        found.append(seconds + microseconds / 1e6)
        place += 16 + length
    return found


def announced(qemu: Qemu, number: int) -> None:
    """One packet of a guest that runs until it is in the capture."""
    qemu("cont")
    qemu("announce-self", initial=50, max=50, rounds=1, step=10)
    while len(times("capture")) < number:
        time.sleep(0.01)
    qemu("stop")


def seen(*options: str, **environment: str) -> tuple[int, int]:
    """Hours by which the first packet is later than it was, and seconds from it to the second."""
    open("capture", "wb").close()
    card = ["-netdev", "user,id=n", "-device", "e1000,netdev=n,romfile="]
    dump = ["-object", "filter-dump,id=d,netdev=n,file=capture"]
    qemu = Qemu("qemu-system-x86_64", "-m", "64", *card, *dump, *options, **environment)
    begin = time.time()
    announced(qemu, 1)
    time.sleep(2)
    announced(qemu, 2)
    qemu.kill()
    first, second = times("capture")
    return round((first - begin) / 3600), round((second - first) / 2)


years = round((time.time() - 1_000_000_000) / 3600 / 8766)
found = {
    "as it is": seen(TZ="UTC"),
    "TZ=EST5": seen(TZ="EST5"),
    "-rtc base=2001-09-09": seen("-rtc", "base=2001-09-09", TZ="UTC"),
}
for what, (hours, pauses) in found.items():
    print(f"{what:22} {hours:8} h later, {2 * pauses} s between")
(zero, zone, old) = found.values()
sys.exit((zero, zone) != ((0, 0), (5, 0)) or (-round(old[0] / 8766), old[1]) != (years, 0))
PYTHON
