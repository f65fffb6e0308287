"""Whoever silences a check, catches everything or goes on after an error says why beside it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SILENT = re.compile(
    r"#\s*noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?$"
    r"|#\s*type:\s*ignore(?:\[[\w, -]+\])?$"
    r"|#\s*pragma: no \w+$"
    r"|except (?:Base)?Exception\b[^#]*:$"
    r"|except:$"
    r"|with [^#]*\bsuppress\([^#]*:$"
)
SWALLOWED = re.compile(r"^ *except\b[^#\n]*:\n *(?:pass|continue)$", re.MULTILINE)


def silent(text: str) -> list[int]:
    """The lines that give no reason."""
    found = {n for n, line in enumerate(text.splitlines(), 1) if SILENT.search(line.rstrip())}
    found |= {text.count("\n", 0, match.start()) + 1 for match in SWALLOWED.finditer(text)}
    return sorted(found)


def test_what_is_without_a_reason_is_found() -> None:
    lines = ["x = 1  # noqa: " + "S101", "y  # type: " + "ignore[misc]", "except " + "Exception:"]
    lines.append("with " + "contextlib.suppress(OSError):")
    assert silent("\n".join(lines)) == [1, 2, 3, 4]
    swallowed = "try:\n    x()\nexcept OSError:\n    pass"
    assert silent(swallowed) == [3]
    assert silent(f"{swallowed}  # for a reason") == []
    assert silent("\n".join(f"{line}  # for a reason" for line in lines)) == []


def test_every_suppression_has_its_reason() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("matrix", "tests", "benchmarks", "docs")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number in silent(path.read_text())
    ]
    assert found == []
