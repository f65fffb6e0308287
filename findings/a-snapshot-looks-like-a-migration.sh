#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: savevm (and the job snapshot-save) of a guest that
# is never migrated emits the events of a migration: MIGRATION "setup" and "completed", between STOP and
# RESUME, and leaves query-migrate with the status "completed", a total-time and RAM statistics of its
# own, where it was {}. Who watches a guest's events for the end of its migration, or asks query-migrate
# whether it was migrated away, takes a snapshot for one. loadvm says only STOP and RESUME, and
# query-migrate goes on telling of the savevm before it.
#
# Seen: STOP, MIGRATION setup, [MIGRATION_PASS twice before 11.1,] MIGRATION completed, RESUME; then STOP,
# RESUME.
#
# Unpacks QEMU 7.2 and qemu-img from Debian 12's packages into a temporary folder (apt-get with the host's
# sources; nothing is installed) and fails if savevm emits no MIGRATION event or query-migrate stays {}.
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


subprocess.run([f"{sys.argv[1]}/qemu-img", "create", "-q", "-f", "qcow2", "disk", "64M"], check=True)
node = "driver=qcow2,node-name=disk,file.driver=file,file.filename=disk"
qemu = Qemu("-machine", "pc-q35-7.2", "-m", "64", "-blockdev", node, "-device", "virtio-blk-pci,drive=disk")
qemu("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
qemu("cont")
before = qemu("query-migrate")


def events(command: str) -> list[str]:
    qemu.events.clear()
    qemu("human-monitor-command", command_line=command)
    time.sleep(0.2)
    qemu("query-status")
    told = [(event["event"], event.get("data", {}).get("status", "")) for event in qemu.events]
    return [f"{event} {status}".strip() for event, status in told]


saving, loading = events("savevm one"), events("loadvm one")
after = qemu("query-migrate")["status"]
qemu.kill()
print(f"savevm: {saving}\nloadvm: {loading}\nquery-migrate: {before}, then {after}")
expected = [event for event in saving if event != "MIGRATION_PASS"] == ["STOP", "MIGRATION setup", "MIGRATION completed", "RESUME"]
sys.exit(not expected or loading != ["STOP", "RESUME"] or (before, after) != ({}, "completed"))
PYTHON
