"""``matrix`` with its guests' registers sampled at every moment of silence, fifty times a second.

    python -m matrix run scenarios/kvm-unit-tests.yaml -o plain …
    python -m benchmarks.sampling run scenarios/kvm-unit-tests.yaml -o sampled …
    python -m matrix compare plain sampled

Sampling is to find dead loops, and must not change what a healthy guest comes to. As it is, a guest
is sampled after a second without output, and ever less once it was seen to work, so that most are
never sampled; here they all are, as often as that can be done. When a guest counts as dead stays as
it is.
"""

from matrix.cli.main import main
from matrix.vm import watch

OFTEN = 0.02
"""Seconds of silence before a guest is sampled, and between two samples."""

if __name__ == "__main__":
    watch.PATIENCE = watch.LONGEST_PAUSE = OFTEN
    main()
