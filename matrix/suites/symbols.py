"""Addresses in the stack traces that guests print, for whoever can resolve them (addr2line)."""

import re
from collections.abc import Iterable

_STACK = re.compile(r"\s*STACK:((?: @?[0-9a-fA-F]{1,16})+)\s*")


def stack_addresses(notes: Iterable[str]) -> tuple[tuple[int, ...], ...]:
    """The call chains in a transcript's notes, innermost first, as addresses to look up.

    kvm-unit-tests prints ``STACK: @addr addr …`` (lib/stack.c): an address behind ``@`` is that of
    the instruction itself; others are return addresses, and the call is before them.
    """
    chains: list[tuple[int, ...]] = []
    for note in notes:
        match = _STACK.fullmatch(note)
        if match is not None:
            chains.append(tuple(_call_address(word) for word in match[1].split()))
    return tuple(chains)


def _call_address(word: str) -> int:
    if word.startswith("@"):
        return int(word[1:], 16)
    return max(int(word, 16) - 1, 0)
