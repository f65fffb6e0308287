"""-k expressions."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.errors import UsageError
from matrix.model import Accelerator, Architecture, Case
from matrix.scenario.expand import SuiteTests, expand
from matrix.scenario.scenario import Scenario
from matrix.scenario.selection import parse, select
from tests import make

Condition = Callable[[Case], bool]

MATRIX = "{arch: [aarch64, i386], accel: [tcg, kvm], smp: [4, 40], memory: [1GiB]}"


@pytest.fixture
def cases(
    load_matrix: Callable[..., Scenario], suite: Callable[[Architecture], SuiteTests]
) -> list[Case]:
    return expand(load_matrix(MATRIX), suite)


def is_test(*names: str) -> Condition:
    return lambda case: case.test.name in names


def is_kvm(case: Case) -> bool:
    return case.variant.accel is Accelerator.KVM


def is_arm(case: Case) -> bool:
    return case.variant.arch is Architecture.AARCH64


@pytest.mark.parametrize(
    ("expression", "condition"),
    [
        ("aarch64", is_arm),
        ("AARCH64", is_arm),
        ("arm64", is_arm),
        ("arch=arm64", is_arm),
        ("boot.aarch64.tcg", lambda c: "boot.aarch64.tcg" in c.id),
        ("smp=4", lambda c: c.variant.smp == 4),
        ("smp=40", lambda c: c.variant.smp == 40),
        ("accel=kvm", is_kvm),
        ("not tcg", is_kvm),
        ("not not kvm", is_kvm),
        ("aarch64 and not boot", lambda c: is_arm(c) and c.test.name != "boot"),
        (
            "boot or hang and kvm",
            lambda c: is_test("boot")(c) or (is_test("hang")(c) and is_kvm(c)),
        ),
        ("(boot or hang) and kvm", lambda c: is_test("boot", "hang")(c) and is_kvm(c)),
        ("not(boot or hang)and(kvm)", lambda c: not is_test("boot", "hang")(c) and is_kvm(c)),
        ("  boot  ", is_test("boot")),
        ("b?ot", is_test("boot")),
        ("bo*.tcg", lambda c: c.test.name == "boot" and not is_kvm(c)),
        ("AARCH*m[p]=40", lambda c: is_arm(c) and c.variant.smp == 40),
        ("android or boot", is_test("boot")),
    ],
)
def test_expressions(cases: list[Case], expression: str, condition: Condition) -> None:
    chosen = [case for case in cases if condition(case)]
    assert 0 < len(chosen) < len(cases)
    assert select(cases, expression) == chosen


def test_a_word_is_a_part_of_the_id(cases: list[Case]) -> None:
    assert select(cases, ".smp=4") == cases  # 40 begins with 4


def test_axes_that_ids_leave_out(cases: list[Case]) -> None:
    assert select(cases, "qemu=system and memory=1024MiB") == cases
    assert select(cases, "cpu=max") == []


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "-k: column 1: the end; expected a word, 'not' or '('"),
        ("   ", "-k: column 4: the end; expected a word, 'not' or '('"),
        ("a and", "-k: column 6: the end; expected a word, 'not' or '('"),
        ("a b", "-k: column 3: 'b'; expected 'and', 'or' or the end"),
        ("a not b", "-k: column 3: 'not'; expected 'and', 'or' or the end"),
        ("or a", "-k: column 1: 'or'; expected a word, 'not' or '('"),
        ("(a or b", "-k: column 8: the end; expected ')', 'and' or 'or'"),
        ("a)", "-k: column 2: ')'; expected 'and', 'or' or the end"),
        ("()", "-k: column 2: ')'; expected a word, 'not' or '('"),
        ("a and smp=x", "-k: column 7: smp: 'x' is not a number of vCPUs; allowed: 1 to 4096"),
        ("(" * 60, "-k: column 51: '('; expected at most 50 levels"),
        ("a" * 2001, "-k: the expression is longer than 2000 characters"),
    ],
)
def test_what_is_refused(expression: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(expression)
    assert str(caught.value) == message


@given(st.lists(st.sampled_from(["and", "or", "not", "(", ")", "boot", "i386", "smp=4", "é"])))
def test_any_expression_is_python_s_or_refused(words: list[str]) -> None:
    """The words are truth values to Python, whose grammar of these operators is the same."""
    names = {"boot": True, "i386": False, "smp=4": True, "é": False}
    source = " ".join(str(names.get(word, word)) for word in words)
    try:
        value = eval(compile(source, "-k", "eval"), {})
    except (SyntaxError, TypeError):  # TypeError: True(…) is a call
        with pytest.raises(UsageError):
            parse(" ".join(words))
        return
    if value not in (True, False):  # () is a tuple
        return
    case = make.case("boot", Architecture.ARM, case_id="s.boot.arm", smp=4)
    assert parse(" ".join(words))(case) is value
