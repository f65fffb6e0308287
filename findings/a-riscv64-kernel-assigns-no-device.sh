#!/usr/bin/env bash
# Debian's kernels for riscv64 (13: 6.12, forky: 7.2): vfio-pci is a module of theirs, and takes devices; 7.2 has the
# drivers of the RISC-V IOMMU built in, and puts devices into groups. But none of that assigns a device to a guest: what
# drives an IOMMU for VFIO is in neither. VFIO_IOMMU_TYPE1 is for x86, s390 and Arm alone (drivers/vfio/Kconfig), and Debian
# builds IOMMUFD for x86 and arm64 at most. VFIO_CONTAINER=y, which is there, is the interface without what is
# behind it. QEMU says "No available IOMMU models" once all else has been set up.
#
#                       VFIO_PCI   RISCV_IOMMU_PCI   VFIO_CONTAINER   VFIO_IOMMU_TYPE1   IOMMUFD
#   Debian 13, riscv64  m          (6.13 and later)  y                -                  -
#   forky, riscv64      m          y                 y                -                  -
#
# Downloads the configurations with apt into a temporary folder, from the host's mirror of Debian (130 MB; nothing is
# installed), and fails if one has what drives an IOMMU.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
failed=0
for suite in trixie forky; do
	folder=$work/$suite
	mkdir -p "$folder"/{lists,archives}/partial "$folder/sources" "$folder/root"
	: >"$folder/status"
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: riscv64\nSigned-By: %s\n' \
		"$mirror" "$suite" "$keyring" >"$folder/sources/debian.sources"
	options=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$folder/sources"
		-o "Dir::State::Lists=$folder/lists" -o "Dir::State::Status=$folder/status" -o "Dir::Cache=$folder"
		-o APT::Architecture=riscv64 -o APT::Architectures::=riscv64 -o APT::Sandbox::User=root)
	apt-get -qq "${options[@]}" update
	image=$(apt-cache "${options[@]}" depends linux-image-riscv64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p')
	base=$(apt-cache "${options[@]}" depends "$image" | sed -n 's/.*Depends: \(linux-base-[0-9].*\)/\1/p')
	(cd "$folder/archives" && apt-get -qq "${options[@]}" download "${base:-$image}")
	dpkg-deb --fsys-tarfile "$folder"/archives/*.deb | tar -x -C "$folder/root" --wildcards '*/config' '*/config-*' 2>/dev/null || true
	config=$(find "$folder/root" -type f -name 'config*' -print -quit)
	printf '%s, %s:' "$suite" "$image"
	for name in VFIO_PCI RISCV_IOMMU_PCI VFIO_CONTAINER VFIO_IOMMU_TYPE1 IOMMUFD; do
		printf ' %s=%s' "$name" "$(sed -n "s/^CONFIG_$name=//p" "$config" | grep . || echo -)"
	done
	echo
	grep -q '^CONFIG_VFIO_PCI=' "$config" || failed=1
	! grep -Eq '^CONFIG_(VFIO_IOMMU_TYPE1|IOMMUFD)=' "$config" || failed=1
done
exit "$failed"
