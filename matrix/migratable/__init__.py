"""Predicts which guest may go from which QEMU to which, from what both say of themselves."""
