#!/usr/bin/env bash
# mke2fs 1.47.0 (e2fsprogs of Debian 12): "mke2fs -d FOLDER" makes an image of what is in the folder, and of the
# folder itself it takes the extended attributes alone: not its mode, nor its owner, nor its time, which it
# does take of every folder in it. The root of the image is root's, 0755, made now. So an image of a /tmp
# (1777) or of a user's home, to be mounted there in a guest, can be written to by root only. -E root_owner
# sets the owner; the mode is for the guest to set, or for debugfs.
#
#                        mode   owner   time     attribute
#   the folder           1777   1234    2001     user.kept
#   the image's root     0755   0       now      user.kept
#   a folder in both     0700   1234    2001     user.kept
#
# Unpacks e2fsprogs from Debian 12's packages into a temporary folder (apt-get with the host's sources;
# nothing is installed) and fails if a line is another. (Owners only as root, attributes only where the
# temporary folder has them.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'e2fsprogs=1.47.0*'
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
run() { # PROGRAM [ARGUMENT…]
	"$(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1)" --library-path \
		"$(find "$work/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/root" -name 'libext2fs.so.2' -printf '%h' -quit):$(find "$work/root" -name 'libblkid.so.1' -printf '%h' -quit)" \
		"$work/root/sbin/$1" "${@:2}"
}
cd "$work"
run mke2fs -V 2>&1 | sed -n 1p
python3 - <<'PYTHON'
import os

os.makedirs("folder/inner")
for name, mode in ("folder/inner", 0o700), ("folder", 0o1777):
    try:
        os.setxattr(name, "user.kept", b"yes")
    except OSError as error:
        print("no extended attributes here:", error.strerror)
    if not os.getuid():
        os.chown(name, 1234, 1234)
    os.chmod(name, mode)
    os.utime(name, (1e9, 1e9))
PYTHON
run mke2fs -q -t ext4 -d folder image 16M
for name in / /inner; do run debugfs -R "stat $name" image 2>/dev/null >"stat${name//\//-}"; done
python3 - <<'PYTHON'
import os, re, stat, sys


def image(file: str) -> tuple[str, str, bool, bool]:
    """Mode, owner, whether the time was taken, and the attribute."""
    text = open(file).read()
    mode, owner = re.search(r"Mode: +(\S+)", text)[1], re.search(r"User: +(\d+)", text)[1]
    return mode, owner, f"mtime: {10**9:#x}" in text, "user.kept" in text


def folder(name: str) -> tuple[str, str, bool, bool]:
    status = os.stat(name)
    return f"{stat.S_IMODE(status.st_mode):04o}", str(status.st_uid), True, "user.kept" in os.listxattr(name)


outer, root, both, inner = folder("folder"), image("stat-"), folder("folder/inner"), image("stat-inner")
print("mode, owner, time, attribute")
print("the folder:       ", *outer)
print("the image's root: ", *root)
print("a folder in both: ", *inner)
sys.exit(root != ("0755", "0", False, outer[3]) or inner != both)
PYTHON
