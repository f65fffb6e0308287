#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3, with pyelftools 0.32: an ELF file that dump-guest-memory
# writes for a big-endian guest (ppc64, s390x) has a big-endian header and program headers, and its
# section headers in the byte order of the host: on x86_64 a section of 0x0b00000000000000 bytes at an
# offset beyond any file. Segments and notes can be read; iter_sections() raises OSError "Invalid
# argument" (and readelf -S says "past end of file"). The files of little-endian guests (x86_64, aarch64,
# riscv64) are fine: their sections are "" and ".shstrtab".
#
# Unpacks QEMU 7.2 from Debian 12's packages and installs pyelftools into a temporary folder, and fails if
# the sections of s390x's file can be read, or its notes cannot. On a big-endian host there is nothing to
# see.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-x86=1:7.2*' 'qemu-system-misc=1:7.2*' seabios
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
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install pyelftools==0.32
cd "$work"
setpriv --pdeathsig KILL venv/bin/python - "$work/bin" <<'PYTHON'
import json, socket, subprocess, sys

from elftools.elf.elffile import ELFFile


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


def read(architecture: str, machine: str) -> tuple[object, list[str]]:
    """The sections that a dump has, or why they cannot be read, and the names of its notes."""
    qemu = Qemu("-machine", machine, "-m", "256", program=f"qemu-system-{architecture}")
    assert qemu("dump-guest-memory", paging=False, protocol=f"file:{architecture}") == {}
    qemu.kill()
    with open(architecture, "rb") as file:
        dump = ELFFile(file)
        notes = [note["n_type"] for segment in dump.iter_segments("PT_NOTE") for note in segment.iter_notes()]
        try:
            return [section.name for section in dump.iter_sections()], notes[:1]
        except OSError as error:
            return repr(error), notes[:1]


seen = {name: read(name, machine) for name, machine in (("x86_64", "pc"), ("s390x", "s390-ccw-virtio"))}
print(*seen.items(), sep="\n")
little, big = seen["x86_64"], seen["s390x"]
sys.exit(little != (["", ".shstrtab"], ["NT_PRSTATUS"]) or big != ("OSError(22, 'Invalid argument')", ["NT_PRSTATUS"]))
PYTHON
