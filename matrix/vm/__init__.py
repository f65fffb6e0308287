"""QEMU processes: started, watched, diagnosed and ended."""
