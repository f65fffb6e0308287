"""The hops of an attempt, thinned out without losing an extreme."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.migrating import Hop
from matrix.migration import folding
from matrix.report import hop_table as module
from matrix.report.hop_table import (
    EXTREMES,
    HopTable,
    read_hops,
    telling_rows,
    thinned,
    whole_hops,
)


@pytest.fixture
def table(write_hops: Callable[..., Path]) -> HopTable:
    found = read_hops(write_hops(3000, bad=[77, 2999]))
    assert found is not None
    return found


def test_every_hop_is_read(table: HopTable) -> None:
    assert len(table) == 3000
    assert list(table.hop_numbers[:3]) == [1, 2, 3]
    assert table.word("outcome", 76) == "lost"
    assert not table.good[76]
    assert table.unusable == 0


def test_few_hops_are_all_drawn(table: HopTable) -> None:
    assert thinned(table, 3000) == list(range(3000))


def test_many_are_thinned_and_no_extreme_is_lost(table: HopTable) -> None:
    rows = thinned(table, 300)
    assert len(rows) <= 320
    assert rows == sorted(set(rows))
    assert {0, 76, 2998, 2999} <= set(rows)
    for name in EXTREMES:
        column = table.numbers[name]
        assert max(column) == max(column[row] for row in rows)


def test_time_lines_are_kept_of_the_bad_and_the_worst(table: HopTable, tmp_path: Path) -> None:
    rows = telling_rows(table)
    assert {0, 76, 2998} <= set(rows)
    worst = max(range(3000), key=table.numbers["blackout"].__getitem__)
    assert worst in rows
    found = dict(whole_hops(tmp_path / "hops.jsonl", table, rows))
    assert [found[row].number for row in rows] == [row + 1 for row in rows]
    assert found[76].samples


def test_what_nobody_said_is_no_number(write_hops: Callable[..., Path]) -> None:
    path = write_hops(1)
    line = path.read_text().replace('"blackout":', '"was":')
    path.write_text(line)
    table = read_hops(path)
    assert table is not None
    assert math.isnan(table.numbers["blackout"][0])


def test_lines_that_are_no_hop_are_counted(write_hops: Callable[..., Path]) -> None:
    path = write_hops(3)
    whole = path.read_bytes()
    path.write_bytes(b"{}\nnonsense\n\xff\n" + whole + whole[:100])
    table = read_hops(path)
    assert table is not None
    assert (len(table), table.unusable) == (3, 4)
    assert [hop.number for _, hop in whole_hops(path, table, [0, 1, 2])] == [1, 2, 3]


@pytest.mark.parametrize("name", ["seconds", "blackout", "at"])
def test_an_infinite_number_is_in_no_hop(write_hops: Callable[..., Path], name: str) -> None:
    """Nor in its samples: JSON has none, but 1e999 is read as one."""
    path = write_hops(3)
    path.write_text(re.sub(rf'"{name}": ?[\d.]+', f'"{name}":1e999', path.read_text(), count=1))
    table = read_hops(path)
    assert table is not None
    assert (list(table.hop_numbers), table.unusable) == ([2, 3], 1)


def test_a_line_without_end_is_passed_over(
    write_hops: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "LONGEST_LINE", 20_000)
    path = write_hops(2)
    path.write_bytes(b"x" * 70_000 + b"\n" + path.read_bytes())
    table = read_hops(path)
    assert table is not None
    assert (len(table), table.unusable) == (2, 1)


def test_a_file_that_is_too_large_is_said_to_be_cut(
    write_hops: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_hops(50)
    monkeypatch.setattr(module, "LARGEST_FILE", path.stat().st_size // 2)
    table = read_hops(path)
    assert table is not None
    assert not table.complete
    assert 0 < len(table) < 50


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b"no hop\n"])
def test_no_hops(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "hops.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert read_hops(path) is None


def test_a_file_that_changed_meanwhile_gives_none(write_hops: Callable[..., Path]) -> None:
    path = write_hops(3)
    table = read_hops(path)
    assert table is not None
    path.write_text("gone\n")
    assert list(whole_hops(path, table, [0, 2])) == []


def test_the_tables_name_fields_of_a_hop() -> None:
    assert set(module.QUANTITIES) | set(module.WORDS) <= set(Hop.__slots__)
