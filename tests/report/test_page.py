"""The page as a file: self-contained, escaped, and with a policy that lets nothing else run."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from matrix.report.gather import gather
from matrix.report.modules import join_modules
from matrix.report.page import ENTRY, is_page, write_page
from matrix.verdicts import Subtest, SubtestVerdict
from tests import make
from tests.report.conftest import RunMaker

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&\u2028\u202e\x1b[31m"


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: Any) -> None:
        self.texts.setdefault(self.tags[-1][0] if self.tags else "", []).append(data)


@pytest.fixture
def page(recorded: RunMaker, tmp_path: Path) -> str:
    case = make.case(HOSTILE, scenario=HOSTILE, case_id=HOSTILE)
    attempt = make.attempt(
        "fail", HOSTILE, subtests=[Subtest(HOSTILE, SubtestVerdict.FAIL, HOSTILE)]
    )
    skip = make.skip(make.case("other"), HOSTILE)
    record = recorded(
        [(make.run(case), attempt, {"console.log": HOSTILE}), (skip, None, {})],
        hostname=HOSTILE,
        arguments=("run", HOSTILE),
    )
    path = tmp_path / "run/report.html"
    write_page(gather([record], path), path)
    return path.read_text()


def test_only_our_elements_are_in_it(page: str) -> None:
    parser = Elements()
    parser.feed(page)
    scripts = [attributes for tag, attributes in parser.tags if tag == "script"]
    assert [each.get("type") for each in scripts].count("module") == 1
    assert all(each.get("type") in ("module", "text/plain") for each in scripts)
    assert not any(tag in ("img", "link", "iframe", "object", "base") for tag, _ in parser.tags)
    for _, attributes in parser.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")


def test_the_policy_names_the_script_by_its_digest(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    script = page.partition('<script type="module">')[2].partition("</script>")[0]
    style = page.partition("<style>")[2].partition("</style>")[0]
    for text in (script, style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1].replace("&#39;", "'")
    assert "unsafe" not in policy[1]
    assert policy[1].startswith("default-src &#39;none&#39;")


def test_nothing_hostile_is_in_it_as_it_was(page: str) -> None:
    assert "<script>alert" not in page
    assert "<img" not in page
    for character in "\x1b\u202e\u2028":
        assert character not in page


def test_our_scripts_make_no_html_from_text() -> None:
    folder = Path("matrix/report/assets")
    folder = Path(__file__).parents[2] / folder
    names, text = join_modules(lambda name: (folder / name).read_text(), ENTRY)
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in text
    assert sorted(names) == sorted(each.name for each in folder.glob("*.js"))


def test_the_answer_needs_no_script(page: str) -> None:
    body = page.partition("<body>")[2].partition('<script type="text/plain"')[0]
    assert "1 of 1 case did not pass" in body
    assert "What broke" in body
    assert "State of KVM" in body


def test_a_page_of_ours_is_known_again(page: str, tmp_path: Path) -> None:
    assert is_page(tmp_path / "run/report.html")
    (tmp_path / "other.html").write_text("<!doctype html><title>mine</title>")
    assert not is_page(tmp_path / "other.html")
    assert not is_page(tmp_path / "missing.html")


def test_the_summary_has_a_heat_map_of_areas_and_architectures(
    recorded: RunMaker, tmp_path: Path
) -> None:
    record = recorded(
        [
            (make.run(make.case("timer-1", "x86_64")), make.attempt(), {}),
            (make.run(make.case("timer-2", "x86_64")), make.attempt("fail", "it"), {}),
            (make.skip(make.case("timer-3", "x86_64")), None, {}),
            (make.run(make.case("pmu", "s390x")), make.attempt(), {}),
        ]
    )
    path = tmp_path / "run/report.html"
    write_page(gather([record], path), path)
    text = path.read_text()
    table = text.partition('<table class="minis">')[2].partition("</table>")[0]
    cells = re.findall(r'title="(.*?)".*?<small>(.*?)</small>', table)
    assert cells == [
        ("1 of 1 passed", "pass"),
        ("1 of 2 passed, 1 fail, 1 skipped", "fail 1/2, 1 skip"),
    ]
    assert re.findall(r'width="([\d.]+)" height="10" class="f-(\w+)"', table) == [
        ("1000.0", "pass"),
        ("333.33", "fail"),
        ("333.33", "pass"),
        ("333.33", "skip"),
    ]
    alone = recorded([(make.run(), make.attempt(), {})], "alone")
    write_page(gather([alone], path), path)
    assert '<table class="minis">' not in path.read_text()
