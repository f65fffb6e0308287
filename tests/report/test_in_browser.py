"""The report as its readers have it: open, filter, drill down, by keyboard too."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from matrix.migrating import Limits, Migration, MigrationSummary
from matrix.model import Accelerator, MemoryBackend
from matrix.report.write import write_report, write_run_report
from tests import make
from tests.report.conftest import Reader, RunMaker

ARCHITECTURES = ("x86_64", "aarch64", "s390x")
TESTS = ("boot", "smp", "timer", "memory")

CONSOLE = "\n".join(f"INFO: memory: page {n} of 400 is well" for n in range(400))
HISTOGRAM = (
    "INFO: timer: histogram: 150 below 65536 ns\nINFO: timer: histogram: 7 below 131072 ns\n"
)
LATENCY = (
    ("timer: latency: min", 5000.0, "ns"),
    ("timer: latency: median", 40000.0, "ns"),
    ("timer: latency: p99", 90000.0, "ns"),
    ("timer: latency: max", 120000.0, "ns"),
)


def outcome(case: Any) -> tuple[Any, Any, Any]:
    run = make.run(case)
    match case.test.name, case.variant.arch.value:
        case "memory", "s390x":
            subtests = ["PASS: first", "FAIL: stale page: expected 7, found 6"]
            attempt = make.attempt("fail", "1 of 2 subtests failed: stale page", subtests=subtests)
            files = {
                "console.log": CONSOLE + "\nFAIL: stale page: expected 7, found 6\n",
                "qemu.log": "qemu-system-s390x: warning: a word\n",
                "command.sh": "#!/bin/sh\nexec qemu-system-s390x -smp 2\n",
                "diagnosis/registers.txt": "PSW=0\n",
            }
            return run, attempt, files
        case "smp", "aarch64":
            return make.skip(case, "no KVM on this host"), None, {}
        case "timer", _:
            return run, make.attempt(metrics=LATENCY, reason="6 tests"), {"console.log": HISTOGRAM}
        case _:
            return run, make.attempt(reason="6 tests"), {"console.log": "PASS: all is well\n"}


@pytest.fixture
def report(recorded: RunMaker) -> Path:
    tcg = Accelerator.TCG
    cases = [make.case(test, arch, accel=tcg) for arch in ARCHITECTURES for test in TESTS]
    return write_run_report(recorded([outcome(case) for case in cases]))


@pytest.fixture
def calm(reader: Reader) -> Iterator[Reader]:
    """The reader, whose page must not complain nor load anything."""
    yield reader
    assert reader.problems == []
    assert all(each.startswith(("file:", "about:", "blob:")) for each in reader.requests)


def test_variants_that_differ_in_one_axis_have_rows_of_their_own(
    calm: Reader, recorded: RunMaker
) -> None:
    pairs = (("ram", "pass"), ("memfd", "fail"))
    cases: list[Any] = [
        (make.run(make.case("boot", backend=MemoryBackend(name))), make.attempt(verdict), {})
        for name, verdict in pairs
    ]
    page = calm.open(write_run_report(recorded(cases)), "#matrix")
    assert page.locator("#matrix thead th.axis").all_inner_texts()[-1] == "backend"
    assert page.locator("#matrix tbody td").all_inner_texts() == ["fail", "pass"]
    page.locator("#matrix tbody th a", has_text="memfd").click()
    expect(page.locator("#matrix tbody td")).to_have_count(1)
    assert page.locator("#matrix .chip", has_text="backend: memfd").count() == 1


def test_a_cell_of_several_cases_has_every_one_of_them(calm: Reader, recorded: RunMaker) -> None:
    """Tests of one area are folded into one cell where there are many."""
    verdicts = ["pass"] * 3 + ["xfail"] + ["skip"] * 7 + ["fail"] * 35
    cases: list[Any] = []
    for number, verdict in enumerate(verdicts):
        test = f"timer-{number}" if number < 11 else f"smp-{number}"
        run = make.run(make.case(test))
        cases.append((run, make.attempt(verdict, "no KVM", seconds=119.7), {}))
    page = calm.open(write_run_report(recorded(cases)), "#matrix")
    cells = page.locator("#matrix tbody td").all_inner_texts()
    assert sorted(cells) == ["x 3/4 7 skip", "✗ 0/35"]
    bar = page.locator("#matrix td a", has_text="3/4").locator("rect")
    shares = [(each.get_attribute("class"), each.get_attribute("width")) for each in bar.all()]
    assert [name for name, _ in shares] == ["f-xfail", "f-skip", "f-pass"]
    assert sum(float(width or 0) for _, width in shares) == pytest.approx(100)
    box = bar.first.bounding_box()
    assert box is not None
    assert box["height"] > 4
    assert "2 min 0 s" in calm.go("#cases").locator("#cases").inner_text()
    page = calm.go("#kvm")
    overview = page.locator("table.overview").inner_text()
    assert "emulated 3/4\n7 skipped" in overview
    assert "emulated 3/39\n7 skipped\n46 cases" in overview.partition("all cases")[2]


def test_first_the_answer(calm: Reader, report: Path) -> None:
    page = calm.open(report)
    assert page.locator("h1").inner_text() == "1 of 11 cases did not pass; 1 was skipped."
    assert page.locator(".word").inner_text() == "Failed"
    broken = page.locator(".broken li").inner_text()
    assert "memory" in broken
    assert "only with architecture s390x" in broken
    assert "no KVM on this host" in page.locator(".reasons").inner_text()
    page.locator(".broken .variants a").click()
    assert "smoke.memory.s390x.tcg" in page.locator("#case h2").inner_text()


def test_every_cell_of_the_matrix_leads_to_its_case(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#matrix")
    assert page.locator(".heat tbody tr").count() == 3
    cells = page.locator(".heat tbody td a")
    assert cells.count() == 12
    failed = page.locator(".heat a.v-fail")
    assert failed.inner_text() == "fail"
    assert failed.get_attribute("aria-label") == "s390x tcg, memory: fail"
    failed.click()
    page.wait_for_selector("#case h2")
    assert "smoke.memory.s390x.tcg" in page.locator("#case h2").inner_text()


def test_a_case_says_everything(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#case=0/smoke.memory.s390x.tcg")
    text = page.locator("#case").inner_text()
    for words in (
        "1 of 2 subtests failed: stale page",
        "expected 7, found 6",
        "qemu-system-s390x: warning: a word",
        "exec qemu-system-s390x -smp 2",
        "PSW=0",
        "Ran under tcg: no KVM.",
    ):
        assert words in text
    link = page.locator("a.file", has_text="console.log")
    assert link.get_attribute("href") == "./cases/smoke.memory.s390x.tcg/console.log"


def test_the_console_is_searched(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#case=0/smoke.memory.s390x.tcg")
    search = page.get_by_label("Search Console")
    search.fill("page 39")
    assert page.locator("#case mark").count() == 11
    status = page.locator("#case details.text").first.get_by_role("status")
    assert status.inner_text() == "1 of 11"
    search.press("Enter")
    assert status.inner_text() == "2 of 11"
    search.press("Shift+Enter")
    search.press("Shift+Enter")
    assert status.inner_text() == "11 of 11"
    assert page.locator("mark.current").is_visible()
    search.fill("STALE PAGE")
    assert page.locator("#case mark").inner_text() == "stale page"


def rows(page: Any) -> list[str]:
    return [text.replace("\n", " ") for text in page.locator(".vrow").all_inner_texts()]


def shown(page: Any) -> Any:
    return page.locator("#cases [role=status]").inner_text()


def test_cases_are_filtered(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#cases")
    assert shown(page) == "12 cases"
    page.fill("#search", "s390x")
    assert shown(page) == "4 cases of 12"
    page.fill("#search", "arch:s390x -timer -boot")
    assert shown(page) == "2 cases of 12"
    page.get_by_role("button", name="fail 1").click()
    assert shown(page) == "1 case of 12"
    assert "v=fail" in page.evaluate("location.hash")
    page.get_by_role("button", name="fail 1").click()
    page.fill("#search", 'reason:"no kvm"')
    assert ["aarch64" in row and "smp" in row for row in rows(page)] == [True]
    page.fill("#search", "nothing has this word")
    assert shown(page) == "0 cases of 12"


def test_cases_are_sorted(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#cases?test=boot")
    page.get_by_role("button", name="architecture").click()
    assert [row.split()[2] for row in rows(page)] == ["aarch64", "s390x", "x86_64"]
    page.get_by_role("button", name="architecture").click()
    assert [row.split()[2] for row in rows(page)] == ["x86_64", "s390x", "aarch64"]


def test_filters_of_links_can_be_taken_away(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#cases?arch=s390x&v=bad")
    assert shown(page) == "1 case of 12"
    page.locator(".chip", has_text="architecture: s390x").click()
    assert shown(page) == "1 case of 12"
    assert page.locator(".chip", has_text="architecture").count() == 0


def test_the_keyboard_suffices(calm: Reader, report: Path) -> None:
    page = calm.open(report)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("boot")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#case h2")
    assert "smoke.boot.aarch64.tcg" in page.locator("#case h2").inner_text()
    page.keyboard.press("j")
    expect(page.locator("#case h2")).to_contain_text("s390x")
    page.keyboard.press("k")
    expect(page.locator("#case h2")).to_contain_text("aarch64")
    page.keyboard.press("Escape")
    expect(page.locator("#case h2")).to_contain_text("s390x")


def test_arrows_move_in_the_matrix(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#matrix")
    page.locator(".heat tbody td a").first.focus()
    for key in ("ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.title") == "x86_64 tcg, boot: pass"


def test_the_back_button_goes_back(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#cases?q=memory")
    page.locator(".vrow", has_text="s390x").click()
    page.wait_for_selector("#case h2")
    page.go_back()
    page.wait_for_selector("#cases:not([hidden])")
    assert page.input_value("#search") == "memory"


def test_measurements(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#measurements")
    assert page.locator("figure.multiple").count() == 3
    label = page.locator("figure.multiple svg").first.get_attribute("aria-label")
    assert label == "x86_64 tcg: 157, the latest < 131 µs"
    assert page.locator("figure.multiple text", has_text="how late").count() == 3
    text = page.locator("#measurements").inner_text()
    legend = ("From 5 µs to 120 µs, logarithmic:", "99th percentile", "Bars are medians, from 0 to")
    for words in ("5 µs", "40 µs", "90 µs", "120 µs", *legend):
        assert words in text


def test_the_state_of_kvm(calm: Reader, report: Path) -> None:
    page = calm.open(report, "#kvm")
    overview = page.locator("table.overview").inner_text()
    assert "emulated 1/1" in overview
    assert "natively" not in overview.partition("all cases")[0]
    page.locator("#kvm table.areas").last.get_by_role("link", name="Memory and MMU").click()
    page.wait_for_selector("#cases:not([hidden])")
    assert shown(page) == "1 case of 12"


def test_migration(
    calm: Reader,
    recorded: RunMaker,
    write_hops: Callable[..., Path],
    summary: MigrationSummary,
) -> None:
    limits = Limits(downtime_max=0.05, blackout_max=0.2)
    case = make.case("ram-integrity", migration=Migration(limits=limits))
    hops = {"hops.jsonl": write_hops(120, bad=[7]).read_bytes()}
    attempt = make.attempt("fail", "1 of 120 hops failed", migration=summary)
    page = calm.open(write_run_report(recorded([(make.run(case), attempt, hops)])), "#migration")
    text = page.locator("#migration").inner_text()
    for words in (
        "✗ 59/60",
        "✓ 60/60",
        "downtime_max 300ms: hop 7 took 412 ms",
        "the destination never resumed",
        "MIGRATION completed",
        "Requests in flight as the guest stood still",
        "7, 40 answered around it",
    ):
        assert words in text
    drawn = page.locator("#migration figure.chart svg[role=img]")
    expect(drawn).to_have_count(7)  # each once its size is known
    limits_drawn = page.locator("#migration .limit-name").all_text_contents()
    assert limits_drawn == ["limit: downtime 50 ms", "limit: blackout 200 ms"]
    assert page.locator("#migration svg[role=img] .mark.stop").count() == 2
    chart = page.locator("#migration figure.chart").first
    chart.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert chart.locator(".cursor").inner_text().startswith("Hop 2 system 7.2.0 → system 7.2.1")
    page.keyboard.press("Enter")
    assert page.locator(".hop h3").inner_text().startswith("Hop 2 ")


def test_several_runs_have_trends(calm: Reader, recorded: RunMaker, tmp_path: Path) -> None:
    results: Any = [(make.run(make.case("timer")), make.attempt(metrics=LATENCY), {})]
    records = [recorded(results, name) for name in ("monday", "tuesday")]
    page = calm.open(write_report(records, tmp_path / "out"), "#measurements")
    assert "over the runs" in page.locator("#measurements").inner_text()
    page = calm.go("#cases?run=tuesday")
    assert shown(page) == "1 case of 2"


@pytest.mark.parametrize("view", ["history", "migration", "constructor", '"]'])
def test_a_view_that_the_page_does_not_have_is_the_summary(
    calm: Reader, report: Path, view: str
) -> None:
    page = calm.open(report, f"#{view}")
    expect(page.locator("#summary")).to_be_visible()


def test_without_scripts_the_answer_is_there(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("h1").inner_text() == "1 of 11 cases did not pass; 1 was skipped."
    assert page.locator("section#kvm h2").is_visible()
    assert not page.locator("section#matrix").is_visible()
    assert not page.get_by_role("link", name="Matrix").is_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(browser: Browser, report: Path, scheme: Any) -> None:
    """Contrast of text and ground as WCAG 2.1 asks for it: 4.5."""
    page = browser.new_page(color_scheme=scheme)
    page.goto(report.as_uri() + "#matrix")
    page.wait_for_selector("html[data-ready]", state="attached")
    poor = page.evaluate(CONTRAST)
    page.close()
    assert poor == []


CONTRAST = """() => {
  const channel = (value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((each) => channel(each / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor = [];
  const check = (name, text, ground) => {
    const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) poor.push(`${name}: ${contrast.toFixed(2)}`);
  };
  const verdicts = "pass fail crash stall timeout error flaky xpass xfail skip".split(" ");
  for (const verdict of verdicts) {
    const badge = document.createElement("span");
    badge.className = `badge v-${verdict}`;
    document.querySelector("#matrix").append(badge);
    const style = getComputedStyle(badge);
    check(verdict, style.color, style.backgroundColor);
  }
  const page = getComputedStyle(document.body);
  check("text", page.color, page.backgroundColor);
  for (const part of [".about", "a", ".legend", "nav a", "footer p"]) {
    const element = document.querySelector(`#matrix ${part}, ${part}:not(.skip)`);
    const style = getComputedStyle(element);
    const clear = style.backgroundColor === "rgba(0, 0, 0, 0)";
    check(part, style.color, clear ? page.backgroundColor : style.backgroundColor);
  }
  const head = getComputedStyle(document.querySelector(".answer"));
  check("answer", head.color, head.backgroundColor);
  return poor;
}"""
