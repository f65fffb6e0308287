#!/usr/bin/env bash
# QEMU 10.0.2 (Debian 12's backports), and 7.2.22 and 11.1.3 for what they have: query-cpu-model-expansion with
# type=full answers with every property of a CPU model and its value, from which one would make the same
# CPU again. On s390x and aarch64 that is so. On x86_64 and riscv64 the same QEMU refuses its own answer, as the
# model of a second expansion and as -cpu: lbr-fmt of x86_64, where nobody has set it, reads as 2^64 - 64,
# which it does not take itself, and some extensions of riscv64 are listed and cannot be named. For x86_64
# there is type=static (the CPU "base" with properties), which comes back; for riscv64 there is nothing.
#
#             type=full, given back                                static, given back
#   x86_64    Property value for 'lbr-fmt' has bits outside mask   the same
#   riscv64   Property 'max-riscv-cpu.zic64b' not found            not supported
#   s390x     the same                                             the same
#   aarch64   the same                                             not supported
#
# (riscv64 of 11.1.3: "H extension implicitly requires S-mode"; 7.2 cannot expand its models.)
#
# Takes the Debian suite as argument (default: bookworm-backports), unpacks its QEMU into a temporary
# folder with apt-get from the host's mirror (nothing is installed), and fails if a line is another.
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
apt-get -qq -y "${options[@]}" install --download-only \
	qemu-system-x86 qemu-system-arm qemu-system-riscv qemu-system-s390x seabios
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
import json, socket, subprocess, sys


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


MACHINES = {"x86_64": "pc", "riscv64": "virt", "s390x": "s390-ccw-virtio", "aarch64": "virt"}


def again(architecture: str, expansion: str) -> str:
    """What an expansion of the CPU max answers, given back."""
    qemu = Qemu("-machine", MACHINES[architecture], program=f"qemu-system-{architecture}")
    first = qemu("query-cpu-model-expansion", type=expansion, model={"name": "max"})
    second = first
    if not isinstance(first, str):
        second = qemu("query-cpu-model-expansion", type=expansion, model=first["model"])
    qemu.kill()
    seen = second if isinstance(second, str) else "the same" if second == first else "another"
    print(f"{architecture:8} {expansion:7}", seen)
    return seen


def starts(architecture: str) -> bool:
    """Whether QEMU starts with the full expansion as -cpu."""
    qemu = Qemu("-machine", MACHINES[architecture], program=f"qemu-system-{architecture}")
    model = qemu("query-cpu-model-expansion", type="full", model={"name": "max"})["model"]
    qemu.kill()
    values = {name: ("off", "on")[value] if isinstance(value, bool) else value for name, value in model["props"].items()}
    cpu = ",".join([model["name"], *(f"{name}={value}" for name, value in values.items())])
    try:
        qemu = Qemu("-machine", MACHINES[architecture], "-cpu", cpu, program=f"qemu-system-{architecture}")
    except (OSError, ValueError):
        return False
    qemu.kill()
    return True


none = "The requested expansion type is not supported"
seen = {architecture: (again(architecture, "full"), again(architecture, "static")) for architecture in MACHINES}
started = {architecture: starts(architecture) for architecture in MACHINES}
print("as -cpu:", started)
full = seen["x86_64"][0], seen["riscv64"][0]
sys.exit(
    not full[0].startswith("Property value for 'lbr-fmt' has bits outside mask")
    or not full[1].startswith("Property 'max-riscv-cpu.zic64b' not found")
    or [static for _, static in seen.values()] != ["the same", none, "the same", none]
    or (seen["s390x"][0], seen["aarch64"][0]) != ("the same", "the same")
    or started != {"x86_64": False, "riscv64": False, "s390x": True, "aarch64": True}
)
PYTHON
