"""Failures are the same whatever their addresses, paths, counts and times."""

from matrix.explore.failure import Failure, Invariant


def signature(reason: str, invariant: Invariant = Invariant.HOP) -> str:
    return Failure(invariant, reason, 3).signature


def test_what_varies_does_not_count() -> None:
    one = signature("page 0x1f3000 in /tmp/a/b.sock is 17, after 2.5 s")
    assert one == signature("page 0xABC in /tmp/c/d.sock is 3, after 11 s")
    assert one == "hop: page # in # is #, after # s"


def test_what_differs_does() -> None:
    assert signature("the source goes from setup to completed") != signature(
        "the source goes from active to failed"
    )
    assert signature("silent", Invariant.PROOF) != signature("silent", Invariant.HOP)
    assert signature("section ram/x86_64") == "hop: section ram/x86_64"


def test_a_section_that_is_not_taken_is_one_failure_however_it_was_sent() -> None:
    words = "error while loading state for instance 0x0 of device '0000:00:10.0/virtio-rng': Failed"
    one = signature(
        f"the hop failed: Sibling indicated error 1; the destination: {words} (in device)"
    )
    assert one == signature(
        f"the destination has not taken it in: {words}; it ended (in completed)"
    )
    assert one == "hop: device '#:#:#/virtio-rng': Failed"
    assert one != signature(words.replace("virtio-rng", "virtio-net"))
