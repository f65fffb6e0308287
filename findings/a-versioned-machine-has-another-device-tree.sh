#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12) and 10.0.2 (its backports), and 11.1.3: a versioned machine type is to look the same to
# the guest in every QEMU, and the device tree that describes it does not. That of aarch64's virt-7.2 with
# cortex-a57 has gained "dma-coherent" at its root by 10.0, by which drivers leave out cache maintenance, and the
# caches of each CPU by 11.1. So a tree that was kept (for -dtb, or to compare) is not what the next QEMU
# makes, and what a guest does may change with QEMU though the machine has not. riscv64's virt, which has no
# versions, names another MMU and fewer interrupts. The seeds in it differ each time.
#
#                    7.2.22 -> 10.0.2                              10.0.2 -> 11.1.3
#   aarch64 virt-7.2 / dma-coherent, /aliases                      d-cache-size, next-level-cache, ... per CPU
#   riscv64 virt     mmu-type sv48 -> sv57, ndev 96 -> 95, ...     plic@c000000 -> interrupt-controller@c000000
#
# Unpacks both versions into temporary folders with apt-get (Debian 12's from the host's sources, those of
# the suite in the argument, default bookworm-backports, from its mirror; nothing is installed) and fails
# if the trees of virt-7.2 differ in something else, or those of riscv64 agree in one of the two.
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
	"$work/$1/bin/qemu-system-aarch64" --version | head -n 1
}
unpack old 'qemu-system-arm=1:7.2*' 'qemu-system-misc=1:7.2*'
suite=${1:-bookworm-backports}
mirror=$(apt-get "${options[@]}" indextargets --format '$(REPO_URI)' 'Origin: Debian' |
	grep '/debian/*$' | sort -u | sed -n 1p) || true
[ -n "$mirror" ] || { echo "apt-get has no source of Debian's packages here" >&2; exit 1; }
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
	"$mirror" "${suite%-backports} $suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$work/debian.sources"
options+=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work" -o "APT::Default-Release=$suite")
unpack new qemu-system-arm qemu-system-riscv
cd "$work"
setpriv --pdeathsig KILL python3 - <<'PYTHON'
import struct, subprocess, sys

SEEDS = {"rng-seed", "kaslr-seed"}


def properties(blob: bytes) -> dict[str, bytes]:
    """The nodes and properties of a flattened tree (the devicetree specification, chapter 5), by path."""
    structure, strings = struct.unpack_from(">2I", blob, 8)
    found, path, at = {}, [], structure
    while True:
        token, at = struct.unpack_from(">I", blob, at)[0], at + 4
        if token == 1:  # the begin of a node
            end = blob.index(b"\0", at)
            path.append(blob[at:end].decode())
            at = (end + 4) // 4 * 4
            found["/".join(path)] = b""
        elif token == 2:
            path.pop()
        elif token == 3:  # a property
            size, offset = struct.unpack_from(">2I", blob, at)
            name = blob[strings + offset : blob.index(b"\0", strings + offset)].decode()
            if name not in SEEDS:
                found["/".join(path) + " " + name] = blob[at + 8 : at + 8 + size]
            at = (at + 8 + size + 3) // 4 * 4
        elif token == 9:
            return found


def tree(version: str, architecture: str, machine: str, *options: str) -> dict[str, bytes]:
    command = [f"{version}/bin/qemu-system-{architecture}", "-machine", f"{machine},dumpdtb=tree", *options]
    subprocess.run([*command, "-nodefaults", "-display", "none"], check=True, stderr=subprocess.DEVNULL)
    return properties(open("tree", "rb").read())


def differences(*machine: str) -> dict[str, tuple[bytes | None, bytes | None]]:
    old, new = tree("old", *machine), tree("new", *machine)
    seen = {name: (old.get(name), new.get(name)) for name in sorted(old | new) if old.get(name) != new.get(name)}
    print(machine[1], *(f"{name}: {was} -> {now}"[:100] for name, (was, now) in seen.items()), sep="\n  ")
    return seen


virt = differences("aarch64", "virt-7.2", "-cpu", "cortex-a57")
riscv = differences("riscv64", "virt")
sys.exit(
    {name for name in virt if not name.startswith("/aliases")} != {" dma-coherent"}
    or virt[" dma-coherent"] != (None, b"")
    or riscv["/cpus/cpu@0 mmu-type"] != (b"riscv,sv48\0", b"riscv,sv57\0")
    or riscv["/soc/plic@c000000 riscv,ndev"] != (struct.pack(">I", 96), struct.pack(">I", 95))
)
PYTHON
