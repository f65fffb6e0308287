#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: the event MIGRATION with status "completed"
# comes before the source may be continued. A "cont" that is sent as soon as the event is read is
# refused about every second time ("Migration is not finalized yet"), as the run state is still
# finish-migrate; a query-status a moment later may already say postmigrate. No event tells when the
# source is ready: whoever wants to go on with a migrated source has to ask again.
#
# Seen of 20 sources each, on two CPUs:
#   7.2.22   pc 11 refused, 9 continued    pseries 11 refused, 9 continued
#   10.0.2   pc 13 refused, 7 continued    pseries 13 refused, 7 continued
#   11.1.3   pc  4 refused, 16 continued   pseries 10 refused, 10 continued
#
# Unpacks QEMU 7.2 with its libraries from Debian 12's packages into a temporary folder (apt-get with
# the host's sources; nothing is installed) and fails if no "cont" of 40 is refused any more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' seabios
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
cat >"$work/qemu" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$work/root/usr/bin/qemu-system-x86_64 -L $work/root/usr/share/qemu -L $work/root/usr/share/seabios "\$@"
WRAPPER
chmod +x "$work/qemu"
"$work/qemu" --version | head -n 1
setpriv --pdeathsig KILL python3 - "$work/qemu" <<'PYTHON'
import collections, json, socket, subprocess, sys


def continued(qemu: str) -> str:
    ours, theirs = socket.socketpair()
    monitor = f"socket,id=monitor,fd={theirs.fileno()}"
    process = subprocess.Popen(
        [qemu, "-nodefaults", "-display", "none", "-S", "-accel", "tcg", "-machine", "pc",
         "-m", "64", "-chardev", monitor, "-mon", "chardev=monitor,mode=control"],
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    lines = ours.makefile("rw")

    def send(command: str, **arguments: object) -> None:
        lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        lines.flush()

    def reply() -> dict:
        while True:
            message = json.loads(lines.readline())
            if "return" in message or "error" in message:
                return message

    lines.readline()
    send("qmp_capabilities"), reply()
    events = {"capability": "events", "state": True}
    send("migrate-set-capabilities", capabilities=[events]), reply()
    send("migrate", uri="exec:cat >/dev/null")
    message = {}
    while message.get("event") != "MIGRATION" or message["data"]["status"] != "completed":
        message = json.loads(lines.readline())
    send("cont")
    answer = reply().get("error", {}).get("desc", "continued")
    process.kill()
    process.wait()
    return answer


answers = collections.Counter(continued(sys.argv[1]) for _ in range(40))
print(dict(answers))
if not answers["Migration is not finalized yet"]:
    sys.exit("every cont was taken: the event and the run state agree now")
PYTHON
