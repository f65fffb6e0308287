#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 but for one cell: what a migration carries of the real-time clock
# is its distance from the clock that -rtc clock= names, not the date. A destination whose -rtc names another
# is not refused, and the guest is in another decade, for good, as a reset does not set it either. And with
# clock=rt, by which the manual isolates the guest from the host's time, both sides may name the same: that is
# the host's uptime, so that each guest, but for those of x86, is off by what two hosts' uptimes differ. The
# base= of the destination is never looked at.
#
#                                              x86_64   aarch64   ppc64     riscv64
#   clock=host -> clock=vm                     1970     1970      1970      2554      (11.1.3, x86_64: 2554)
#   clock=vm -> clock=host                     2083     2083      2083      2083
#   clock=rt -> clock=rt, another host         right    a day     a day     a day     (up a day longer)
#   base=2020-01-01 -> base=2030-01-01         2020     2020      2020      2020
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if a line is another. Needs root or user namespaces, for a time namespace
# in the place of the other host.
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
	'qemu-system-x86=1:7.2*' 'qemu-system-arm=1:7.2*' 'qemu-system-ppc=1:7.2*' 'qemu-system-misc=1:7.2*' seabios
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
import datetime, json, os, socket, subprocess, sys, time


class Qemu:
    """A QEMU that is stopped, and its monitor."""

    def __init__(self, *arguments: str, program: str, prefix: tuple[str, ...] = ()) -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [*prefix, f"{sys.argv[1]}/{program}", "-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios",
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


MACHINES = {"x86_64": "pc", "aarch64": "virt", "ppc64": "pseries", "riscv64": "virt"}
OTHER_HOST = ("unshare", *(("--user", "--map-root-user") if os.getuid() else ()), "--time", "--monotonic", "86400")
DAY = datetime.timedelta(days=1)


def date(qemu: Qemu, architecture: str) -> datetime.datetime:
    """What the guest's RTC says; of the PL011's neighbour PL031 and of the Goldfish RTC by its registers."""

    def word(address: int) -> int:
        return int(qemu("human-monitor-command", command_line=f"xp /1wx {address:#x}").split(":")[1], 16)

    begin = datetime.datetime(1970, 1, 1)
    if architecture == "aarch64":
        return begin + datetime.timedelta(seconds=word(0x9010000))
    if architecture == "riscv64":
        low = word(0x101000)
        return begin + datetime.timedelta(microseconds=(word(0x101004) << 32 | low) // 1000)
    now = qemu("qom-get", path="/machine", property="rtc-time")
    year, month = now["tm_year"] + 1900, now["tm_mon"] + 1
    return datetime.datetime(year, month, now["tm_mday"], now["tm_hour"], now["tm_min"], now["tm_sec"])


def arrived(architecture: str, here: str, there: str, prefix: tuple[str, ...]) -> str:
    """The year of the guest at the destination, or by how much it is off."""
    machine = ["-machine", MACHINES[architecture], "-m", "256", "-rtc"]
    program = f"qemu-system-{architecture}"
    source = Qemu(*machine, here, program=program)
    destination = Qemu(*machine, there, "-incoming", "defer", program=program, prefix=prefix)
    for qemu in source, destination:
        capability = {"capability": "return-path", "state": True}
        assert qemu("migrate-set-capabilities", capabilities=[capability]) == {}
    assert destination("migrate-incoming", uri="unix:socket") == {}
    assert source("migrate", uri="unix:socket") == {}
    while (status := source("query-migrate")["status"]) not in ("completed", "failed"):
        time.sleep(0.05)
    assert status == "completed"
    while destination("query-status")["status"] == "inmigrate":
        time.sleep(0.05)
    dates = [date(qemu, architecture) for qemu in (source, destination)]
    source.kill()
    destination.kill()
    ahead = dates[1] - dates[0]
    if abs(ahead) < DAY / 2:
        return "right"
    return "a day" if DAY / 2 < ahead < DAY * 3 / 2 else str(dates[1].year)


def twice() -> str:
    """The year that is as far from now as now is from 1970."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return str((now + (now - datetime.datetime(1970, 1, 1, tzinfo=now.tzinfo))).year)


lines = {
    ("clock=host", "clock=vm", ()): ["1970", "1970", "1970", "2554"],
    ("clock=vm", "clock=host", ()): [twice()] * 4,
    ("clock=rt", "clock=rt", OTHER_HOST): ["right", "a day", "a day", "a day"],
    ("base=2020-01-01", "base=2030-01-01", ()): ["right"] * 4,
}
wrong = False
for (here, there, prefix), expected in lines.items():
    seen = [arrived(architecture, here, there, prefix) for architecture in MACHINES]
    print(f"{here} -> {there}", *seen)
    wrong |= seen != expected
sys.exit(wrong)
PYTHON
