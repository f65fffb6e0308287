from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.suites.cfg import KEYS, Section, parse_sections


def sections(text: str) -> tuple[Section, ...]:
    parsed = parse_sections(text, "t.cfg")
    assert not parsed.problems
    assert not parsed.ignored
    return parsed.sections


def problems(text: str) -> list[str]:
    return [str(problem) for problem in parse_sections(text, "t.cfg").problems]


def ignored(text: str) -> list[str]:
    parsed = parse_sections(text, "t.cfg")
    assert not parsed.problems
    return [str(problem) for problem in parsed.ignored]


def values(text: str) -> dict[str, str]:
    (section,) = sections(f"[one]\n{text}")
    return {entry.key: entry.value for entry in section.entries}


def test_sections_in_order_with_places() -> None:
    first, second = sections("# c\n\n[one]\nfile = a.flat\n\n  [two-2] # c\n smp=2\r\n#[three]\n")
    assert (first.name, str(first.place)) == ("one", "t.cfg:3:1")
    assert [(e.key, e.value, str(e.place)) for e in first.entries] == [
        ("file", "a.flat", "t.cfg:4:8")
    ]
    assert (second.name, str(second.place)) == ("two-2", "t.cfg:6:3")
    assert [(e.key, e.value, str(e.place)) for e in second.entries] == [("smp", "2", "t.cfg:7:6")]


def test_values_keep_everything_behind_the_first_equals_sign() -> None:
    text = "check = /a=b /c=d\nqemu_params=-name x=y\nextra = 1"
    assert values(text.rpartition("\n")[0]) == {"check": "/a=b /c=d", "qemu_params": "-name x=y"}
    assert values("extra_params = -m 1g") == {"qemu_params": "-m 1g"}
    assert values("groups =\nsmp = 2") == {"groups": "", "smp": "2"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"""-a \\\n-b c \\\n-d\n"""', "-a -b c -d"),
        ('"""-a"""', "-a"),
        ('"""\n-a\n-b"""  ', "-a\n-b"),
        ('"""-a x\\\ny"""', "-a xy"),
        ('"""-a x\\\\\ny"""', "-a x\\\\\ny"),
        ('"""-a x\\\\\\\ny"""', "-a x\\\\y"),
        ('""""""', ""),
        ('"""\n# not a comment\n[not a section]\n"""', "# not a comment\n[not a section]"),
    ],
)
def test_several_lines(text: str, value: str) -> None:
    assert values(f"qemu_params = {text}\nsmp = 2") == {"qemu_params": value, "smp": "2"}
    assert values(f"kvmtool_params = {text}")["kvmtool_params"] == value


def test_quotes_of_other_keys_are_the_shells() -> None:
    assert values('test_args = """a"""') == {"test_args": '"""a"""'}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[one\n", "t.cfg:1:1: the section's name has no end; [name]"),
        (
            "[a b]\n",
            "t.cfg:1:1: 'a b' cannot be a test's name; a name has no blanks and no slashes",
        ),
        (
            "[../x]\n",
            "t.cfg:1:1: '../x' cannot be a test's name; a name has no blanks and no slashes",
        ),
        ("[]\n", "t.cfg:1:1: '' cannot be a test's name; a name has no blanks and no slashes"),
        (
            "[one]\nfile = a\n[one]\nfile = b\n",
            "t.cfg:3:1: test 'one' is already defined in line 1; every test has a name of its own",
        ),
        (
            '[one]\nqemu_params = """-a\n-b\n',
            't.cfg:2:15: the value that starts with """ has no end; close it: """',
        ),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    assert problems(text) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[one]\n  nonsense\n", "t.cfg:2:3: 'nonsense' is no setting; key = value, or [name]"),
        ("[one]\n = 2\n", "t.cfg:2:2: '= 2' is no setting; key = value, or [name]"),
        ("[one]\ngroup = x\n", "t.cfg:2:1: unknown key 'group'; did you mean 'groups'?"),
        ("[one]\nzzz = x\n", f"t.cfg:2:1: unknown key 'zzz'; one of {', '.join(KEYS)}"),
        (
            '[one]\nzzz = """x\n[two]\n"""\n',
            f"t.cfg:2:1: unknown key 'zzz'; one of {', '.join(KEYS)}",
        ),
        ("smp = 2\n[one]\n", "t.cfg:1:7: smp stands before any test; [name] comes first"),
    ],
)
def test_lines_that_are_ignored(text: str, message: str) -> None:
    """As kvm-unit-tests' runner ignores them, which says nothing of it."""
    assert ignored(text) == [message]
    assert [section.name for section in parse_sections(text, "t.cfg").sections] == ["one"]


def test_the_last_of_several_values_counts() -> None:
    """As it does to kvm-unit-tests' runner; its x86 tests had two ``check`` lines for years."""
    assert values("smp = 2\nextra_params = -a\nsmp = 3\nqemu_params = -b") == {
        "smp": "3",
        "qemu_params": "-b",
    }


def test_a_test_that_is_there_twice_to_the_letter_is_read_once() -> None:
    text = "[one]\nfile = a\nsmp = 2\n[two]\nfile = b\n[one]\n# again\nsmp=2\nfile=a\n"
    assert [section.name for section in sections(text)] == ["one", "two"]


def test_all_mistakes_at_once_and_none_twice() -> None:
    text = "[a b]\nsmp = 2\nbad\n[two]\nfiel = x\n[two]\nsmp = 2\n"
    parsed = parse_sections(text, "t.cfg")
    assert [problem.place.line for problem in parsed.problems] == [1, 6]
    assert [problem.place.line for problem in parsed.ignored] == [3, 5]


@given(st.text(alphabet='[]=#\\" \nabz"', max_size=80) | st.text(max_size=80))
def test_any_text_gives_sections_and_problems(text: str) -> None:
    parsed = parse_sections(text, "t.cfg")
    assert all(section.name for section in parsed.sections)
    places = [problem.place for problem in (*parsed.problems, *parsed.ignored)]
    assert all(place.line >= 1 and place.column >= 1 for place in places)


def test_real_configurations_have_no_mistakes(recordings: Path) -> None:
    count = 0
    for path in recordings.glob("*/*/unittests.cfg"):
        parsed = parse_sections(path.read_text(), str(path))
        assert not parsed.problems
        assert not parsed.ignored
        count += len(parsed.sections)
    assert count == 217
