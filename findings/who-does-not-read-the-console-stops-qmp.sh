#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: a guest that writes to a console whose pipe or
# socket nobody reads waits, as one would think, but on three of five architectures all of QEMU waits with
# it: the PL011 of aarch64's virt, the SCLP console of s390x and the vty of pseries write with the big lock
# held. QMP answers nothing then, until somebody reads the console. The 16550 of x86_64 and riscv64 lets
# only the guest wait. So a tool must go on reading a console while it waits for QMP, and that QMP does not
# answer is no sign that QEMU is broken.
#
#             the pipe is full   QMP after the console was read
#   aarch64   no answer          answers
#   ppc64     no answer          answers
#   s390x     no answer          answers
#   riscv64   answers
#   x86_64    answers
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if a line is another. The guests are loops of a few instructions that
# write the letter a.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only \
	'qemu-system-x86=1:7.2*' 'qemu-system-arm=1:7.2*' 'qemu-system-ppc=1:7.2*' 'qemu-system-misc=1:7.2*' seabios
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
import json, os, select, socket, struct, subprocess, sys, time


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
        self.monitor = ours
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


def words(order: str, *instructions: int) -> bytes:
    return struct.pack(f"{order}{len(instructions)}I", *instructions)


def image(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    return name


def elf_of_s390x(code: bytes, address: int) -> bytes:
    header = b"\x7fELF\x02\x02\x01" + bytes(9)
    header += struct.pack(">HHIQQQIHHHHHH", 2, 22, 1, address, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack(">IIQQQQQQ", 1, 7, 0x1000, address, address, len(code), len(code), 0x1000)
    return (header + segment).ljust(0x1000, b"\0") + code


# SERVICE CALL (write event data) of a control block at 0x10100 that holds one message, and again.
message = struct.pack(">HBBH", 6 + 64, 0x1A, 0, 0) + b"a" * 64
block = struct.pack(">HBBBBH", 8 + len(message), 0, 0, 0, 0, 0) + message
s390x = bytes.fromhex("c01900760005" "c02900010100" "b2200012" "a7f4fff8").ljust(0x100, b"\0") + block
# mov dx, 0x3f8; mov al, 'a'; out dx, al; jmp to the out; and at the reset vector a jump to the beginning.
x86 = bytes.fromhex("baf803" "b061" "ee" "ebfd").ljust(0xFFF0, b"\0") + bytes.fromhex("ea000000f0").ljust(16, b"\0")
aarch64 = words("<", 0xD2A12000, 0x52800C21, 0xB9000001, 0x17FFFFFF)
riscv64 = words("<", 0x10000537, 0x06100593, 0x00B50023, 0xFFDFF06F)
# H_PUT_TERM_CHAR of 16 bytes, from the firmware's entry on.
ppc64 = bytes(0x100) + words(">", 0x38600058, 0x3C803000, 0x38A00010, 0x3CC06161, 0x3CE06161, 0x44000022, 0x4BFFFFE8)
serial = ["-serial", "chardev:console"]
guests = {
    "aarch64": ["virt", "-cpu", "cortex-a57", *serial, "-device",
                f"loader,file={image('aarch64', aarch64)},addr=0x42000000,cpu-num=0"],
    "ppc64": ["pseries", "-bios", image("ppc64", ppc64), "-device", "spapr-vty,chardev=console,reg=0x30000000"],
    "s390x": ["s390-ccw-virtio", "-kernel", image("s390x", elf_of_s390x(s390x, 0x10000)),
              "-device", "sclpconsole,chardev=console"],
    "riscv64": ["virt", "-bios", "none", *serial, "-device",
                f"loader,file={image('riscv64', riscv64)},addr=0x80000000,cpu-num=0"],
    "x86_64": ["pc", "-bios", image("x86_64", x86), *serial],
}


def answers(qemu: Qemu, seconds: float, console: int | None = None) -> bool:
    """Whether QMP answers the query of the id "last" while the console, if given, is read."""
    read, end = b"", time.monotonic() + seconds
    monitor = qemu.monitor.fileno()
    while time.monotonic() < end:
        for ready in select.select([monitor, *([console] if console else [])], [], [], 0.1)[0]:
            data = os.read(ready, 65536)
            read += data if ready == monitor else b""
        if b'"id": "last"' in read:
            return True
    return False


seen = {}
for architecture, machine in guests.items():
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    pipe = f"file,id=console,path=/proc/{os.getpid()}/fd/{writer}"
    qemu = Qemu("-m", "256", "-chardev", pipe, "-machine", *machine, program=f"qemu-system-{architecture}")
    os.close(writer)
    qemu.lines.write('{"execute": "cont"}\n')
    qemu.lines.flush()
    time.sleep(2)
    qemu.lines.write('{"execute": "query-status", "id": "last"}\n')
    qemu.lines.flush()
    unread = answers(qemu, 3)
    seen[architecture] = (unread, unread or answers(qemu, 20, reader))
    qemu.kill()
    os.close(reader)
    print(f"{architecture:8} answers unread: {seen[architecture][0]}, read: {seen[architecture][1]}")
blocks, goes = (False, True), (True, True)
sys.exit(list(seen.values()) != [blocks, blocks, blocks, goes, goes])
PYTHON
