#!/usr/bin/env bash
# gdb-multiarch 13.1 with QEMU 7.2.22 (both Debian 12), and with QEMU 10.0.2 and 11.1.3 alike: gdb takes a
# ppc64 CPU for one that stops before the access that a watchpoint sees, as the hardware does, and steps over
# it. QEMU has stopped behind it. So gdb executes one more instruction without a word, and says where that
# one ended: the line after the one that is wanted, or the target of a branch; and if it stores to the
# watched place too, its value is the "New value", and the first store was never there. Two stores, 77 and 88, to a
# watched word:
#
#   aarch64, riscv64, s390x   New value = 77, behind the first store
#   ppc64                     New value = 88, behind the second
#
# Unpacks both from Debian 12's packages into a temporary folder (apt-get with the host's sources; nothing
# is installed) and fails if a line is another.
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
	'qemu-system-arm=1:7.2*' 'qemu-system-ppc=1:7.2*' 'qemu-system-misc=1:7.2*' 'gdb-multiarch=13.1*' openbios-ppc
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/{qemu-system-aarch64,qemu-system-ppc64,qemu-system-riscv64,qemu-system-s390x,gdb-multiarch}; do
	cat >"$work/bin/${program##*/}" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$program "\$@"
WRAPPER
	chmod +x "$work/bin/${program##*/}"
done
"$work/bin/qemu-system-ppc64" --version | head -n 1
cd "$work"
setpriv --pdeathsig KILL python3 - "$work/bin" <<'PYTHON'
import os, re, subprocess, sys

# Machine; gdb's words for the CPU; code, data; two stores and two that do nothing; registers.
GUESTS = {
    "aarch64": (["-machine", "virt", "-cpu", "cortex-a57"], "aarch64", "little", 0x40001000, 0x40008000,
                (0xB9000020, 0xB9000022, 0xD503201F, 0xD503201F), ("$w0 = 77", "$w2 = 88", "$x1 = {}")),
    "riscv64": (["-machine", "virt", "-bios", "none"], "riscv:rv64", "little", 0x80001000, 0x80008000,
                (0x00A5A023, 0x00C5A023, 0x13, 0x13), ("$a0 = 77", "$a2 = 88", "$a1 = {}")),
    "s390x": (["-machine", "s390-ccw-virtio"], "s390:64-bit", "big", 0x11000, 0x18000,
              (0x50203000, 0x50403000, 0x07000700, 0x07000700),
              ("$r2 = 77", "$r4 = 88", "$r3 = {}", "$pswm = 0x180000000")),
    "ppc64": (["-machine", "mac99"], "powerpc:common64", "big", 0x1000, 0x8000,
              (0x90640000, 0x90A40000, 0x60000000, 0x60000000), ("$r3 = 77", "$r5 = 88", "$r4 = {}")),
}


def watched(name: str) -> tuple[int, int]:
    """The new value that gdb tells of, and how many stores are behind the guest then."""
    machine, cpu, order, code, data, words, registers = GUESTS[name]
    qemu = subprocess.Popen(
        [f"{sys.argv[1]}/qemu-system-{name}", "-L", "root/usr/share/qemu", "-L", "root/usr/share/openbios",
         "-nodefaults", "-display", "none", "-accel", "tcg", "-S", *machine,
         "-chardev", f"socket,id=g,path={name},server=on,wait=off", "-gdb", "chardev:g"],
        stderr=subprocess.DEVNULL,
    )
    while not os.path.exists(name):
        assert qemu.poll() is None
    commands = [
        f"set architecture {cpu}", f"set endian {order}", f"target remote {name}",
        *(f"set *(unsigned int *){code + 4 * place} = {word}" for place, word in enumerate(words)),
        *(f"set {each.format(data)}" for each in registers),
        f"set $pc = {code}", f"watch *(unsigned int *){data}", "continue",
        f'printf "behind %d\\n", ((long)$pc - {code}) / 4', "kill",
    ]
    options = [word for command in commands for word in ("-ex", command)]
    gdb = [f"{sys.argv[1]}/gdb-multiarch", "-q", "-nx", "-batch", "-data-directory", "root/usr/share/gdb"]
    said = subprocess.run([*gdb, *options], capture_output=True, text=True, timeout=60).stdout
    qemu.kill()
    qemu.wait()
    value, behind = (re.search(f"{word}(\\d+)", said) for word in ("New value = ", "behind "))
    assert value and behind, said
    print(f"{name:8} New value = {value[1]}, {behind[1]} instructions on")
    return int(value[1]), int(behind[1])


found = {name: watched(name) for name in GUESTS}
sys.exit(found != {**dict.fromkeys(GUESTS, (77, 1)), "ppc64": (88, 2)})
PYTHON
