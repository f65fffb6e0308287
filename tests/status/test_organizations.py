from datetime import UTC, datetime
from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.status.organizations import UNKNOWN, Organizations

THEN = datetime(2018, 1, 1, tzinfo=UTC).timestamp()
NOW = datetime(2024, 1, 1, tzinfo=UTC).timestamp()


def test_domains_stand_for_those_below_them() -> None:
    known = Organizations()
    assert known.of("ann@redhat.com", NOW) == "Red Hat"
    assert known.of("ann@linux.vnet.ibm.com", NOW) == "IBM"
    assert known.of("ann@gmail.com", NOW) == "(personal address)"
    assert known.of("ann@notredhat.com", NOW) == UNKNOWN
    assert known.of("ann@kernel.org", NOW) == UNKNOWN
    assert known.of("", NOW) == UNKNOWN


def test_a_file_of_the_user_goes_before_and_may_have_days(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text(
        "# ours\nAnn@kernel.org Old Firm < 2020-05-01\nann@kernel.org New Firm\nredhat.com Hats\n"
    )
    known = Organizations()
    known.read(path)
    assert known.of("ann@kernel.org", THEN) == "Old Firm"
    assert known.of("ann@kernel.org", NOW) == "New Firm"
    assert known.of("bob@redhat.com", NOW) == "Hats"


@pytest.mark.parametrize("line", ["alone", "a@b.c Firm < 2020-13-01"])
def test_a_line_that_is_none(line: str, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text(f"\n{line}\n")
    with pytest.raises(UsageError, match=r"more.txt:2: '.*' is no mapping; write ADDRESS"):
        Organizations().read(tmp_path / "more.txt")
