"""The examples in docs/pytest.md work as they stand there."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs/pytest.md"
EXAMPLE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```", re.DOTALL)


def examples() -> dict[str, str]:
    return dict(EXAMPLE.findall(PAGE.read_text()))


def test_there_are_examples_and_one_takes_five_lines() -> None:
    found = examples()
    assert set(found) == {"test_boot.py", "test_migration.py"}
    assert len(found["test_boot.py"].splitlines()) <= 5


@pytest.mark.qemu
def test_an_example_passes_without_a_warning(pytester: pytest.Pytester) -> None:
    """The one that migrates takes longer; tests/docs/test_commands.py runs both."""
    (pytester.path / "test_boot.py").write_text(examples()["test_boot.py"])
    arguments: list[Any] = ["-p", "matrix.pytest_plugin.plugin", "-W", "error", "test_boot.py"]
    pytester.runpytest_subprocess(*arguments, timeout=500).assert_outcomes(passed=1)


def test_the_options_are_all_there() -> None:
    from matrix.pytest_plugin import plugin

    text = PAGE.read_text()
    source = Path(str(plugin.__file__)).read_text()
    options = set(re.findall(r'"(--matrix-[a-z]+)"', source))
    assert options
    assert {option for option in options if f"`{option} " not in text} == set()
