#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12) and 10.0.2 (its backports), and 7.2.22 and 11.1.3: one versioned machine type
# and one named, versioned CPU model ("migration-safe" by query-cpu-definitions) are not one CPU under
# TCG. What TCG cannot emulate is taken out of the model with no more than a warning, and each release can
# emulate more: of 132 x86 models 85 differ between 7.2 and 11.1, 3 between 10.0 and 11.1. The migration
# completes, and CPUID changes under the guest's feet; back, it loses what it had. qemu64, kvm64, Nehalem
# and Westmere are whole in all of them. Nor does a versioned machine type pin its default CPU: that of
# pseries-7.2 is another revision of POWER9 (PVR).
#
#                                               7.2.22       10.0.2
#   Skylake-Client-v1  CPUID 1, ECX             0xf6d83203   0xf6f83203   (x2apic)
#                      CPUID 7, EBX             0x1803a9     0x1c03a9     (rdseed)
#                      CPUID 0x80000001, ECX    0x21         0x121        (3dnowprefetch)
#   qemu64             no difference
#   pseries-7.2        PVR                      0x4e1200     0x4e1202
#
# Unpacks both versions into temporary folders with apt-get (Debian 12's from the host's sources, those of
# the suite in the argument, default bookworm-backports, from its mirror; nothing is installed) and fails
# if the CPUs agree, qemu64 differs or the migration of Skylake-Client-v1 fails.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
unpack() { # FOLDER PACKAGE…: bin/ and root/ in it
	rm -rf "$work"/{lists,archives}
	mkdir -p "$work/$1/bin" "$work"/{lists,archives}/partial
	: >"$work/status"
	apt-get -qq "${options[@]}" update
	apt-get -qq -y "${options[@]}" install --download-only "${@:2}"
	for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/$1/root"; done
	for program in "$work/$1"/root/usr/bin/qemu-*; do
		cat >"$work/$1/bin/${program##*/}" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/$1/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/$1/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/$1/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/$1/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/$1/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$program -L $work/$1/root/usr/share/qemu -L $work/$1/root/usr/share/seabios "\$@"
WRAPPER
		chmod +x "$work/$1/bin/${program##*/}"
	done
	"$work/$1/bin/qemu-system-ppc64" --version | head -n 1
}
unpack old 'qemu-system-x86=1:7.2*' 'qemu-system-ppc=1:7.2*' seabios
suite=${1:-bookworm-backports}
mirror=$(apt-get "${options[@]}" indextargets --format '$(REPO_URI)' 'Origin: Debian' |
	grep '/debian/*$' | sort -u | sed -n 1p) || true
[ -n "$mirror" ] || { echo "apt-get has no source of Debian's packages here" >&2; exit 1; }
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
	"$mirror" "${suite%-backports} $suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$work/debian.sources"
options+=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work" -o "APT::Default-Release=$suite")
unpack new qemu-system-x86 qemu-system-ppc seabios
cd "$work"
setpriv --pdeathsig KILL python3 - <<'PYTHON'
import json, socket, subprocess, sys, time


class Qemu:
    """A QEMU that is stopped, and its monitor."""

    def __init__(self, program: str, *arguments: str) -> None:
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
        self.process = subprocess.Popen(
            [program, "-nodefaults", "-display", "none", "-accel", "tcg", "-S", *monitor, *arguments],
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


def cpuid(qemu: Qemu) -> dict[str, str]:
    """What the first vCPU's CPUID says, where it says anything."""
    path = qemu("query-cpus-fast")[0]["qom-path"]
    words = qemu("qom-get", path=path, property="feature-words")
    return {f"CPUID {word['cpuid-input-eax']:#x}, {word['cpuid-register']}": hex(word["features"]) for word in words if word["features"]}


def between(model: str) -> tuple[list[tuple[str, str | None, str | None]], str]:
    """What differs in CPUID between the versions, and the status of a migration from the old to the new."""
    common = ["-machine", "pc-q35-7.2", "-m", "64", "-cpu", model]
    here = Qemu("old/bin/qemu-system-x86_64", *common)
    there = Qemu("new/bin/qemu-system-x86_64", *common, "-incoming", "unix:socket")
    old, new = cpuid(here), cpuid(there)
    here("migrate-set-capabilities", capabilities=[{"capability": "return-path", "state": True}])
    here("migrate", uri="unix:socket")
    while (status := here("query-migrate")["status"]) not in ("completed", "failed"):
        time.sleep(0.01)
    here.kill()
    there.kill()
    return [(word, old.get(word), new.get(word)) for word in sorted({*old, *new}) if old.get(word) != new.get(word)], status


def revision(version: str) -> str:
    """The PVR of pseries-7.2's default CPU."""
    qemu = Qemu(f"{version}/bin/qemu-system-ppc64", "-machine", "pseries-7.2", "-m", "256")
    words = qemu("human-monitor-command", command_line="info registers").split()
    qemu.kill()
    return words[words.index("PVR") + 1]


seen = {model: between(model) for model in ("Skylake-Client-v1", "qemu64")}
revisions = revision("old"), revision("new")
for model, (differences, status) in seen.items():
    print(model, status, *differences, sep="\n    ")
print("pseries-7.2: PVR", *revisions)
skylake, qemu64 = seen.values()
sys.exit(not skylake[0] or skylake[1] != "completed" or qemu64 != ([], "completed") or len({*revisions}) != 2)
PYTHON
