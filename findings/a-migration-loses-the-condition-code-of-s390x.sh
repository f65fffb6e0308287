#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.13 and 11.1.3 alike, s390x under TCG: a guest that is migrated goes on with condition code 0, whatever
# it was. TCG keeps the code apart from the PSW (how it was computed, and from what), nothing puts it into the PSW before the CPU's state is
# saved, and what it was computed from is not in the stream. Any branch after the switchover that depends on a comparison before it may go the other
# way: a subchannel that was busy has "started", a lock is "free". A guest that sets the code to 2, jumps fifty times and reads it reads 0 after more
# than half of its hops; one that compares and branches within one translated block never does, so that most guests get away with it.
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed), migrates such a guest 20 times, and fails if it always reads the code that it has set.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-misc=1:7.2*' 'qemu-system-data=1:7.2*'
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
program=$work/root/usr/bin/qemu-system-s390x
cat >"$work/bin/qemu-system-s390x" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$program "\$@"
WRAPPER
chmod +x "$work/bin/qemu-system-s390x"
"$work/bin/qemu-system-s390x" --version | head -n 1
cd "$work"
setpriv --pdeathsig KILL python3 - "$work/bin" <<'PYTHON'
import json, socket, subprocess, sys, time

HOPS = 20
COUNTERS = 0x8000  # rounds, rounds that read another code than 2, and the last such code
PROGRAM = b"".join(
    bytes.fromhex(each)
    for each in (
        "c04100008000",  # lgfi r4,0x8000
        "eb014000006a",  # loop: asi 0(r4),1
        "a7180001",  # lhi r1,1
        "1211",  # ltr r1,r1: positive, so the code is 2
        50 * "a7f400030700",  # j over a nopr: each ends a translated block
        "b2220030",  # ipm r3
        "8830001c",  # srl r3,28
        "a73e0002",  # chi r3,2
        "a784ff5e",  # je loop
        "eb014004006a",  # asi 4(r4),1
        "50304008",  # st r3,8(r4)
        "a7f4ff57",  # j loop
    )
)
with open("kernel", "wb") as kernel:
    kernel.write((0x80010000).to_bytes(8, "big") + bytes(0x10000 - 8) + PROGRAM)


class Qemu:
    """A QEMU with the guest, and its monitor."""

    def __init__(self, *arguments: str) -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/qemu-system-s390x", "-L", "root/usr/share/qemu", "-machine", "s390-ccw-virtio", "-m", "64M",
             "-accel", "tcg", "-nodefaults", "-display", "none", "-kernel", "kernel", *monitor, *arguments],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.lines = ours.makefile("rw")
        self.lines.readline()
        self("qmp_capabilities")

    def __call__(self, command: str, **arguments: object) -> object:
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.lines.flush()
        while "event" in (message := json.loads(self.lines.readline())):
            pass
        return message["return"]

    def counters(self) -> list[int]:
        said = self("human-monitor-command", command_line=f"xp /3dw {COUNTERS:#x}")
        return [int(each) for each in said.partition(":")[2].split()]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


qemu = Qemu()
time.sleep(1)
before = qemu.counters()
for hop in range(HOPS):
    destination = Qemu("-incoming", f"unix:{hop}")
    qemu("migrate", uri=f"unix:{hop}")
    while (status := qemu("query-migrate")["status"]) != "completed":
        assert status != "failed"
        time.sleep(0.02)
    qemu.kill()
    qemu = destination
    time.sleep(0.2)
rounds, wrong, code = qemu.counters()
qemu.kill()
print(f"without a migration: {before[1]} of {before[0]} rounds wrong")
print(f"with {HOPS} migrations: {wrong} of {rounds} rounds wrong, by condition code {code} for 2")
sys.exit(not (before[0] > 0 and before[1] == 0 and wrong > 0 and code == 0))
PYTHON
