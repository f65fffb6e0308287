"""Filling ``${VARIABLE}`` into the paths of a scenario, and checking what is left for later."""

import re
from collections.abc import Iterator, Mapping

from matrix.scenario.wording import Refused, quoted

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


def path_refusals(text: str, variables: Mapping[str, str], outside: str) -> Iterator[Refused]:
    """Everything that is wrong with a path in a scenario's folder; ``outside`` is what to do
    about one that is not."""
    yield from refusals(text, variables)
    if text.startswith("~/"):
        yield Refused("'~' is not filled in", "write ${HOME}")
    if leaves_tree(text):
        yield Refused(f"{quoted(text)} leads outside the scenario's folder", outside)


def leaves_tree(text: str) -> bool:
    """Whether a path as it is written leads outside the scenario's folder.

    What a variable stands for is the user's, who sets the environment: a path may begin with one,
    wherever that leads, but not climb out of it.
    """
    if text.startswith("/"):
        return True
    depth = floor = 0
    for part in text.split("/"):
        if part not in ("", ".", ".."):
            depth += 1
            floor = depth if "${" in part else floor
        elif part == "..":
            depth -= 1
        if depth < floor:
            return True
    return False


def _unset(name: str, variables: Mapping[str, str]) -> Refused | None:
    if name not in variables:
        # A name that is like it is not told: what else is in the environment is nobody's business.
        return Refused(f"variable {quoted(name)} is not set", "set it in the environment")
    if not variables[name]:
        return Refused(f"variable {quoted(name)} is empty", "give it a value")
    if not variables[name].isprintable():
        return Refused(f"variable {quoted(name)} has characters that do not print", "give a path")
    return None
