"""What is said while the inventory is taken."""

import asyncio

import pytest

from matrix.cli import steps
from matrix.cli.steps import Steps


def test_what_is_over_soon_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        told = Steps()
        told("asking one")
        told("asking two")
        await asyncio.sleep(0)

    asyncio.run(work())
    assert capsys.readouterr() == ("", "")


def test_what_takes_long_is_told_step_by_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "AFTER", 0.01)

    async def work() -> None:
        told = Steps()
        told("asking one")
        told("asking two")
        await asyncio.sleep(0.1)
        told("asking three")

    asyncio.run(work())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "matrix: asking two; what is found is kept for the next time",
        "matrix: asking three",
    ]
