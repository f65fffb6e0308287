"""No function of the program is over 50 lines, and no module over 450."""

import ast
from pathlib import Path

import matrix

PACKAGE = Path(matrix.__file__).parent
FUNCTION, MODULE = 50, 450


def test_functions_and_modules_are_short() -> None:
    long = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if text.count("\n") > MODULE:
            long.append(f"{path}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > FUNCTION:
                long.append(f"{path}:{node.lineno}: {node.name} has {lines} lines")
    assert long == []
