"""The command as a user runs it, on runs of the fake QEMU."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix.results.compare.changes import ChangeKind
from tests.cli.conftest import Scripts, World

SharedRuns = Callable[..., tuple[int, str]]


def run_into(world: Any, name: str, *more: str) -> None:
    world.run("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", name, *more)


@pytest.fixture
def two_runs(world: World, scripts: Scripts) -> World:
    """``first`` and ``second``: one test fails newly, one is fixed, one is as before."""
    world.suite(works=scripts.passing(), breaks=scripts.passing(), heals=scripts.failing("x"))
    run_into(world, "first")
    world.suite(works=scripts.passing(), breaks=scripts.failing("y"), heals=scripts.passing())
    run_into(world, "second")
    return world


def test_two_runs(two_runs: World) -> None:
    done = two_runs.run("compare", "first", "second")
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "1 new failure, 1 fix; 1 of 3 cases as before"
    assert "pass → fail     fake.breaks.x86_64.tcg.qemu=fake" in done.stdout
    assert "first/cases/fake.breaks.x86_64.tcg.qemu=fake" in done.stdout
    assert "second/cases/fake.breaks.x86_64.tcg.qemu=fake" in done.stdout
    assert two_runs.run("compare", "first", "latest:fake").stdout == done.stdout


def test_every_form_and_exit_code(two_runs: World) -> None:
    """One run of each, as starting the command takes most of a test's time."""
    compared = ("compare", "first", "second", "--fail-on-regression")
    assert two_runs.run(*compared).returncode == 1
    assert two_runs.run("compare", "second", "second", "--fail-on-regression").returncode == 0

    done = two_runs.run(*compared, "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["regressions"] == 1
    counts = document["comparisons"][0]["counts"]
    assert (counts["new-failure"], counts["fix"], counts["cases"]) == (1, 1, 3)
    assert set(counts) >= {kind.value for kind in ChangeKind}

    done = two_runs.run(*compared, "--markdown")
    assert done.returncode == 1
    assert done.stdout.startswith("### 1 new failure, 1 fix; 1 of 3 cases as before\n")


def test_times_beyond_the_noise_fail_where_that_is_asked(two_runs: World) -> None:
    document = json.loads((two_runs.root / "first" / "results.json").read_text())
    for case in document["cases"]:
        case["seconds"] += 60
        for attempt in case["attempts"]:
            attempt["seconds"] += 60
    (two_runs.root / "slow.json").write_text(json.dumps(document))
    asked = ("--fail-on-regression", "--fail-on-slower")
    assert two_runs.run("compare", "first/results.json", "slow.json", *asked).returncode == 1
    assert two_runs.run("compare", "first/results.json", "slow.json", asked[0]).returncode == 0
    assert two_runs.run("compare", "slow.json", "first/results.json", *asked).returncode == 0


def test_the_variants_of_one_run(world: World, scripts: Scripts) -> None:
    """Two QEMUs, told apart by the folder of scripts that each obeys."""
    world.suite(same=scripts.passing(), differs=scripts.passing())
    shutil.copytree(world.root / "scripts", world.root / "scripts2")
    (world.root / "scripts2/differs.json").write_text(json.dumps(scripts.failing("x")))
    (world.root / "qemu2").mkdir()
    wrapper = (world.root / "qemu/qemu-system-x86_64").read_text()
    other = world.root / "qemu2/qemu-system-x86_64"
    other.write_text(wrapper.replace(f"{world.root}/scripts/", f"{world.root}/scripts2/"))
    other.chmod(0o755)
    scenario = world.root / "scenario.yaml"
    scenario.write_text(scenario.read_text().replace("[fake]", "[fake, other]"))
    ran = world.run(
        "run", "scenario.yaml", "--qemu", "fake=qemu", "--qemu", "other=qemu2", "-o", "out"
    )
    assert "Differences between QEMUs, compared with fake: 1 test\n" in ran.stdout
    assert "  differs x86_64 tcg: pass; other: fail\n" in ran.stdout
    assert "matrix compare out --by qemu shows all\n" in ran.stdout

    done = world.run("compare", "out", "--by", "qemu", "--fail-on-regression")
    assert done.returncode == 1
    assert done.stdout.startswith("1 new failure; 1 of 2 cases as before\n")
    assert "qemu: fake (A) → other (B)" in done.stdout
    for name in ("fake", "other"):
        given = ("--qemu", "fake=qemu", "--qemu", "other=qemu2", "--set", f"qemu={name}")
        world.run("run", "scenario.yaml", *given, "-o", name)
    apart = world.run("compare", "fake", "other", "--by", "qemu", "--fail-on-regression")
    assert apart.returncode == 1
    assert apart.stdout.startswith("1 new failure; 1 of 2 cases as before\n")

    back = world.run("compare", "out", "--by", "qemu", "--base", "other", "--fail-on-regression")
    assert back.returncode == 0
    assert back.stdout.startswith("1 fix; 1 of 2 cases as before\n")


def test_runs_without_a_common_case_exit_5(two_runs: World) -> None:
    run_into(two_runs, "third", "--qemu", "other=qemu", "--set", "qemu=other")
    done = two_runs.run("compare", "first", "third")
    assert done.returncode == 5
    assert "no case in common" in done.stderr
    assert "'fake.works.x86_64.tcg.qemu=fake'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("first",), "Name a second run, or compare its variants with --by AXIS (accel, qemu"),
        (("first", "second", "--by", "qemu", "--base", "x"), "the first is the base"),
        (("first", "second", "--by", "cpus"), "no such axis; did you mean 'cpu'?"),
        (("first", "--by", "cpus"), "no such axis; did you mean 'cpu'?"),
        (("first", "--by", "qemu"), "only qemu fake"),
        (("first", "second", "--base", "x"), "--base needs --by"),
        (("first", "second", "first"), "3 runs: name one or two"),
        (("first", "second", "--json", "--markdown"), "only one of them"),
        (("first", "second", "--slower", "1"), "a factor above 1"),
        (("first", "second", "--slower", "nan"), "a factor above 1"),
        (("first", "second", "--metric", "-3"), "per cent"),
        (("first", "nonesuch"), "nonesuch: no such directory"),
        (("first", "."), "is not a run directory"),
    ],
)
def test_wrong_usage_exits_2(
    shared_runs: SharedRuns, arguments: tuple[str, ...], message: str
) -> None:
    done = shared_runs(*arguments)
    assert done[0] == 2
    assert message in done[1]


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs for tests that only read them."""
    from matrix.attempt import Attempt
    from matrix.inventory import Host
    from matrix.model import Accelerator, Architecture, Build, Case, Test, Variant
    from matrix.plan.decisions import Run
    from matrix.results.recorder import Recorder
    from matrix.results.run_info import RunInfo
    from matrix.verdicts import Verdict

    folder: Path = tmp_path_factory.mktemp("runs")
    variant = Variant(Architecture.X86_64, Accelerator.TCG, "fake")
    build = Build(variant.arch, "/b", "/b")
    case = Case("fake.works", "fake", "kvm-unit-tests", Test("works", "/b/w"), variant, build)
    info = RunInfo(started="2026-11-21T09:30:00.000Z", host=Host("x86_64", "6.1", 2, 2**32))
    for name in ("first", "second"):
        decision = Run(case, Accelerator.TCG, "", 1, 2**27)
        with Recorder.start(folder / name, info, [decision]) as recorder:
            recorder.begin(case, 1)
            recorder.finish(case, Attempt(1, Verdict.PASS, "", 1.0))
    return folder


@pytest.fixture
def shared_runs(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> SharedRuns:
    """Runs the command in this process: exit code and stderr."""

    def run(*arguments: str) -> tuple[int, str]:
        from matrix.cli.main import main

        monkeypatch.chdir(run_directory)
        monkeypatch.setattr("sys.argv", ["matrix", "compare", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), capsys.readouterr().err

    return run


def test_a_broken_journal_is_warned_of_on_stderr(
    run_directory: Path, shared_runs: SharedRuns
) -> None:
    shutil.copytree(run_directory / "second", run_directory / "third")
    with (run_directory / "third/events.jsonl").open("a") as file:
        file.write("garbage\n")
    code, err = shared_runs("first", "third", "--json")
    assert code == 0
    assert "third/events.jsonl:4: not JSON" in err


@pytest.mark.parametrize("missing", ["qemu", "build", "accelerator"])
def test_coverage_that_was_lost(world: World, scripts: Scripts, missing: str) -> None:
    """The first run is good; the second skips what it has no QEMU, build or KVM for."""
    world.suite(one=scripts.passing(), two=scripts.passing())
    scenario = world.root / "scenario.yaml"
    scenario.write_text(scenario.read_text().replace("[fake]", "[fake, mine]"))
    both = ("run", "scenario.yaml", "--qemu", "fake=qemu", "--qemu", "mine=qemu", "-o")
    assert world.run(*both, "first").returncode == 0
    if missing == "qemu":
        words = "no QEMU installation named 'mine'"
        world.run("run", "scenario.yaml", "--qemu", "fake=qemu", "-o", "second")
    elif missing == "build":
        words = "no build at"
        (world.root / "build").rename(world.root / "gone")
        world.run(*both, "second")
    else:
        words = "kvm only"
        results = json.loads((world.root / "first/results.json").read_text())
        for case in results["cases"]:
            kvm = case["id"].startswith("fake.one.")
            case |= {"verdict": "skip", "skip_cause": "no-accelerator"} if kvm else {}
            case |= {"reason": words, "attempts": []} if kvm else {}
        (world.root / "second").write_text(json.dumps(results))
    lost = 4 if missing == "build" else 2
    compared = ("compare", "first", "second")
    done = world.run(*compared, "--fail-on-regression")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{lost} no longer run; {4 - lost} of 4 cases as before\n")
    assert f"No longer run, for want of a QEMU, build or accelerator: {lost}\n" in done.stdout
    assert words in done.stdout
    assert "fake.one.x86_64.tcg.qemu=mine" in done.stdout
    assert world.run(*compared).returncode == 0
    allowed = world.run(*compared, "--fail-on-regression", "--allow-new-skips", "--json")
    assert allowed.returncode == 0
    document = json.loads(allowed.stdout)
    assert (document["regressions"], document["lost_coverage"]) == (0, lost)
    (comparison,) = document["comparisons"]
    assert {case["change"] for case in comparison["cases"]} == {"lost-coverage"}
    markdown = world.run(*compared, "--markdown").stdout
    assert f"#### No longer run, for want of a QEMU, build or accelerator: {lost}\n" in markdown


def test_skips_for_other_reasons_are_no_loss(world: World, scripts: Scripts) -> None:
    world.suite(one=scripts.passing(), two=scripts.passing())
    run_into(world, "first")
    world.suite(one={"cont": [["stdout", "SKIP: no\n"], ["exit", 77]]}, two=scripts.passing())
    run_into(world, "second", "--fail-on-skip=no-*")
    done = world.run("compare", "first", "second", "--fail-on-regression")
    assert done.returncode == 0
    assert done.stdout.startswith("1 new skip; ")
    run_into(world, "third", "--require", "2")
    done = world.run("compare", "first", "third/results.json", "--fail-on-regression")
    assert done.returncode == 1
    assert "third/results.json ran too little: 1 of 2 cases ran, but the command" in done.stdout
    assert world.run("compare", "first", "third", "--allow-new-skips").returncode == 2
