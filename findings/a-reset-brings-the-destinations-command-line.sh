#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: where the destination's command line differs from the
# source's in what identifies the guest, or in what is loaded into it, there is no one rule for what the
# guest sees after a migration that both sides call "completed". Some of it changes at once, some at
# the guest's next reset, some never:
#
#                                            after the hop    after the next reset
#   -uuid, read through fw_cfg               destination's    destination's
#   MAC address of virtio-net                source's         destination's
#   MAC address of rtl8139                   source's         source's
#   memory filled by -device loader          source's         destination's
#   MAC address of e1000e                    the migration is refused: its PCIe serial number has it
#
# query-uuid says the destination's all the time.
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


from collections.abc import Callable
from pathlib import Path

Path("source").write_bytes(b"S" * 16)
Path("destination").write_bytes(b"D" * 16)


def human(qemu: Qemu, line: str) -> str:
    return qemu("human-monitor-command", command_line=line).split("=")[-1].strip()


def uuid(qemu: Qemu) -> str:
    human(qemu, "o /h 0x510 2")  # FW_CFG_UUID
    return "".join(human(qemu, "i /b 0x511").removeprefix("0x") for _ in range(16))


def virtio_mac(qemu: Qemu) -> str:
    return qemu("query-rx-filter", name="nic")[0]["main-mac"]


def other_mac(qemu: Qemu) -> str:
    return qemu("qom-get", path="/machine/peripheral/nic", property="mac")


def loaded(qemu: Qemu) -> str:
    return human(qemu, "xp /1c 0x2000000")[-2]


def nic(driver: str) -> tuple[str, ...]:
    return ("-netdev", "user,id=net", "-device", f"{driver},id=nic,netdev=net,romfile=,mac=52:54:00:00:00:0{{}}")


def seen(arguments: tuple[str, ...], here: str, there: str, look: Callable[[Qemu], str]) -> tuple[str, ...]:
    """Whose value the guest sees, after the migration and after a reset."""
    machine = ("-machine", "pc-q35-7.2", "-m", "64")
    source, destination = (
        Qemu(*machine, *(word.format(given) for word in arguments), *more)
        for given, more in ((here, ()), (there, ("-incoming", "unix:socket")))
    )
    value = look(source)
    source("migrate-set-capabilities", capabilities=[{"capability": "return-path", "state": True}])
    source("migrate", uri="unix:socket")
    while (status := source("query-migrate")["status"]) not in ("completed", "failed"):
        time.sleep(0.02)
    answers: tuple[str, ...] = (status,)
    if status == "completed":
        while destination("query-migrate")["status"] != "completed":
            time.sleep(0.02)
        after = look(destination)
        destination("system_reset")
        while not any(event["event"] == "RESET" for event in destination.events):
            destination("query-status")
            time.sleep(0.02)
        answers = tuple("source's" if now == value else "destination's" for now in (after, look(destination)))
    source.kill()
    destination.kill()
    return answers


ones, twos = ("{0}{0}-{0}-{0}-{0}-{0}{0}{0}".format(digit * 4) for digit in "12")
table = {
    "UUID": seen(("-uuid", "{}"), ones, twos, uuid),
    "virtio-net": seen(nic("virtio-net-pci"), "1", "2", virtio_mac),
    "rtl8139": seen(nic("rtl8139"), "1", "2", other_mac),
    "loader": seen(("-device", "loader,file={},addr=0x2000000"), "source", "destination", loaded),
    "e1000e": seen(nic("e1000e"), "1", "2", other_mac),
}
for name, answers in table.items():
    print(f"{name:12}", *(f"{answer:16}" for answer in answers))
theirs, ours = "destination's", "source's"
sys.exit(list(table.values()) != [(theirs, theirs), (ours, theirs), (ours, ours), (ours, theirs), ("failed",)])
PYTHON
