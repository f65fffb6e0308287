#!/usr/bin/env bash
# QEMU 7.2.22, 10.0.13 and 11.1.3 (Debian 12, 13 and sid): a QMP socket that QEMU listens on (server=on) keeps the answers that
# it owes to a client which has left, and hands them to the next one. Of 1,000 clients that came after one that had left in
# the middle of query-qmp-schema, 140 to 400 (11.1), 130 (10.0) and 13 (7.2) were greeted, sent qmp_capabilities, and read the
# other's answer first. After query-migrate, on a busy host, 200 of 1,000 (11.1; 1 with 10.0) read it even before the greeting.
# A client that takes the first line for the greeting gives up on a QEMU that is well; one that counts its commands from 1,
# as most do, takes the other's answer for its own, if that one did so as well. Ids have to be of one's own, and whatever
# comes before the greeting has to be dropped.
#
# Unpacks QEMU 11.1 from Debian's packages into a temporary folder (nothing is installed), leaves 1,000 times in the middle of a
# command, and fails if nobody gets another's answer.
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
unpack sid '1:11.1*'
cd "$work"
python3 - <<'PYTHON'
import collections, json, os, socket, subprocess, sys, time

monitor = ["-chardev", "socket,id=m,path=monitor,server=on,wait=off", "-qmp", "chardev:m"]
qemu = subprocess.Popen(["sid/qemu", "-machine", "none", "-display", "none", "-nodefaults", *monitor],
                        stderr=subprocess.DEVNULL)
while not os.path.exists("monitor"):
    time.sleep(0.02)


def visit():
    client = socket.socket(socket.AF_UNIX)
    client.connect("monitor")
    return client, client.makefile("r")


read = collections.Counter()
for number in range(1000):
    client, lines = visit()
    lines.readline()
    client.sendall(b'{"execute": "qmp_capabilities", "id": "former"}')
    lines.readline()
    client.sendall(b'{"execute": "query-qmp-schema", "id": "former"}')
    lines.close()
    client.close()  # without waiting for the answer
    client, lines = visit()
    greeted = "QMP" in json.loads(lines.readline())
    client.sendall(b'{"execute": "qmp_capabilities", "id": "next"}')
    others = 0
    while (message := json.loads(lines.readline())).get("id") != "next":
        others += message.get("id") == "former"
    read["another's answer before the greeting"] += not greeted
    read["another's answer after the greeting"] += greeted and others > 0
    lines.close()
    client.close()
print("of 1000 clients:", dict(read))
qemu.terminate()
qemu.wait()
sys.exit(not sum(read.values()))
PYTHON
