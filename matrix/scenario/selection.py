"""Choosing cases by an expression, as pytest's ``-k``: ``aarch64 and not (timer or smp=4)``.

A word is part of a case's id, in any case of letters; in a word with ``*``, ``?`` or ``[…]`` these
stand for what they do in file names (``vmx_*.kvm``). ``AXIS=VALUE`` is an axis of exactly that
value (``smp=4`` is not ``smp=40``), and an alias of an architecture (``arm64``) is that as well.
``not`` binds tighter than ``and``, ``and`` tighter than ``or``.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate

from matrix.errors import UsageError
from matrix.model import ARCHITECTURE_ALIASES, Case
from matrix.scenario.axes import AXES
from matrix.scenario.wording import Refused, quoted

_MAX_LENGTH = 2000
_MAX_DEPTH = 50
_TOKEN = re.compile(r"\s*(?P<text>[()]|[^\s()]+)")
_WILDCARD = re.compile(r"[*?\[]")
_OPERATORS = frozenset({"and", "or", "not", "(", ")"})

Matcher = Callable[[Case], bool]


def select(cases: Iterable[Case], expression: str) -> list[Case]:
    """Those of ``cases`` that ``expression`` is true of, in order.

    Raises:
        UsageError: the expression is not valid; names the column.
    """
    matches = parse(expression)
    return [case for case in cases if matches(case)]


def parse(expression: str) -> Matcher:
    """``expression`` as a function of a case.

    Raises:
        UsageError: it is not valid; names the column.
    """
    if len(expression) > _MAX_LENGTH:
        raise UsageError(f"-k: the expression is longer than {_MAX_LENGTH} characters")
    return _Parser(expression).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    """Empty at the end."""
    column: int


def _tokens(expression: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(expression):
        yield _Token(match["text"], match.start("text") + 1)
    yield _Token("", len(expression) + 1)


class _Parser:
    """Recursive descent, one method for each level of the grammar."""

    def __init__(self, expression: str) -> None:
        self._tokens = _tokens(expression)
        self._next = next(self._tokens)
        self._depth = 0

    def whole(self) -> Matcher:
        """Everything up to the end."""
        matches = self._alternatives()
        if self._next.text:
            raise self._error("'and', 'or' or the end")
        return matches

    def _alternatives(self) -> Matcher:
        parts = [self._conjunction()]
        while self._took("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else _any_of(parts)

    def _conjunction(self) -> Matcher:
        parts = [self._factor()]
        while self._took("and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else _all_of(parts)

    def _factor(self) -> Matcher:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error(f"at most {_MAX_DEPTH} levels")
        if self._took("not"):
            matches = _negated(self._factor())
        elif self._took("("):
            matches = self._alternatives()
            if not self._took(")"):
                raise self._error("')', 'and' or 'or'")
        elif self._next.text and self._next.text not in _OPERATORS:
            matches = self._word()
        else:
            raise self._error("a word, 'not' or '('")
        self._depth -= 1
        return matches

    def _word(self) -> Matcher:
        token = self._advance()
        name, equals, value = token.text.partition("=")
        if not (equals and name in AXES):
            return _matches_id(token.text)
        try:
            return _has_value(name, AXES[name].parse(value))
        except Refused as refused:
            raise UsageError(f"-k: column {token.column}: {name}: {refused}") from None

    def _took(self, text: str) -> bool:
        if self._next.text != text:
            return False
        self._advance()
        return True

    def _advance(self) -> _Token:
        token = self._next
        self._next = next(self._tokens)
        return token

    def _error(self, expected: str) -> UsageError:
        found = quoted(self._next.text) if self._next.text else "the end"
        return UsageError(f"-k: column {self._next.column}: {found}; expected {expected}")


def _any_of(parts: list[Matcher]) -> Matcher:
    return lambda case: any(part(case) for part in parts)


def _all_of(parts: list[Matcher]) -> Matcher:
    return lambda case: all(part(case) for part in parts)


def _negated(part: Matcher) -> Matcher:
    return lambda case: not part(case)


def _has_value(axis: str, value: object) -> Matcher:
    return lambda case: getattr(case.variant, axis) == value


def _matches_id(word: str) -> Matcher:
    folded = word.casefold()
    if _WILDCARD.search(folded):
        part = re.compile(translate(f"*{folded}*"))
        return lambda case: part.match(case.id.casefold()) is not None
    arch = ARCHITECTURE_ALIASES.get(folded)
    return lambda case: folded in case.id.casefold() or case.variant.arch is arch
