from matrix.suites.symbols import stack_addresses


def test_return_addresses_are_looked_up_before_them() -> None:
    notes = ("Unhandled exception 6", "STACK: @aaaaaaaaaaaaaaaa 4001ad", "\tSTACK: 401fb1 0")
    assert stack_addresses(notes) == ((0xAAAAAAAAAAAAAAAA, 0x4001AC), (0x401FB0, 0))


def test_what_is_no_trace() -> None:
    assert stack_addresses(("STACK:", "STACK: xyz", "a STACK: 1", "STACK: " + "f" * 40)) == ()
