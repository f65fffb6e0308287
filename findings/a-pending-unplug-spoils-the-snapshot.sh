#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.13 and 11.1.3 alike, pc and q35: a snapshot that a QEMU saved a moment ago cannot be loaded by it
# while a device_del waits for the guest (which has no driver, is off, or is slow). snapshot-save saves the device, as it is still
# there; snapshot-load resets the machine first, that reset completes the unplug, and the section (or the RAM block of its ROM)
# of the snapshot finds no device: "Error -22 while loading VM state". The guest is lost by then: its memory is partly loaded, the
# device is gone, the status is restore-vm, and cont takes it all the same. Wait for DEVICE_DELETED before either.
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if the snapshot can be loaded.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' 'qemu-utils=1:7.2*' seabios
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
    """A QEMU and its monitor."""

    def __init__(self, *arguments: str, program: str = "qemu-system-x86_64") -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/{program}", "-L", "root/usr/share/qemu", "-L", "root/usr/share/seabios",
             "-nodefaults", "-display", "none", "-accel", "tcg", *monitor, *arguments],
            pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
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


subprocess.run([f"{sys.argv[1]}/qemu-img", "create", "-q", "-f", "qcow2", "disk", "16M"], check=True)
qemu = Qemu("-machine", "pc", "-m", "64M", "-blockdev", "qcow2,node-name=disk,file.driver=file,file.filename=disk")
time.sleep(2)  # SeaBIOS has begun; there is nobody who would let the device go


def there() -> bool:
    return "rng" in [each["name"] for each in qemu("qom-list", path="/machine/peripheral")]


def job(command: str) -> str:
    qemu(command, job_id=command, tag="saved", vmstate="disk", devices=["disk"])
    while (done := qemu("query-jobs")[0])["status"] != "concluded":
        time.sleep(0.05)
    qemu("job-dismiss", id=command)
    return done.get("error", "done")


assert qemu("device_add", driver="virtio-rng-pci", id="rng") == {}
assert qemu("device_del", id="rng") == {}
before = there(), job("snapshot-save"), there()
after = job("snapshot-load"), there(), qemu("query-status")["status"], qemu("cont")
print("there, saved, there: ", before)
print("loaded, there, status, cont:", after)
qemu.kill()
sys.exit(not (before == (True, "done", True) and after[1:] == (False, "restore-vm", {}) and after[0] != "done"))
PYTHON
