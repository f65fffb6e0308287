"""The few expansions that tests' values hold, without a shell: for texts that are not executed.

All of kvm-unit-tests' ``unittests.cfg`` from v2022-03-08 to v2026-04-17 have no others: variables,
arithmetic over them, the seconds that date(1) prints, and comparisons of a variable with a word.
"""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from matrix.suites.shell_words import needs_shell, split_words

_EXPANSION = re.compile(
    r"""
    \$\(\((?P<arithmetic>[^`'"]{0,200}?)\)\)
  | \$(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*) | \{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\})
  | (?P<now>`date[ ]\+%s` | \$\(date[ ]\+%s\))
  | \$\(date[ ]--date="(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[ ]UTC"[ ]\+%s\)
    """,
    re.VERBOSE,
)
_CONDITION = re.compile(
    r"""\[\[?\s+"?\$\{?(?P<name>\w+)\}?"?\s+(?P<operator>==?|!=)\s+"?(?P<word>[\w.-]*)"?\s+\]?\]"""
)
_TOKEN = re.compile(r"\s*(?:([0-9]+)|\$?([A-Za-z_]\w*)|(<=|>=|==|!=|[-+*/%<>?:()]))")
_PRECEDENCE = (("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"))
_PLAIN = re.compile(r"[\w.,=+/:-]*")


class UnexpandedError(ValueError):
    """The text holds more than this module knows; it says what."""


def expand_words(text: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The words of ``text``, as a shell would have them.

    Raises:
        UnexpandedError: it takes a shell.
        WordsError: its quoting is not closed.
    """
    if not needs_shell(text):
        return split_words(text)
    if "'" in text or "\\" in text:  # what they keep from being expanded is not told apart
        raise UnexpandedError(_takes_a_shell(text))
    expanded = _EXPANSION.sub(lambda match: _value(match, variables), text)
    if needs_shell(expanded):
        raise UnexpandedError(_takes_a_shell(text))
    return split_words(expanded)


def is_true(text: str, variables: Mapping[str, str]) -> bool:
    """Whether a condition holds: ``[[ "$NAME" != WORD ]]`` and the like.

    Raises:
        UnexpandedError: it takes a shell.
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise UnexpandedError(_takes_a_shell(text))
    same = variables.get(match["name"], "") == match["word"]
    return same is (match["operator"] != "!=")


def _takes_a_shell(text: str) -> str:
    text = text if len(text) <= 60 else f"{text[:60]}…"
    return f"{text!r} takes a shell, and standalone tests are not executed"


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if (formula := match["arithmetic"]) is not None:
        return str(_Arithmetic(formula, variables).value())
    if match["now"]:
        return str(int(time.time()))
    if match["date"]:
        return str(int(datetime.fromisoformat(match["date"]).replace(tzinfo=UTC).timestamp()))
    value = variables.get(match["name"] or match["braced"], "")
    if not _PLAIN.fullmatch(value):
        raise UnexpandedError(f"{value!r} takes a shell")
    return value


class _Arithmetic:
    """``(($A < 8)?$A:8)``: whole numbers, names, the operators of C that need no sign."""

    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self._text = text
        self._variables = variables
        self._tokens = [match.groups() for match in _TOKEN.finditer(text)]
        if _TOKEN.sub("", text).strip():
            raise UnexpandedError(_takes_a_shell(text))

    def value(self) -> int:
        """What it comes to."""
        result = self._choice()
        if self._tokens:
            raise UnexpandedError(_takes_a_shell(self._text))
        return result

    def _take(self, *operators: str) -> str:
        """The next token if it is one of these operators, else empty."""
        if self._tokens and self._tokens[0][2] in operators:
            return self._tokens.pop(0)[2] or ""
        return ""

    def _choice(self) -> int:
        condition = self._level(0)
        if not self._take("?"):
            return condition
        first = self._choice()
        if not self._take(":"):
            raise UnexpandedError(_takes_a_shell(self._text))
        second = self._choice()
        return first if condition else second

    def _level(self, level: int) -> int:
        if level == len(_PRECEDENCE):
            return self._operand()
        left = self._level(level + 1)
        while operator := self._take(*_PRECEDENCE[level]):
            left = self._apply(operator, left, self._level(level + 1))
        return left

    def _operand(self) -> int:
        if self._take("("):
            inner = self._choice()
            if self._take(")"):
                return inner
        elif self._tokens and not self._tokens[0][2]:
            number, name, _ = self._tokens.pop(0)
            text = number or self._variables.get(name or "", "") or "0"
            if text.isdecimal() and len(text) < 12:
                return int(text)
        raise UnexpandedError(_takes_a_shell(self._text))

    def _apply(self, operator: str, left: int, right: int) -> int:
        if operator in "/%" and not right:
            raise UnexpandedError(f"{self._text!r} divides by zero")
        return {
            "==": lambda: int(left == right),
            "!=": lambda: int(left != right),
            "<": lambda: int(left < right),
            "<=": lambda: int(left <= right),
            ">": lambda: int(left > right),
            ">=": lambda: int(left >= right),
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
            "/": lambda: int(left / right),
            "%": lambda: left - right * int(left / right),
        }[operator]()
