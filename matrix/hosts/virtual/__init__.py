"""Virtual KVM hosts: a Linux guest under TCG whose KVM runs guests, on any machine."""
