"""Consoles of several processes joined into one."""

from hypothesis import given
from hypothesis import strategies as st

from matrix.vm.joined_console import JoinedConsole, Voice


class Speaker:
    """A process whose output lies in its pipe until it is read."""

    def __init__(self, joined: JoinedConsole) -> None:
        self.voice: Voice = joined.voice()
        self.pipe = b""
        self.voice.drain = self.read

    def read(self) -> None:
        data, self.pipe = self.pipe, b""
        if data:
            self.voice.take(data)


def joined() -> tuple[JoinedConsole, bytearray]:
    heard = bytearray()
    return JoinedConsole(heard.extend), heard


def test_the_source_has_its_last_word_first() -> None:
    console, heard = joined()
    handed: list[None] = []
    console.on_hand_over = lambda: handed.append(None)
    source, destination = Speaker(console), Speaker(console)
    console.begin(source.voice)
    source.voice.take(b"one ")
    console.expect(destination.voice)
    source.pipe = b"two "
    destination.voice.take(b"three")
    assert heard == b"one two three"
    assert (console.strays, len(handed)) == (0, 1)


def test_a_hop_that_ends_without_a_word_of_the_destination() -> None:
    console, heard = joined()
    handed: list[None] = []
    console.on_hand_over = lambda: handed.append(None)
    source, destination = Speaker(console), Speaker(console)
    console.begin(source.voice)
    console.expect(destination.voice)
    source.pipe = b"last"
    console.hand_over()
    console.hand_over()  # nothing more to hand over
    assert (bytes(heard), len(handed)) == (b"last", 1)


def test_whoever_has_not_the_word_is_told_apart() -> None:
    console, heard = joined()
    source, destination = Speaker(console), Speaker(console)
    console.begin(source.voice)
    console.expect(destination.voice)
    destination.voice.take(b"new")
    source.voice.take(b"old" * 5000)
    assert (bytes(heard), console.strays) == (b"new", 15000)
    assert len(console.stray) == 4096


def test_a_failed_hop_leaves_the_word_with_the_source() -> None:
    console, heard = joined()
    source, destination = Speaker(console), Speaker(console)
    console.begin(source.voice)
    console.expect(destination.voice)
    console.keep(source.voice)
    source.voice.take(b"still here")
    destination.voice.take(b"a ghost")
    assert (bytes(heard), console.strays) == (b"still here", 7)


def test_what_a_snapshot_rolls_back_has_not_been_said() -> None:
    console, heard = joined()
    source, destination = Speaker(console), Speaker(console)
    console.begin(source.voice)
    source.pipe = b"before "
    console.hold(100)
    source.voice.take(b"undone ")
    console.expect(destination.voice)
    source.pipe = b"undone too"
    destination.voice.take(b"after")
    assert heard == b"before after"
    console.release()
    assert heard == b"before after"


def test_what_was_held_is_passed_on_when_there_is_no_roll_back() -> None:
    console, heard = joined()
    source = Speaker(console)
    console.begin(source.voice)
    console.hold(4)
    source.voice.take(b"1234")
    overheld = [console.overheld]
    source.voice.take(b"5")
    assert [*overheld, console.overheld] == [False, True]
    console.release()
    source.voice.take(b"6")
    assert heard == b"123456"


@given(st.lists(st.tuples(st.binary(max_size=8), st.booleans(), st.booleans()), max_size=20))
def test_nothing_is_lost_and_nothing_comes_twice(
    steps: list[tuple[bytes, bool, bool]],
) -> None:
    """Of each step: what the guest prints, whether it is read at once, whether it then moves."""
    console, heard = joined()
    current = Speaker(console)
    console.begin(current.voice)
    said = b""
    for data, at_once, moves in steps:
        said += data
        current.pipe += data
        if at_once:
            current.read()
        if moves:
            following = Speaker(console)
            console.expect(following.voice)
            if not at_once:  # else the hop's end finds it out
                following.voice.take(b"!")
                said += b"!"
            console.hand_over()
            current = following
    current.read()
    assert bytes(heard) == said
    assert console.strays == 0


class FarSpeaker(Speaker):
    """A process on another host: what it has printed is on its way."""

    def __init__(self, joined: JoinedConsole) -> None:
        super().__init__(joined)
        self.stopped = False
        self.voice.has_ended = lambda: self.stopped

    def read(self) -> None:
        """All that has come was taken in."""


def test_a_source_on_another_host_is_heard_out_first() -> None:
    console, heard = joined()
    source, destination = FarSpeaker(console), FarSpeaker(console)
    console.begin(source.voice)
    source.voice.take(b"one ")
    console.expect(destination.voice)
    destination.voice.take(b"three ")
    console.on_silence()
    destination.voice.take(b"four ")
    assert heard == b"one "
    source.voice.take(b"two ")
    source.stopped = True
    console.on_silence()
    destination.voice.take(b"five")
    assert heard == b"one two three four five"
    assert console.strays == 0


def test_what_a_destination_printed_whose_hop_failed_is_told_apart() -> None:
    console, heard = joined()
    source, destination = FarSpeaker(console), FarSpeaker(console)
    console.begin(source.voice)
    console.expect(destination.voice)
    destination.voice.take(b"both")
    console.keep(source.voice)
    source.stopped = True
    console.on_silence()
    source.voice.take(b"one")
    assert (bytes(heard), bytes(console.stray), console.strays) == (b"one", b"both", 4)
