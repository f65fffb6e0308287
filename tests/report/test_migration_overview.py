"""All cases that were migrated, at a glance."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from matrix.migrating import DeviceTime, Limits, Migration, Strategy
from matrix.migration.statistics import Statistics
from matrix.report.write import write_run_report
from tests import make
from tests.report.conftest import Reader, RunMaker, hop_lines, hops_of


def test_the_worst_case_first(
    reader: Reader, recorded: RunMaker, write_hops: Callable[..., Path]
) -> None:
    cases: Any = []
    for arch, strategy, limit, bad in (
        ("x86_64", Strategy.PRECOPY, 10.0, []),
        ("x86_64", Strategy.POSTCOPY, 0.001, []),
        ("s390x", Strategy.PRECOPY, 10.0, [2]),
    ):
        migration = Migration(limits=Limits(downtime_max=limit))
        case = make.case("ram", arch, strategy=strategy, migration=migration)
        hops = {"hops.jsonl": write_hops(3, bad=bad).read_bytes()}
        if arch == "s390x":  # as where no hop was completed
            text = re.sub(rb'"downtime":[0-9.e-]+', b'"downtime":null', hops["hops.jsonl"])
            assert text != hops["hops.jsonl"]
            hops["hops.jsonl"] = text
        cases.append((make.run(case), make.attempt("fail" if bad else "pass"), hops))
    page = reader.open(write_run_report(recorded(cases)), "#migration")
    rows = page.locator("#migration table").first.locator("tbody tr").all_inner_texts()
    assert [row.split()[:5] for row in rows] == [
        ["fail", "ram", "s390x", "tcg", "strategy"],
        ["pass", "ram", "x86_64", "tcg", "strategy"],
        ["pass", "ram", "x86_64", "tcg", "strategy"],
    ]
    assert ["postcopy" in row for row in rows] == [False, True, False]
    assert ["2/3" in row for row in rows] == [True, False, False]
    assert [" of 1 ms, over" in row for row in rows] == [False, True, False]
    plots = page.locator("#migration figure.multiple")
    assert [each.split()[0] for each in plots.all_inner_texts()] == ["s390x", "x86_64"]
    assert "1 case, downtime not measured" in plots.first.inner_text()
    assert "2 cases, downtime at most " in plots.last.inner_text()
    assert plots.last.locator("svg a").count() == 6
    assert plots.last.locator(".limit").count() == 1
    page.locator("#migration table").first.get_by_role("link").nth(2).click()
    picked = page.locator("#migration select").first.locator("option:checked")
    expect(picked).to_have_text("smoke.ram.x86_64.auto.strategy=precopy (3 hops)")
    assert reader.problems == []


def test_what_took_the_devices_how_long(reader: Reader, recorded: RunMaker) -> None:
    """Of one case, beside those of another version, and of one hop."""

    def of(version: str, factor: float) -> Any:
        times = DeviceTime("ram", 0, 0.004, 0.002 * factor), DeviceTime("cpu", 1, None, 0.001)
        label = f"system {version}"
        hops = [
            replace(each, source=label, destination=label, devices=times) for each in hops_of(2)
        ]
        statistics = Statistics(Limits())
        for hop in hops:
            statistics.add(hop)
        case = make.case("ram", qemu=version, migration=Migration(explain_downtime=True))
        attempt = make.attempt("pass", migration=statistics.summary(1, 2.0))
        return make.run(case), attempt, {"hops.jsonl": hop_lines(iter(hops))}

    page = reader.open(write_run_report(recorded([of("10.0", 1), of("11.1", 3)])), "#migration")
    devices = page.locator("#migration .devices")
    expect(devices).to_have_count(2)  # of the case and of a hop
    for each in devices.all():
        assert each.locator("tbody tr").all_inner_texts() == [
            "ram\t4 ms\t2 ms",
            "cpu\t–\t1 ms",
        ]
        assert [rect.text_content() for rect in each.locator("svg.bar title").all()] == [
            *("ram: 4 ms", "cpu: 0 s", "ram: 2 ms", "cpu: 1 ms")
        ]
    page.get_by_label("compare with").select_option(index=1)
    compared = page.locator("#migration .devices").first
    expect(compared.locator("svg.bar")).to_have_count(4)
    assert compared.locator("thead th").all_inner_texts() == [
        "state of",
        *("saved by system 10.0", "saved by system 11.1"),
        *("loaded by system 10.0", "loaded by system 11.1"),
    ]
    assert compared.locator("tbody tr").first.inner_text() == "ram\t4 ms\t4 ms\t2 ms\t6 ms"
    assert reader.problems == []
