#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: a device for which nobody has written a migration
# state is migrated as if it had none, and -only-migratable, which refuses devices that say that they
# cannot be migrated, takes it. Both sides say "completed", and such a PCI device arrives as new: even
# its base address registers and command register, which belong to PCI rather than to the device, are
# gone, and the guest's next access goes nowhere. edu is one (a model for many drivers), and pci-testdev,
# which kvm-unit-tests gives to every guest of x86 and Arm.
#
#                     BAR 0 at the source   at the destination
#   pci-testdev       0xe0000000            0x00000000
#   edu               0xe1000000            0x00000000
#   virtio-rng-pci    0xe2000001            0xe2000001
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


devices = ("pci-testdev", "edu", "virtio-rng-pci")
machine = ["-machine", "pc-i440fx-7.2", "-m", "64", "-only-migratable"]
for number, device in enumerate(devices):
    machine += ["-device", f"{device},addr={number + 4}"]


def configured(qemu: Qemu, slot: int, register: int, value: int | None = None) -> str:
    """A register of a device's PCI configuration, written if a value is given."""
    address = 0x80000000 | slot << 11 | register
    qemu("human-monitor-command", command_line=f"o /w 0xcf8 {address:#x}")
    command = "i /w 0xcfc" if value is None else f"o /w 0xcfc {value:#x}"
    return qemu("human-monitor-command", command_line=command).split("=")[-1].strip()


here = Qemu(*machine)
there = Qemu(*machine, "-incoming", "unix:socket")
for number in range(len(devices)):
    configured(here, number + 4, 0x10, 0xE0000000 + (number << 24))
    configured(here, number + 4, 0x04, 2)
here("migrate-set-capabilities", capabilities=[{"capability": "return-path", "state": True}])
here("migrate", uri="unix:socket")
while (status := here("query-migrate")["status"]) not in ("completed", "failed"):
    time.sleep(0.01)
seen = {}
for number, device in enumerate(devices):
    seen[device] = tuple(configured(qemu, number + 4, 0x10) for qemu in (here, there))
    print(f"{device:16} {seen[device][0]}  {seen[device][1]}")
print(status, there("query-migrate")["status"])
here.kill()
there.kill()
new = "0x00000000"
expected = {"pci-testdev": ("0xe0000000", new), "edu": ("0xe1000000", new), "virtio-rng-pci": ("0xe2000001",) * 2}
sys.exit(status != "completed" or seen != expected)
PYTHON
