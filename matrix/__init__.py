"""A test-matrix orchestrator for QEMU and KVM."""

__version__ = "0.1.0"
