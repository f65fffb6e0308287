"""What a case came to, in pytest's words."""

import xml.etree.ElementTree as ET

import pytest

from tests.pytest_plugin.conftest import Project, Scripts


def test_a_pass_and_a_failure(project: Project, scripts: type[Scripts]) -> None:
    project.suite(good=scripts.passing(), bad=scripts.failing("timer: late", "irq"))
    project.scenario()
    result = project.run("scenario.yaml")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*fail    fake.bad.x86_64.tcg.qemu=fake*",
            "*2 of 2 subtests failed: timer: late; irq*",
            "*FAIL: timer: late",
            "*FAIL: irq",
            "*/cases/fake.bad.x86_64.tcg.qemu=fake",
            "*command.sh in it runs the same QEMU by hand",
            "*Captured stdout (guest) call*",
            "FAIL: timer: late",
            "*Captured command line call*",
            "*/qemu/qemu-system-x86_64*",
            "FAILED scenario.yaml::fake.bad.x86_64.tcg.qemu=fake - *2 of 2 subtests*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*.py:*")
    assert result.ret == 1


def test_skips_have_reasons(project: Project, scripts: type[Scripts]) -> None:
    project.suite(
        groups={"asleep": "nodefault"},
        itself=scripts.skipping("no such device"),
        asleep=scripts.passing(),
    )
    project.scenario()
    result = project.run("scenario.yaml", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED *scenario.yaml: in group nodefault: *"])
    result.stdout.fnmatch_lines(["SKIPPED *scenario.yaml:1: the guest skipped: it: no such device"])
    assert project.started().count("asleep") == 0
    assert result.ret == 0


EXPECT = """
expect:
  - {cases: [known], reason: a known bug}
  - {cases: [mended], reason: another bug}
"""


@pytest.fixture
def expecting(project: Project, scripts: type[Scripts]) -> Project:
    project.suite(known=scripts.failing("x"), mended=scripts.passing())
    (project.root / "known.yaml").write_text(EXPECT)
    project.scenario(more="expect: [known.yaml]\n")
    return project


def test_known_failures_are_xfailed_and_xpassed(expecting: Project) -> None:
    result = expecting.run("scenario.yaml", "-rxX")
    result.assert_outcomes(xfailed=1, xpassed=1)
    result.stdout.fnmatch_lines(["XFAIL *fake.known.*a known bug*", "XPASS *fake.mended.*another*"])
    assert result.ret == 0


def test_strict_makes_an_unexpected_pass_a_failure(expecting: Project) -> None:
    result = expecting.run("scenario.yaml", "-o", "xfail_strict=true")
    result.assert_outcomes(xfailed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED *fake.mended.* - *XPASS(strict)*"])


def test_runxfail_leaves_known_failures_out_of_account(expecting: Project) -> None:
    expecting.run("scenario.yaml", "--runxfail").assert_outcomes(passed=1, failed=1)


def test_attempts_that_differ_are_a_failure(project: Project, scripts: type[Scripts]) -> None:
    project.suite(flip=scripts.passing())
    wrapper = project.root / "qemu/qemu-system-x86_64"
    fail = project.root / "scripts/fail.json"
    fail.write_text('{"cont": [["exit", 3]]}')
    text = wrapper.read_text().replace(
        "FAKE_QEMU=$(",
        f"[ $name = flip ] && [ $(grep -c flip {project.root}/scripts/started) = 2 ] && name=fail\n"
        "FAKE_QEMU=$(",
    )
    wrapper.write_text(text)
    project.scenario(repeat=3)
    result = project.run("scenario.yaml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAILED * - flaky: 2 of 3 attempts: pass*"])
    assert project.started().count("flip") == 3


def test_errors_of_the_host_are_failures_without_a_traceback(
    project: Project, scripts: type[Scripts]
) -> None:
    project.suite(good=scripts.passing())
    project.scenario()
    project.pytester.makeconftest(
        """
        def pytest_collection_finish(session):
            (session.config.rootpath / "qemu/qemu-system-x86_64").unlink()
        """
    )
    result = project.run("scenario.yaml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAILED *::fake.good.* - error: *"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_host_that_cannot_go_on_is_told_in_a_line(
    project: Project, scripts: type[Scripts]
) -> None:
    project.suite(good=scripts.passing())
    project.scenario()
    project.pytester.makeconftest(
        """
        def pytest_collection_finish(session):
            (session.config.rootpath / "out/cases").rmdir()
            (session.config.rootpath / "out/cases").touch()
        """
    )
    result = project.run("scenario.yaml", "--matrix-run=out")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["cannot create */out/cases*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_junit_has_message_reason_and_console(project: Project, scripts: type[Scripts]) -> None:
    project.suite(good=scripts.passing(), bad=scripts.failing("timer \x1b[31m<b>"))
    project.scenario()
    project.run("scenario.yaml", "--junitxml=junit.xml", "-o", "junit_logging=system-out")
    tree = ET.parse(project.root / "junit.xml")
    good, bad = tree.findall(".//testcase")
    assert good.get("name") == "fake.good.x86_64.tcg.qemu=fake"
    assert good.get("classname") == "scenario.yaml"
    failure = bad.find("failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("fail: 1 of 1 subtest failed: timer")
    properties = {each.get("name"): each.get("value") for each in bad.iter("property")}
    assert properties["verdict"] == "fail"
    assert properties["arch"] == "x86_64"
    assert "FAIL: timer <b>" in str(bad.findtext("system-out"))
    assert "PASS: all is well" in str(good.findtext("system-out"))


def test_a_case_that_is_run_again_has_the_properties_of_the_last_time(
    project: Project, scripts: type[Scripts]
) -> None:
    """As pytest-rerunfailures does it: with the same item."""
    project.suite(twice=scripts.passing())
    project.scenario()
    project.pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item):
            item.user_properties.append(("theirs", "kept"))
            runtestprotocol(item, nextitem=item)
            reports = runtestprotocol(item, nextitem=None)
            names = [name for name, _ in reports[-1].user_properties]
            (item.config.rootpath / "names").write_text(" ".join(names))
            return True
        """
    )
    project.run("scenario.yaml")
    names = (project.root / "names").read_text().split()
    ours = ["verdict", "reason", "arch", "accel", "qemu", "accelerator", "artifacts"]
    assert names == ["theirs", *ours]


def test_what_a_guest_prints_is_no_command_of_a_ci_system(
    project: Project, scripts: type[Scripts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    project.suite(bad={"cont": [["stdout", "::error::x\nFAIL: ##[error]y\n"], ["exit", 3]]})
    project.scenario()
    result = project.run("scenario.yaml", "-rA")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([":\\x3aerror::x", "FAIL: ##\\x5berror[]]y"])
    result.stdout.no_fnmatch_line("*##[[]*")
