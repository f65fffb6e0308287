"""Filling ``${VARIABLE}`` into the paths of a scenario, and checking what is left for later."""

import re
from collections.abc import Iterator, Mapping

from matrix.scenario.wording import Refused, nearest, quoted

_MARKUP = re.compile(
    r"\$\{(?P<variable>[^{}]*)(?P<variable_end>\}?)"
    r"|\{(?P<placeholder>[^{}]*)(?P<placeholder_end>\}?)"
)
_VARIABLE_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def fill(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with every ``${NAME}`` replaced; ``{arch}`` is left as it is.

    Only call it where :func:`refusals` has none.
    """
    return _MARKUP.sub(
        lambda match: match[0] if match["variable"] is None else variables[match["variable"]],
        text,
    )


def refusals(text: str, variables: Mapping[str, str]) -> Iterator[Refused]:
    """Everything in ``text`` that cannot be filled in."""
    for match in _MARKUP.finditer(text):
        if match["variable"] is None:
            if match["placeholder"] != "arch" or not match["placeholder_end"]:
                yield Refused(f"unknown placeholder {quoted(match[0])}", "allowed: {arch}")
        elif not match["variable_end"] or not _VARIABLE_NAME.fullmatch(match["variable"]):
            yield Refused(
                f"{quoted(match[0])} is not a variable", "as in ${HOME}: letters, digits and '_'"
            )
        else:
            refusal = _unset(match["variable"], variables)
            if refusal:
                yield refusal


def _unset(name: str, variables: Mapping[str, str]) -> Refused | None:
    if name not in variables:
        match = nearest(name, variables)
        hint = f"did you mean ${{{match}}}?" if match else "set it in the environment"
        return Refused(f"variable {quoted(name)} is not set", hint)
    if not variables[name]:
        return Refused(f"variable {quoted(name)} is empty", "give it a value")
    if not variables[name].isprintable():
        return Refused(f"variable {quoted(name)} has characters that do not print", "give a path")
    return None
