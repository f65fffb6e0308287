#!/usr/bin/env bash
# QEMU 10.0.2 (Debian 12's backports) and 11.1.3: a destination that was told migrate-incoming with
# exit-on-error=false survives a migration that it could not load, with the status "failed" and the reason
# in query-migrate, and that is all it is good for. It takes no second migrate-incoming ("The incoming
# migration has already been started"), so that the source cannot try again, and stays inmigrate for ever:
# cont is answered {} and starts nothing. Each attempt needs a new process, as without the option.
#
# Takes the Debian suite as argument (default: bookworm-backports), unpacks its QEMU into a temporary
# folder with apt-get from the host's mirror (nothing is installed), and fails if the second
# migrate-incoming is taken or cont starts the guest.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
suite=${1:-bookworm-backports}
apt-get -qq "${options[@]}" update
mirror=$(apt-get "${options[@]}" indextargets --format '$(REPO_URI)' 'Origin: Debian' |
	grep '/debian/*$' | sort -u | sed -n 1p) || true
[ -n "$mirror" ] || { echo "apt-get has no source of Debian's packages here" >&2; exit 1; }
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
	"$mirror" "${suite%-backports} $suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$work/debian.sources"
options+=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work" -o "APT::Default-Release=$suite")
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only qemu-system-x86 seabios
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


here = Qemu("-machine", "pc", "-m", "64")
there = Qemu("-machine", "pc", "-m", "128", "-incoming", "defer")
first = there("migrate-incoming", uri="unix:socket", exit_on_error=False)
here("migrate", uri="unix:socket")
while (status := there("query-migrate").get("status")) != "failed":
    time.sleep(0.01)
second = there("migrate-incoming", uri="unix:socket", exit_on_error=False)
cont, state = there("cont"), there("query-status")["status"]
print(f"first {first}, then {status}: {there('query-migrate')['error-desc']}\nsecond: {second}\ncont: {cont}, {state}")
here.kill()
there.kill()
sys.exit(first != {} or second == {} or (cont, state) != ({}, "inmigrate"))
PYTHON
