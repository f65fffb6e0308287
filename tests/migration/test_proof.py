"""The guest's beats, and what they prove."""

import pytest

from matrix.migration.proof import Proof

START = b"INTEGRITY: START vcpus=1 page=4096 pages=8 base=0x1000\n"


def beat(number: int, clock: float, gap: float = 0.001) -> bytes:
    values = f"n={number} clock={int(clock * 1e9)} gap={int(gap * 1e9)} verified=7 passes=1"
    return f"INTEGRITY: BEAT {values}\n".encode()


def test_beats_around_a_hop() -> None:
    changes: list[None] = []
    proof = Proof(lambda: changes.append(None))
    present = [proof.present]
    proof.feed(b"booting\n" + START, 99.0)
    assert [*present, proof.present] == [False, True]
    assert proof.settings["base"] == "0x1000"
    proof.feed(beat(1, 0.1, gap=0.9), 100.0)  # before the hop: not of it
    proof.begin()
    assert proof.evidence() is None
    proof.feed(beat(2, 0.2), 100.1)
    proof.feed(beat(3, 0.25, gap=0.05), 100.6)
    evidence = proof.evidence()
    assert evidence is not None
    assert evidence.blackout == pytest.approx(0.05)
    assert evidence.silence == pytest.approx(0.5)
    assert evidence.clock_jump == pytest.approx(0.15 - 0.6)
    assert (proof.beats, proof.problems, len(changes)) == (3, [], 4)
    proof.feed(b"INTEGRITY: END beats=3\n", 101.0)
    assert proof.ended


def test_requests_to_a_disk_around_a_hop() -> None:
    """In flight over the hop are those over the largest gap: when the guest stood still."""
    proof = Proof()

    def beat_with(number: int, gap: float, requests: int, in_flight: int) -> None:
        line = beat(number, number, gap).rstrip(b"\n")
        proof.feed(line + f" requests={requests} inflight={in_flight}\n".encode(), number)

    proof.feed(START, 0.0)
    beat_with(1, 0.9, requests=10, in_flight=1)
    proof.begin()
    beat_with(2, 0.02, requests=14, in_flight=5)
    beat_with(3, 0.30, requests=19, in_flight=8)
    beat_with(4, 0.10, requests=25, in_flight=2)
    evidence = proof.evidence()
    assert evidence is not None
    assert (evidence.requests, evidence.in_flight) == (15, 8)
    proof.begin()
    proof.feed(beat(5, 5.0), 5.0)  # of a guest that says nothing of a disk
    evidence = proof.evidence()
    assert evidence is not None
    assert (evidence.requests, evidence.in_flight) == (None, None)


def test_pieces_of_any_size_are_the_same() -> None:
    whole, pieces = Proof(), Proof()
    text = START + beat(1, 0.1) + b"noise\n" + beat(2, 0.2)
    whole.feed(text, 1.0)
    for at in range(len(text)):
        pieces.feed(text[at : at + 1], 1.0)
    assert pieces.last == whole.last
    assert whole.beats == pieces.beats == 2


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (beat(1, 0.1) + beat(3, 0.3), "beats lost: 3 after 1"),
        (beat(2, 0.1) + beat(2, 0.1), "beats twice or out of order: 2 after 2"),
        (beat(1, 0.2) + beat(2, 0.1), "the guest's clock went back by 0.100000 s"),
        (b"INTEGRITY: BEAT n=x\n", "a beat cannot be read: {'n': 'x'}"),
        (START, "the guest started anew"),
    ],
)
def test_problems(lines: bytes, problem: str) -> None:
    proof = Proof()
    proof.feed(START + lines, 1.0)
    assert proof.problems == [problem]


def test_problems_are_bounded() -> None:
    proof = Proof()
    for number in range(0, 200, 2):
        proof.feed(beat(number, number), 1.0)
    assert (len(proof.problems), proof.problem_count) == (20, 99)
    proof.feed(b"x" * 100_000, 1.0)
    assert len(proof._partial) == 4096
