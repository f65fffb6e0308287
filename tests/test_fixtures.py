"""Fixtures say what they are: a test that misuses one is mypy's to find."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent


def any_of(path: Path) -> list[str]:
    """Fixtures of a file in whose signature there is Any."""
    tree = ast.parse(path.read_text())
    aliases = {
        ast.unparse(node.targets[0])
        for node in tree.body
        if isinstance(node, ast.Assign) and "Any" in ast.unparse(node.value).split()
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not any("pytest.fixture" in ast.unparse(each) for each in node.decorator_list):
            continue
        parts = [each.annotation for each in node.args.args] + [node.returns]
        names = {
            name.id
            for part in parts
            if part
            for name in ast.walk(part)
            if isinstance(name, ast.Name)
        }
        if names & {"Any", *aliases}:
            found.append(f"{path.relative_to(ROOT)}: {node.name}")
    return found


def test_no_fixture_takes_or_gives_any() -> None:
    assert [each for path in sorted(ROOT.rglob("*.py")) for each in any_of(path)] == []
