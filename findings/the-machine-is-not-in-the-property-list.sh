#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: device-list-properties, asked of a QEMU that runs
# an old versioned machine type, gives the default-value of the newest one. The machine's compatibility
# properties reach devices when they are made, not the list: comparing the lists of two binaries at the
# same versioned type shows differences that no guest has, and misses those that it has. Only a device
# that was made (-S is enough) tells, through qom-get. query-cpu-model-expansion, on the contrary, answers
# for the machine that runs: asked of "-machine none", it expands qemu64 to a CPU of another family and
# model than that of pc-q35-5.2.
#
#   7.2.22, pc-q35-5.2   virtio-blk-pci report-discard-granularity: listed True, the device has False
#   10.0.2, pc-q35-7.2   e1000e migrate-timadj: listed True, the device has False
#   11.1.3, pc-q35-7.2   e1000e migrate-timadj: listed True, the device has False
#   all     qemu64       family 15, model 107 with -machine none; family 6, model 6 with pc-q35-5.2
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if listed and real value agree, or the expansions.
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


name = "report-discard-granularity"
qemu = Qemu("-machine", "pc-q35-5.2", "-blockdev", "driver=null-co,node-name=disk", "-device", "virtio-blk-pci,drive=disk,id=x")
listed = [item.get("default-value") for item in qemu("device-list-properties", typename="virtio-blk-pci") if item["name"] == name]
real = qemu("qom-get", path="/machine/peripheral/x", property=name)
print(f"{name}: listed {listed}, the device has {real}")


def expanded(qemu: Qemu) -> tuple[int, int]:
    """Family and model of the CPU that qemu64 expands to."""
    properties = qemu("query-cpu-model-expansion", type="full", model={"name": "qemu64"})["model"]["props"]
    return properties["family"], properties["model"]


none = Qemu("-machine", "none")
families = expanded(none), expanded(qemu)
print("qemu64: family and model", *families)
none.kill()
qemu.kill()
sys.exit((listed, real, families) != ([True], False, ((15, 107), (6, 6))))
PYTHON
