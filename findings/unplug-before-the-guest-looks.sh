#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3: device_del of a PCI device while no guest software has
# run. It answers {} everywhere; what follows depends on the machine's way of hot-plugging and on how the
# device came, and "a reset completes a pending unplug" holds for half of them:
#
#                                            from the command line        from device_add
#   x86_64 pc, pc-q35 (ACPI)                 by the next reset            by the next reset
#   pc-q35 (native PCIe), aarch64, riscv64   never, not by a reset        at once
#   ppc64 pseries                            by the next reset            at once
#   s390x (CCW)                              at once                      at once
#   mips64el malta, 7.2                      never, not by a reset        never, not by a reset
#
# (10.0 and 11.1 refuse malta: "Bus 'pci' does not support hotplugging".)
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
apt-get -qq -y "${options[@]}" install --download-only \
	'qemu-system-x86=1:7.2*' 'qemu-system-arm=1:7.2*' 'qemu-system-ppc=1:7.2*' \
	'qemu-system-misc=1:7.2*' 'qemu-system-mips=1:7.2*' seabios opensbi ipxe-qemu
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


def deleted(qemu: Qemu, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        qemu("query-status")
        if any(event["event"] == "DEVICE_DELETED" and event["data"].get("device") == "x" for event in qemu.events):
            return True
        time.sleep(0.05)
    return False


def unplugged(expected: str, architecture: str, cold: bool, device: str, *machine: str) -> str:
    """When the device goes: what is expected to come is given a minute, on a busy host too."""
    driver, *properties = device.split(",")
    given = ["-device", f"{device},id=x"] if cold else []
    qemu = Qemu("-m", "256", "-machine", *machine, *given, program=f"qemu-system-{architecture}")
    if not cold:
        qemu("device_add", driver=driver, id="x", **dict(item.split("=") for item in properties))
    assert qemu("device_del", id="x") == {}
    answer = once if deleted(qemu, 60 if expected == once else 1) else ""
    qemu("system_reset")
    answer = answer or (reset if deleted(qemu, 60 if expected == reset else 4) else never)
    qemu.kill()
    return answer


reset, never, once = "by a reset", "never", "at once"
port = ["-device", "pcie-root-port,id=root0"]
native = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
behind = "virtio-rng-pci,bus=root0"
machines = {
    "x86_64 pc": (reset, reset, "x86_64", "virtio-rng-pci", "pc-i440fx-7.2"),
    "x86_64 pc-q35": (reset, reset, "x86_64", behind, "pc-q35-7.2", *port),
    "x86_64 pc-q35, native": (never, once, "x86_64", behind, "pc-q35-7.2", *native, *port),
    "aarch64 virt": (never, once, "aarch64", behind, "virt-7.2", *port),
    "riscv64 virt": (never, once, "riscv64", behind, "virt", *port),
    "ppc64 pseries": (reset, once, "ppc64", "virtio-rng-pci", "pseries-7.2"),
    "s390x": (once, once, "s390x", "virtio-rng-ccw", "s390-ccw-virtio-7.2"),
    "mips64el malta": (never, never, "mips64el", "virtio-rng-pci", "malta"),
}
failed = False
for name, (cold, hot, architecture, device, *machine) in machines.items():
    answers = [
        unplugged(cold, architecture, True, device, *machine),
        unplugged(hot, architecture, False, device, *machine),
    ]
    print(f"{name:24} {answers[0]:12} {answers[1]}")
    failed |= answers != [cold, hot]
sys.exit(failed)
PYTHON
