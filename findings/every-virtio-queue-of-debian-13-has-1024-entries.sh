#!/usr/bin/env bash
# QEMU 10.0.13 (Debian 13): every queue of every virtio device that no driver has set up has 1024 entries, also with
# queue-size=128 on the command line, in each versioned machine type. 7.2.22 and 11.1.3 have what the device or the option
# says (rng 8, blk and net 256, …). So a guest with any virtio device whose driver did not choose a smaller queue (firmware or
# a kernel that has no driver yet, a device that was just plugged in, Linux, which takes the size that it is offered) goes
# from 7.2 or 11.1 to 10.0, and not from 10.0 to 11.1 with the same machine type: "VQ 0 vring.num 1024 exceeds allocated max
# 128", with which the destination exits, in a postcopy when the source has nothing to go back to. 7.2.22 takes the same
# stream without a word. Two QEMUs of one machine type that have the same properties, checked with qom-get, are not compatible.
#
# Unpacks both from Debian's packages into a temporary folder (nothing is installed), and fails if 10.0's queue has another
# size or 11.1 takes the guest.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)

unpack() { # SUITE VERSION: QEMU of a suite of Debian's, as $work/SUITE/qemu
	local folder=$work/$1
	mkdir -p "$folder"/{lists,archives}/partial "$folder"/{sources,root}
	: >"$folder/status"
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
		"$mirror" "$1" "$keyring" >"$folder/sources/debian.sources"
	local options=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$folder/sources"
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
		-o "Dir::State::Lists=$folder/lists" -o "Dir::State::Status=$folder/status" -o "Dir::Cache=$folder"
		-o APT::Install-Recommends=false -o APT::Sandbox::User=root)
	apt-get -qq "${options[@]}" update
	apt-get -qq -y "${options[@]}" install --download-only "qemu-system-x86=$2" seabios
	for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
	cat >"$folder/qemu" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$folder/root/usr/lib/x86_64-linux-gnu/qemu
exec setpriv --pdeathsig KILL $(find "$folder/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $folder/root/usr/lib/x86_64-linux-gnu:$folder/root/lib/x86_64-linux-gnu:$folder/root/usr/lib/x86_64-linux-gnu/pulseaudio \\
	$folder/root/usr/bin/qemu-system-x86_64 -L $folder/root/usr/share/qemu -L $folder/root/usr/share/seabios "\$@"
WRAPPER
	chmod +x "$folder/qemu"
	"$folder/qemu" --version | head -n 1
}
unpack trixie '1:10.0.13*'
unpack sid '1:11.1*'
cd "$work"
python3 - <<'PYTHON'
import json, socket, subprocess, sys, time

GUEST = ("-machine", "pc-q35-7.2", "-m", "64M", "-S", "-blockdev", "null-co,node-name=n", "-device",
         "virtio-blk-pci,drive=n,queue-size=128,id=disk")


class Qemu:
    """A QEMU and its monitor."""

    def __init__(self, suite: str, *arguments: str) -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-qmp", "chardev:m"]
        self.process = subprocess.Popen(
            [f"./{suite}/qemu", "-nodefaults", "-display", "none", "-accel", "tcg", *monitor, *GUEST, *arguments],
            pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True,
        )
        theirs.close()
        self.lines = ours.makefile("rw")
        self.lines.readline()
        self("qmp_capabilities")

    def __call__(self, command: str, **arguments: object) -> dict:
        self.lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            message = json.loads(self.lines.readline())
            if "event" not in message:
                return message["return"]

    def queue(self) -> tuple:
        """What was asked for, and what its first queue has."""
        path = "/machine/peripheral/disk/virtio-backend"
        asked = self("qom-get", path=path, property="queue-size")
        return asked, self("x-query-virtio-queue-status", path=path, queue=0)["vring-num"]


old, new = Qemu("trixie"), Qemu("sid", "-incoming", "unix:socket")
sizes = old.queue(), new.queue()
print("queue-size and entries: 10.0", sizes[0], "11.1", sizes[1])
old("migrate", uri="unix:socket")
words = new.process.communicate(timeout=60)[1]
print("11.1 exits with", new.process.returncode, "|", *(line for line in words.splitlines() if "vring" in line))
old.process.kill()
old.process.wait()
as_seen = sizes == ((128, 1024), (128, 128)) and new.process.returncode == 1
sys.exit(not (as_seen and "vring.num 1024 exceeds allocated max 128" in words))
PYTHON
