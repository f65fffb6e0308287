"""Hosts are quarantined for what came of attempts there, and of the same cases elsewhere."""

import pytest

from matrix.plan.health import Health, QuarantineRules, difference
from matrix.verdicts import Verdict

PASS, FAIL, ERROR, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.SKIP
RULES = QuarantineRules(errors=3, failures=2)
Ended = tuple[str, str, Verdict]
"""Case, host or hosts, verdict."""


def quarantined(
    *ended: Ended, rules: QuarantineRules = RULES, hosts: str = "zab", blamed: str = ""
) -> list[str]:
    health = Health(rules, hosts)
    return [
        f"{host}: {why}"
        for case, on, verdict in ended
        for host, why in health.ended(
            case, f"s.{case}", tuple(on), verdict, "no space left", blamed=blamed
        )
    ]


def test_errors_in_a_row() -> None:
    row: list[Ended] = [("x", "z", ERROR), ("y", "z", ERROR), ("w", "a", PASS), ("v", "z", ERROR)]
    said = "z: quarantined: 3 errors in a row, the last one: no space left"
    assert quarantined(*row) == [said]
    assert quarantined(*row, ("u", "z", ERROR)) == [said]  # once
    assert quarantined(*row[:1], ("w", "z", PASS), *row[1:]) == []
    assert quarantined(*row[:1], ("w", "z", SKIP), *row[1:]) == []
    assert quarantined(*row[:1], rules=QuarantineRules(1, 1)) == [
        "z: quarantined: an error: no space left"
    ]


def test_cases_that_fail_there_and_pass_elsewhere() -> None:
    row: list[Ended] = [("x", "z", FAIL), ("x", "a", PASS), ("y", "b", PASS), ("y", "b", PASS)]
    assert quarantined(*row) == []
    assert quarantined(*row, ("y", "z", Verdict.TIMEOUT), ("x", "z", FAIL)) == [
        "z: quarantined: 2 cases fail on z (0/2), and pass elsewhere (3/3): s.x, s.y"
    ]
    assert quarantined(*row[:2], rules=QuarantineRules(1, 1)) == [
        "z: quarantined: a case fails on z (0/1), and passes elsewhere (1/1): s.x"
    ]


@pytest.mark.parametrize(
    "ended",
    [
        [("x", "z", FAIL), ("x", "z", PASS), ("x", "a", PASS)],  # sometimes
        [("x", "z", FAIL), ("x", "a", FAIL), ("x", "b", PASS)],  # on two
        [("x", "a", FAIL), ("x", "z", FAIL), ("x", "a", PASS)],  # elsewhere sometimes
        [("x", "z", FAIL), ("x", "a", ERROR), ("x", "b", SKIP)],  # nothing is known of elsewhere
        [("x", "z", FAIL)],
    ],
)
def test_what_says_nothing_of_a_host(ended: list[Ended]) -> None:
    assert quarantined(*ended, rules=QuarantineRules(2, 1)) == []


def test_a_case_that_passes_there_after_all_no_longer_counts() -> None:
    row: list[Ended] = [("x", "z", FAIL), ("x", "a", PASS), ("x", "z", PASS)]
    assert quarantined(*row, ("y", "z", FAIL), ("y", "a", PASS)) == []


def test_an_error_between_hosts_counts_for_the_one_that_is_blamed() -> None:
    row: list[Ended] = [("x", "az", ERROR), ("x", "za", ERROR), ("x", "bz", ERROR)]
    said = "z: quarantined: 3 errors in a row, the last one: no space left"
    assert quarantined(*row, blamed="z") == [said]
    assert quarantined(*row) == []
    assert quarantined(*row[:2], ("y", "zb", PASS), row[2], blamed="z") == []


@pytest.mark.parametrize(
    ("ways", "host"),
    [
        ("za- az- ab+", "z"),  # all ways over z, and no other
        ("zab- abc+", "z"),
        ("ab+ bz+ za-", ""),  # z takes in guests of b
        ("za- bc+", ""),  # z or a
        ("za- ab-", ""),  # nothing passes
        ("za- za+ ab+", ""),  # sometimes
    ],
)
def test_of_the_hosts_of_a_way_the_one_is_to_blame_that_all_that_fail_share(
    ways: str, host: str
) -> None:
    row = [("x", each[:-1], PASS if each[-1] == "+" else FAIL) for each in ways.split()]
    said = quarantined(*row, rules=QuarantineRules(1, 1), hosts="zabc")
    assert [each.partition(":")[0] for each in said] == [*host]


def test_the_last_host_is_never_quarantined() -> None:
    row: list[Ended] = [("x", host, ERROR) for host in "zzzaaa"]
    assert [each[0] for each in quarantined(*row, hosts="za")] == ["z"]


@pytest.mark.parametrize(
    ("attempts", "said"),
    [
        ("z- z- z- a+ b+ b+", "fails on z (0/3), passes elsewhere (3/3)"),
        ("z- b- a+", "fails on z (0/1) and b (0/1), passes elsewhere (1/1)"),
        ("z- z+ a+", ""),
        ("z- a-", ""),
        ("z+ a+", ""),
        ("z- a+ a-", ""),
        ("z! a+", ""),
        ("za- za- za- ab+ ba+", "fails on z→a (0/3), passes elsewhere (2/2)"),
        ("", ""),
    ],
)
def test_how_hosts_differ_in_a_case(attempts: str, said: str) -> None:
    verdicts = {"+": PASS, "-": FAIL, "!": ERROR}
    assert difference((tuple(each[:-1]), verdicts[each[-1]]) for each in attempts.split()) == said
