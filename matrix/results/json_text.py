"""JSON as every file of a run holds it: standard and UTF-8, whatever text is to go into it."""

import json
import re
from typing import Literal

from pydantic_core import (
    PydanticSerializationError,
    ValidationError,
    to_json,
    to_jsonable_python,
)

from matrix.results.printable import printable


class Unusable(ValueError):
    """A document that is not what it must be; the message is for the one who reads files."""


_SURROGATE = re.compile("[\ud800-\udfff]")


def json_bytes(
    value: object,
    *,
    indent: int | None = None,
    nonfinite: Literal["strings", "null"] = "strings",
) -> bytes:
    r"""Plain data, dataclasses and enums as JSON, without a line break at the end.

    Bytes of a path that are no UTF-8 (surrogate escapes, PEP 383) cannot stand in JSON: they are
    spelt ``\xff``. What must come back exactly must be UTF-8.

    Args:
        value: what to write.
        indent: spaces per level; None for one line.
        nonfinite: what becomes of infinities and NaN, which JSON does not have: ``strings``
            where this program reads them back, ``null`` where others read.
    """
    try:
        return to_json(value, indent=indent, inf_nan_mode=nonfinite)
    except PydanticSerializationError:
        plain = to_jsonable_python(value, inf_nan_mode=nonfinite)
    text = json.dumps(plain, indent=indent, ensure_ascii=False)
    return _SURROGATE.sub(_spelt, text).encode()


def first_complaint(error: ValidationError, *within: str | int) -> str:
    """The first of pydantic's complaints in one line: where (in ``within``) and what, without the
    value."""
    complaint = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in (*within, *complaint["loc"]))
    return printable(f"{place}: {complaint['msg']}" if place else complaint["msg"])


def _spelt(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\\\x{code - 0xDC00:02x}"
    return f"\\\\u{code:04x}"
