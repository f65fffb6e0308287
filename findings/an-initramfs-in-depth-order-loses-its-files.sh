#!/usr/bin/env bash
# Linux 6.1.192 with cpio 2.13 and QEMU 7.2.22 (all Debian 12): an initramfs whose archive names a file
# before its directory is unpacked without that file, and the kernel says nothing, at any log level: it
# makes no parents. That is the order of "find -depth", as many examples of cpio have it; "cpio -i -d"
# unpacks the same archive whole. So a module or a test that is plainly in the archive is missing in the
# guest. Directories have to come first ("find" without -depth).
#
#   find . | cpio          /init /first /folder/file
#   find . -depth | cpio   /init /first                 of the same tree; /folder is there, and empty
#
# Unpacks kernel, busybox, cpio and QEMU from Debian 12's packages into a temporary folder (apt-get with
# the host's sources; nothing is installed) and fails if the second guest has the file, the first has not, or
# the kernel speaks of it. Two boots under TCG, a few seconds each.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only \
	'linux-image-cloud-amd64=6.1*' busybox-static 'cpio=2.13*' 'qemu-system-x86=1:7.2*' seabios
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
libc=$(find "$work/root" -name 'libc.so.6' -printf '%h' -quit)
run() { # PROGRAM [ARGUMENT…]: one of the unpacked programs, with its own libraries
	setpriv --pdeathsig KILL "$(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1)" --library-path \
		"$libc:$(find "$work/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/root" -type d -name pulseaudio -path '*lib*' -print -quit)" "$@"
}
mkdir -p "$work/tree/folder"
cp "$work/root/bin/busybox" "$work/tree/"
echo found >"$work/tree/folder/file"
echo found >"$work/tree/first"
cat >"$work/tree/init" <<'INIT'
#!/busybox sh
/busybox mknod /second c 4 65
echo $(/busybox find / -xdev -type f) >/second
/busybox poweroff -f
INIT
chmod +x "$work/tree/init"
guest() { # NAME [OPTION OF find]: boot a guest of that archive; NAME.files is its second serial port,
	# as the kernel's messages may break a line of the first one
	(cd "$work/tree" && find . "${@:2}" | run "$work/root/bin/cpio" --quiet -o -H newc >"$work/$1.cpio")
	QEMU_MODULE_DIR=$(find "$work/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit) \
		run "$work/root/usr/bin/qemu-system-x86_64" -L "$work/root/usr/share/qemu" \
		-L "$work/root/usr/share/seabios" -nodefaults -display none -accel tcg -machine q35 -cpu max -m 256 \
		-serial "file:$work/$1.console" -serial "file:$work/$1.files" -no-reboot \
		-kernel "$work"/root/boot/vmlinuz-* -initrd "$work/$1.cpio" \
		-append "console=ttyS0 loglevel=8 panic=-1 rdinit=/init" </dev/null 2>/dev/null
}
guest first
guest depth -depth
first=$(<"$work/first.files")
depth=$(<"$work/depth.files")
echo "find: $first"
echo "find -depth: $depth"
grep -a -i 'initramfs\|rootfs\|folder' "$work/depth.console" || true
[[ $first == */folder/file* && $depth == */first* && $depth != */folder/file* ]] &&
	! grep -a -q 'folder/file' "$work/depth.console"
