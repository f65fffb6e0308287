"""A run that tested nothing, or less than it was to test, does not exit 0."""

from typing import Any

import pytest

from tests.cli.conftest import Scripts, World


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--build", "arm64=gone"), "--build arm64=gone: there is no folder gone; give that of a"),
        (("--build", "x86=build"), "--build: 'x86' may be i386 or x86_64; write the one"),
        (("--qemu", "mine=gone"), "--qemu mine=gone: there is no folder {root}/gone; give a "),
        (
            ("--set", "qemu=fkae"),
            "--set qemu=fkae: no such QEMU installation; did you mean 'fake'?",
        ),
        (("--host", "host.yaml"), "host.yaml:2:10: there is no folder {root}/gone; give that of"),
    ],
)
def test_a_path_that_is_named_and_not_there(
    world: World, scripts: Scripts, arguments: tuple[str, ...], said: str
) -> None:
    world.suite(one=scripts.passing())
    (world.root / "host.yaml").write_text("qemu: {}\nbuilds: {arm: gone}\n")
    done = world.matrix_run(*arguments)
    assert done.returncode == 2
    assert said.format(root=world.root) in done.stderr
    assert not (world.root / "out").exists()


LIBRARY = "error while loading shared libraries: libslirp.so.0: cannot open shared object file"
BROKEN = {
    "library": (f"#!/bin/sh\necho 'qemu: {LIBRARY}' >&2\nexit 127\n", 0o755, LIBRARY),
    "interpreter": ("#!/no/such/interpreter\n", 0o755, "No such file or directory"),
    "permission": ("#!/bin/sh\n", 0o644, "Permission denied"),
    "nonsense": ("#!/bin/sh\necho hello\n", 0o755, "hello"),
}


def broken_qemu(world: Any, script: str, mode: int = 0o755) -> None:
    """An installation named ``mine`` whose emulator is that script."""
    (world.root / "mine").mkdir()
    emulator = world.root / "mine/qemu-system-x86_64"
    emulator.write_text(script)
    emulator.chmod(mode)
    scenario = world.root / "scenario.yaml"
    scenario.write_text(scenario.read_text().replace("[fake]", "[fake, mine]"))


@pytest.mark.parametrize("kind", BROKEN)
def test_a_qemu_that_cannot_be_asked(world: World, scripts: Scripts, kind: str) -> None:
    script, mode, words = BROKEN[kind]
    world.suite(one=scripts.passing())
    broken_qemu(world, script, mode)
    done = world.matrix_run("--qemu", "mine=mine")
    assert done.returncode == 3
    assert "1 case to run, 0 to skip, 1 in error" in done.stdout
    verdicts = {case["axes"]["qemu"]: case for case in world.results()["cases"]}
    assert verdicts["fake"]["verdict"] == "pass"
    assert verdicts["mine"]["verdict"] == "error"
    assert words in verdicts["mine"]["reason"]
    assert words.split()[-1] in done.stdout
    assert world.run("run", "--resume", "out").returncode == 3
    listed = world.run("list", "scenario.yaml", "--qemu=fake=qemu", "--qemu=mine=mine", "--json")
    assert '"action": "error"' in listed.stdout


def test_a_qemu_that_starts_no_guest_is_an_error_and_a_regression(
    world: World, scripts: Scripts
) -> None:
    """It answers, as it does without a machine, and ends at every boot."""
    world.suite(one=scripts.passing(), two=scripts.passing())
    broken_qemu(world, (world.root / "qemu/qemu-system-x86_64").read_text())
    assert world.matrix_run("--qemu", "mine=mine").returncode == 0
    emulator = world.root / "mine/qemu-system-x86_64"
    boots = 'case "$*" in *"-machine none"*) ;; *) echo "qemu: no luck today" >&2; exit 1;; esac\n'
    emulator.write_text(emulator.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{boots}"))
    done = world.run(
        *("run", "scenario.yaml", "--qemu", "fake=qemu", "--qemu", "mine=mine", "-o", "again")
    )
    assert done.returncode == 3
    found = {
        (c["axes"]["qemu"], c["verdict"], c["reason"]) for c in world.results("again")["cases"]
    }
    words = f"QEMU mine starts no guest at all: {emulator} ended with status 1: no luck today"
    assert found == {("fake", "pass", "1 tests"), ("mine", "error", words)}
    assert world.run("compare", "out", "again", "--fail-on-regression").returncode == 1


def test_a_configuration_that_qemu_refuses_is_a_skip(world: World, scripts: Scripts) -> None:
    refusing = {"start": [["stderr", "qemu: no such device\n"], ["exit", 1]]}
    world.suite(one=scripts.passing(), refused=refusing)
    assert world.matrix_run().returncode == 0
    cases = {case["test"]: case for case in world.results()["cases"]}
    assert cases["one"]["skip_cause"] is None
    assert cases["refused"]["skip_cause"] == "refused"
    assert "no such device" in cases["refused"]["reason"]


SKIPPING = {"cont": [["stdout", "SKIP: no such feature\n"], ["exit", 77]]}


def test_everything_skipped_exits_5_and_says_so(world: World) -> None:
    world.suite(one=SKIPPING, two=SKIPPING)
    done = world.matrix_run()
    assert done.returncode == 5
    assert "\nNothing was tested: all 2 cases skipped\n" in done.stdout
    assert "\nNothing was tested: all 2 cases skipped\n" in world.run("show", "out").stdout
    assert world.results()["exit_code"] == 5
    causes = [case["skip_cause"] for case in world.results()["cases"]]
    assert causes == ["guest", "guest"]


def test_one_that_ran_among_skips_exits_0(world: World, scripts: Scripts) -> None:
    world.suite(one=SKIPPING, two=scripts.passing())
    done = world.matrix_run()
    assert done.returncode == 0
    assert "Nothing was tested" not in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--require", "1"), 0, ""),
        (("--require", "50%"), 0, ""),
        (("--require", "2"), 1, "1 of 2 cases ran, but the command line requires 2"),
        (
            ("--require", "51%"),
            1,
            "1 of 2 cases ran, but the command line requires 51%, which is 2",
        ),
        (("--fail-on-skip",), 1, "the command line forbids skips, but fake.one.x86_64.tcg"),
        (("--fail-on-skip=gu*",), 1, "forbids skips for gu*, but fake.one.x86_64.tcg"),
        (("--fail-on-skip=fake.one.*",), 1, "forbids skips for fake.one.*, but"),
        (("--fail-on-skip=no-*", "--fail-on-skip=fake.two.*"), 0, ""),
        (("--require", ""), 2, "--require: '' is not a number of cases"),
        (
            ("--require", "0"),
            2,
            "--require: '0' is not a number of cases; as in 20, or 80% of them",
        ),
        (("--require", "101%"), 2, "--require: '101%' is not a number of cases"),
        (("--fail-on-skip=fake.thre.*",), 2, "'fake.thre.*' matches no case; their ids are like"),
        (("--fail-on-skip=*.one.*", "-k", "two"), 0, ""),
        (("--fail-on-skip=no-qmu",), 2, "not a skip cause that counts; did you mean 'no-qemu'?"),
    ],
)
def test_how_much_has_to_run(
    world: World, scripts: Scripts, options: tuple[str, ...], code: int, said: str
) -> None:
    world.suite(one=SKIPPING, two=scripts.passing(), left=scripts.passing())
    config = world.root / "build/x86/unittests.cfg"
    config.write_text(config.read_text().replace("[left]\n", "[left]\ngroups = nodefault\n"))
    done = world.matrix_run(*options)
    assert done.returncode == code
    assert said in " ".join((done.stdout + done.stderr).split())
    if code != 2:
        assert bool(world.results()["shortfalls"]) == bool(said)
        assert world.run("run", "--resume", "out").returncode == code
    report = world.root / "out/report.html"
    assert ("Too little ran" in report.read_text() if report.exists() else False) == (code == 1)


def test_how_much_has_to_run_by_the_scenario(world: World, scripts: Scripts) -> None:
    world.suite(one=SKIPPING, two=scripts.passing())
    scenario = world.root / "scenario.yaml"
    written = scenario.read_text()
    scenario.write_text(written.replace("run: {", "run: {require: 2, "))
    done = world.matrix_run()
    assert done.returncode == 1
    assert "Too little ran: 1 of 2 cases ran, but scenario fake requires 2\n" in done.stdout
    arguments = ("run", "scenario.yaml", "--qemu", "fake=qemu", "-k", "two")
    assert world.run(*arguments).returncode == 0, "all that is left of it ran"
    scenario.write_text(written.replace("run: {", "run: {fail_on_skip: [no-qemu, guest], "))
    done = world.run(*arguments[:-2], "-o", "again")
    assert done.returncode == 1
    assert "scenario fake forbids skips for no-qemu, guest, but fake.one." in done.stdout


@pytest.mark.parametrize(
    ("what", "code"),
    [("good", 0), ("bad", 1), ("skip", 125), ("broken", 125), ("gone", 128), ("typo", 128)],
)
def test_what_git_bisect_is_told(world: World, scripts: Scripts, what: str, code: int) -> None:
    world.suite(one={"bad": scripts.failing("x"), "skip": SKIPPING}.get(what, scripts.passing()))
    options = {
        "broken": ("--set", "qemu=mine", "--qemu", "mine=mine"),
        "gone": ("--build", "arm=x"),
    }
    broken_qemu(world, *BROKEN["library"][:2])
    chosen = options.get(what, ("--set", "qemu=fake"))
    mistyped = ("--no-such-option",) if what == "typo" else ()
    assert world.matrix_run(*chosen, *mistyped, "--bisect").returncode == code
