#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3: -kernel unpacks what Linux builds for aarch64, Image.gz, and
# from 8.0 on an EFI zboot image (vmlinuz.efi, Fedora's vmlinuz) too. For riscv64, whose Linux builds the
# same files, it does not, and does not refuse them either: without a word it puts them into memory as they
# are, and the firmware jumps into the compressed bytes. The guest is silent after OpenSBI's banner, like
# one with a wrong console. uImage, and the plain Image, both take.
#
#                      aarch64                                 riscv64
#   Image              runs                                    runs
#   Image.gz           runs                                    silence
#   EFI zboot          silence (10.0.2, 11.1.3: runs)          silence
#   uImage             runs                                    runs
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if a line is another. The "kernel" is five instructions that print a tilde.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'qemu-system-arm=1:7.2*' 'qemu-system-misc=1:7.2*'
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
"$work/bin/qemu-system-riscv64" --version | head -n 1
cd "$work"
setpriv --pdeathsig KILL python3 - "$work/bin" <<'PYTHON'
import gzip, select, struct, subprocess, sys, time

WAIT = 5  # seconds of silence after the firmware's last line, of guests that need none
KERNELS = {
    # movz x0, #0x900, lsl #16; movz w1, #'~'; strb w1, [x0]; wfi; b .-4: the PL011's data register
    "aarch64": (struct.pack("<5I", 0xD2A12000, 0x52800FC1, 0x39000001, 0xD503207F, 0x17FFFFFF), 0x40200000, 22),
    # lui t0, 0x10000; li t1, '~'; sb t1, (t0); wfi; j .-4: that of the 16550
    "riscv64": (struct.pack("<5I", 0x100002B7, 0x07E00313, 0x00628023, 0x10500073, 0xFFDFF06F), 0x80200000, 26),
}


def containers(code: bytes, address: int, number: int) -> dict[str, bytes]:
    """The files: EFI zboot as in Linux's zboot-header.S, uImage as in U-Boot's image.h."""
    image = code.ljust(4096, b"\0")
    packed = gzip.compress(image)
    zboot = b"MZ\0\0zimg" + struct.pack("<2I8x32s2I", 64, len(packed), b"gzip", 0x818223CD, 64) + packed
    uimage = struct.pack(">7I4B32s", 0x27051956, 0, 0, len(image), address, address, 0, 5, number, 2, 0, b"test")
    return {"Image": image, "Image.gz": packed, "EFI zboot": zboot, "uImage": uimage + image}


def runs(architecture: str, file: str) -> str:
    """Whether a tilde is printed; what comes before it is the firmware's, which has none."""
    options = ["-machine", "virt", "-m", "128", "-nodefaults", "-display", "none", "-serial", "stdio"]
    options += ["-L", "root/usr/share/qemu", *(["-cpu", "cortex-a57"] if architecture == "aarch64" else [])]
    qemu = subprocess.Popen(
        [f"{sys.argv[1]}/qemu-system-{architecture}", *options, "-kernel", file],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    output, firmware = b"", architecture == "riscv64"
    while b"~" not in output:
        ready, _, _ = select.select([qemu.stdout], [], [], 60 if firmware and b"MEDELEG" not in output else WAIT)
        if not ready or not (read := qemu.stdout.read1()):
            break
        output += read
    qemu.kill()
    qemu.wait()
    return "runs" if b"~" in output else "silence"


seen = {}
for architecture, (code, address, number) in KERNELS.items():
    for name, content in containers(code, address, number).items():
        open("kernel", "wb").write(content)
        seen[architecture, name] = runs(architecture, "kernel")
        print(architecture, name, seen[architecture, name])
silent = {("aarch64", "EFI zboot"), ("riscv64", "Image.gz"), ("riscv64", "EFI zboot")}
sys.exit({line for line, what in seen.items() if what == "silence"} != silent)
PYTHON
