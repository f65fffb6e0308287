#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12), and 10.0.2 and 11.1.3 alike: the device tree that a machine dumps, of one QEMU with one
# command line, is another one each time: it has random seeds for the guest's kernel (/chosen/rng-seed). So a tree
# cannot be kept by its checksum to notice that a machine has changed, nor be built reproducibly with a guest that
# has it inside. aarch64's and arm's virt have a switch for it (dtb-randomness=off), riscv64's virt has none; -seed
# makes all of them repeat:
#
#                      twice the same   with dtb-randomness=off   with -seed 1
#   aarch64 virt       no               yes                       yes
#   arm virt           no               yes                       yes
#   riscv64 virt       no               (no such property)        yes
#
# Unpacks QEMU 7.2 from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if a line is another.
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
	'qemu-system-arm=1:7.2*' 'qemu-system-misc=1:7.2*' opensbi
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
for program in "$work"/root/usr/bin/qemu-system-{aarch64,arm,riscv64}; do
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
import subprocess, sys


def same(name: str, machine: str, *options: str) -> str:
    """Whether two trees are equal, to the byte."""
    trees = []
    for _ in range(2):
        done = subprocess.run(
            [f"{sys.argv[1]}/qemu-system-{name}", "-L", "root/usr/share/qemu", "-nodefaults",
             "-display", "none", "-accel", "tcg", "-machine", f"{machine},dumpdtb=tree", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        )
        if "dtb-randomness' not found" in done.stderr:
            return "no such property"
        assert done.returncode == 0, done.stderr
        trees.append(open("tree", "rb").read())
    return "yes" if trees[0] == trees[1] else "no"


found = {
    name: (same(name, "virt"), same(name, "virt,dtb-randomness=off"), same(name, "virt", "-seed", "1"))
    for name in ("aarch64", "arm", "riscv64")
}
for name, seen in found.items():
    print(f"{name:8}", *(f"{each:18}" for each in seen))
switched = ("no", "yes", "yes")
sys.exit(found != {"aarch64": switched, "arm": switched, "riscv64": ("no", "no such property", "yes")})
PYTHON
