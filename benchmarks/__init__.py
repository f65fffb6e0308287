"""Measurements of speed and memory, run by hand: ``make benchmarks``, or one module at a time.

Machines are noisy, so what can be a ratio within one run is one. Each prints what it measured and
the bound that it should keep, and exits 1 where it does not.
"""
