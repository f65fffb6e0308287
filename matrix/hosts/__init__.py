"""What this host can run, asked of the QEMU binaries over QMP, with KVM proven."""
