#!/usr/bin/env bash
# QEMU 10.0.2 (Debian 12's backports) and 11.1.3: calc-dirty-rate with mode=dirty-bitmap, the exact one of
# its modes, of a guest under TCG answers {}, and query-dirty-rate then says "measured" and a dirty-rate of
# 0, however much the guest writes. Only what KVM reports is counted, and nobody says that nothing was
# measured. page-sampling, an estimate, sees it: so the two disagree, and the wrong one looks like
# the better one. A migration of that guest does see its writes.
#
#   the guest writes to each page of 64 MiB, again and again (seen: MiB/s)
#   page-sampling   62   measured
#   dirty-bitmap    0    measured
#
# Takes the Debian suite as argument (default: bookworm-backports), unpacks its QEMU into a temporary
# folder with apt-get from the host's mirror (nothing is installed), and fails if dirty-bitmap sees a
# write, or page-sampling none.
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
apt-get -qq -y "${options[@]}" install --download-only qemu-system-arm
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
"$work/bin/qemu-system-aarch64" --version | head -n 1
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


from pathlib import Path

# x1 = 0x44000000, x3 = 16384; 1: x0 += 1; store it at x1; x1 += 4096; to 1 until x3 is 0; again
Path("walk").write_bytes(
    bytes.fromhex("0280a8d2" "e10302aa" "030088d2" "00040091" "200000f9" "21044091" "630400f1" "81ffff54" "f9ffff17")
)
qemu = Qemu(
    *("-machine", "virt", "-cpu", "cortex-a57", "-m", "256"),
    *("-device", "loader,file=walk,addr=0x42000000,cpu-num=0"), program="qemu-system-aarch64",
)


def rounds() -> int:
    """How often the guest has written to its first page."""
    answer = qemu("human-monitor-command", command_line="xp /1xg 0x44000000")
    return int(answer.split()[-1], 16) >> 14


def measured(mode: str) -> int:
    """MiB/s that QEMU measures while the guest writes to all of its 64 MiB at least once."""
    for _ in range(20):
        first = rounds()
        assert qemu("calc-dirty-rate", calc_time=1, mode=mode) == {}
        while (answer := qemu("query-dirty-rate"))["status"] != "measured":
            time.sleep(0.05)
        if (written := rounds() - first) > 1:
            print(f"{mode:15} {answer['dirty-rate']} MiB/s, {answer['status']}; each page written {written} times")
            return answer["dirty-rate"]
    sys.exit("the guest is too slow here")


qemu("cont")
sampled, exact = measured("page-sampling"), measured("dirty-bitmap")
qemu.kill()
sys.exit(exact != 0 or sampled == 0)
PYTHON
