"""No modules import each other in a circle, also in functions or for types; no two share a name."""

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import matrix

ROOT = Path(matrix.__file__).parent


def imported(path: Path) -> set[str]:
    """Whatever may be a module in the imports of a file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def test_no_modules_import_each_other() -> None:
    names = {
        ".".join(("matrix", *path.relative_to(ROOT).with_suffix("").parts)): path
        for path in ROOT.rglob("*.py")
        if path.name != "__init__.py"
    }
    graph = {name: imported(path) & names.keys() for name, path in names.items()}
    assert graph["matrix.cli.guests"] >= {"matrix.cli.arguments", "matrix.cli.run_command"}
    TopologicalSorter(graph).prepare()  # CycleError names the modules


def test_every_module_has_a_name_of_its_own() -> None:
    names = Counter(path.stem for path in ROOT.rglob("*.py") if not path.stem.startswith("__"))
    assert [name for name, count in names.items() if count > 1] == []
