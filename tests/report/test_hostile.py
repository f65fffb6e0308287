"""What guests, QEMU and strangers write is shown in Chromium, and nothing of it executes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix.migrating import MigrationSummary
from matrix.report.write import write_run_report
from matrix.results.run_record import load_run
from matrix.verdicts import Subtest, SubtestVerdict
from tests import make
from tests.report.conftest import Reader, RunMaker

HOSTILE = (
    "</script><script>globalThis.pwned = 1</script>"
    "<img src=x onerror='globalThis.pwned = 2'><svg onload='globalThis.pwned = 3'>"
    "\"'`&lt;b&gt; {{ 7 * 7 }} ${globalThis.pwned = 4} javascript:globalThis.pwned=5"
    " ]]> --> \u2028\u2029\u202e\u0085\x00\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m"
)

PLACES = ("", "#matrix", "#cases", "#measurements", "#kvm", "#migration")


@pytest.fixture
def report(recorded: RunMaker, write_hops: Callable[..., Path], summary: MigrationSummary) -> Path:
    hops = [json.loads(line) for line in write_hops(20, bad=[3]).read_text().splitlines()]
    for hop in hops:
        hop |= {"source": HOSTILE, "destination": HOSTILE, "machine": HOSTILE, "reason": HOSTILE}
        for event in hop["events"]:
            event |= {"side": HOSTILE, "what": "STOP " + HOSTILE}
        for sample in hop["samples"]:
            sample["status"] = HOSTILE
    attempt = make.attempt(
        "fail",
        HOSTILE,
        subtests=[
            Subtest(HOSTILE, SubtestVerdict.FAIL, HOSTILE),
            Subtest(HOSTILE, SubtestVerdict.PASS),
        ],
        metrics=(
            (HOSTILE, 1.0, HOSTILE),
            (f"{HOSTILE}: min", 1.0, "ns"),
            (f"{HOSTILE}: max", 9.0, "ns"),
        ),
        migration=summary,
    )
    plain = HOSTILE.encode()
    files = {
        "console.log": plain + b"\nINFO: " + plain[:40] + b": histogram: 3 below 8 ns\n",
        "qemu.log": plain + b"\xff\xfe",
        "command.sh": plain,
        "diagnosis/<b>.txt": plain,
        "hops.jsonl": "".join(json.dumps(hop) + "\n" for hop in hops).encode(),
    }
    case = make.case(
        make.test(HOSTILE, groups=(HOSTILE,)),
        scenario=HOSTILE,
        case_id=HOSTILE,
        qemu=HOSTILE,
        machine=HOSTILE,
        cpu=HOSTILE,
    )
    skip = make.skip(make.case("other", case_id="javascript:globalThis.pwned=6"), HOSTILE)
    name = "<img src=x onerror=globalThis.pwned=7> javascript:x"
    record = recorded(
        [(make.run(case), attempt, files), (skip, None, {})],
        name,
        hostname=HOSTILE,
        started=HOSTILE,
        arguments=("run", HOSTILE),
    )
    return write_run_report(load_run(record.run.path))


def test_nothing_executes(reader: Reader, report: Path) -> None:
    page = reader.open(report)
    requests = list(reader.requests)
    for place in PLACES[1:]:
        page = reader.go(place)
        assert page.evaluate("globalThis.pwned") is None
        assert page.locator("main img, main iframe, main script, main b b").count() == 0
    page = reader.go("#cases")
    page.locator(".vrow").first.click()
    page.wait_for_selector("#case pre")
    text = page.locator("#case").inner_text()
    assert "<script>globalThis.pwned = 1</script>" in text
    assert "\\u2028\\u2029\\u202e\\x85\\x00" in text
    assert page.locator("#case script, #case img, #case svg").count() == 0
    search = page.get_by_label("Search Console")
    search.fill("<script>")
    assert set(page.locator("#case mark").all_inner_texts()) == {"<script>"}
    assert page.evaluate("globalThis.pwned") is None
    assert "globalThis.pwned" not in page.title() or "<script>" in page.title()
    assert reader.problems == []
    assert [each for each in reader.requests if each not in requests] == []


def test_links_lead_to_the_page_or_into_the_run(reader: Reader, report: Path) -> None:
    for place in (*PLACES, "#cases?v=bad"):
        page = reader.open(report) if place == "" else reader.go(place)
        for href in page.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))"):
            assert href.startswith("#")
    page.locator(".vrow").first.click()
    page.wait_for_selector("#case pre")
    files = page.eval_on_selector_all("a.file", "all => all.map(a => a.getAttribute('href'))")
    assert files
    assert all(href.startswith("./cases/") and ".." not in href for href in files)


@pytest.mark.parametrize(
    "deed",
    [
        "document.body.innerHTML = '<img src=x>'",
        "document.body.insertAdjacentHTML('beforeend', '<p>x</p>')",
        "document.write('x')",
        "eval('1')",
        "new Function('return 1')()",
    ],
)
def test_the_policy_forbids_what_we_do_not_do(reader: Reader, report: Path, deed: Any) -> None:
    page = reader.open(report)
    refused = page.evaluate(
        """deed => {
          const script = document.createElement("script");
          try { script.textContent = deed; document.body.append(script); } catch { return true; }
          return false;
        }""",
        deed,
    )
    assert refused
    answer = page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    assert answer == "refused"


def test_a_hash_that_a_stranger_made_does_no_harm(reader: Reader, report: Path) -> None:
    for place in (
        "#case=0/<img src=x onerror=alert(1)>",
        "#case=%",
        "#migration?entry=99&hop=x",
        "#cases?tests=a-b&v=<b>",
        "#measurements?metric=x",
        "#nothing",
    ):
        page = reader.open(report, place)
        assert page.evaluate("globalThis.pwned") is None
    assert reader.problems == []
