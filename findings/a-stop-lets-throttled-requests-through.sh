#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3: stopping a guest lets all requests through that its disk's
# throttling holds back. Of eight reads of a disk with throttling.iops-total=1, two are done in the first 1.5 s.
# A "stop" then does the other six within milliseconds, which the limit has wait for six seconds: QEMU drains
# its disks, and lifts the limits of one that is drained (blk_root_drained_begin in block/block-backend.c). So
# does the switchover of a migration: the limit is no bound on what reaches the storage. Nor are the six done
# in the order in which they came.
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if "stop" leaves a request waiting.
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


REQUESTS, LIMIT = 8, 1


class Qemu:
    """A QEMU without a machine, with a throttled disk."""

    def __init__(self) -> None:
        with open("disk.img", "wb") as file:
            file.truncate(1 << 20)
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [f"{sys.argv[1]}/qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none",
             "-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control",
             "-drive", f"if=none,id=disk,format=raw,file=disk.img,throttling.iops-total={LIMIT}"],
            pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
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

    @property
    def done(self) -> int:
        """How many reads the disk has done."""
        return self("query-blockstats")[0]["stats"]["rd_operations"]


qemu = Qemu()
for number in range(REQUESTS):
    qemu("human-monitor-command", command_line=f'qemu-io disk "aio_read {number * 4096} 512"')
time.sleep(1.5)
before, begun = qemu.done, time.monotonic()
qemu("stop")
after, seconds = qemu.done, time.monotonic() - begun
qemu.process.kill()
qemu.process.wait()
print(f"{before} of {REQUESTS} reads done in 1.5 s, at most {LIMIT} a second")
print(f"{after} of {REQUESTS} after a stop, which took {seconds * 1e3:.1f} ms")
sys.exit(not (before <= 3 and after == REQUESTS and seconds < 1))
PYTHON
