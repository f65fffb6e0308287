"""``matrix explore``: what it prints and writes, how it ends, and that a finding is repeated."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from matrix.cli.arguments import Execution
from matrix.cli.explorable import explorable
from matrix.cli.exploring import run_explore
from matrix.cli.replaying import run_replay
from matrix.errors import UsageError
from matrix.explore.exploration import kept
from matrix.explore.finding import Chosen, Finding, write
from matrix.explore.step import Operation, Step
from matrix.migrating import Strategy, Transport
from matrix.migration.folder import remove_stale
from matrix.model import Architecture
from matrix.run.options import Selection
from tests.installed import lend_answers
from tests.warm import WarmProgram

SCENARIO = """name: few
suite: {kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}
matrix: {arch: [x86_64], accel: [tcg], qemu: [system]}
"""
MIGRATION = "migration: {strategy: [precopy], transport: [unix]}\n"
NONE = Selection()
STOP = (Step(Operation.STOP),)
FINDING = Finding(Chosen("few.x86_64", "few.yaml"), "hop: late", "late", STOP, 2, 3, 20, 7)
PLAIN = "name: plain\nsuite: {kind: kvm-unit-tests, build: builtin, tests: [boot]}\n"


class Place:
    """A folder in which the command is run."""

    def __init__(self, folder: Path, cache: Path, warm: WarmProgram) -> None:
        self.folder = folder
        self._cache = cache
        self._warm = warm
        (folder / "few.yaml").write_text(SCENARIO + MIGRATION)

    def wrap(self, name: str, case: str) -> None:
        """A QEMU that is the real one, but for that case of its words."""
        real = shutil.which("qemu-system-x86_64")
        wrapper = self.folder / name / "qemu-system-x86_64"
        wrapper.parent.mkdir()
        case = case.replace("{real}", str(real))
        wrapper.write_text(f'#!/bin/sh\ncase "$*" in\n*{case} ;;\n*) exec {real} "$@" ;;\nesac\n')
        wrapper.chmod(0o755)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        cache = str(self._cache)
        return subprocess.Popen(
            [sys.executable, "-m", "matrix", "explore", *words],
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": "/nowhere",
                "MATRIX_CACHE": cache,
                "TMPDIR": "tmp",
            },
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def explore(self, *words: str) -> subprocess.CompletedProcess[str]:
        places = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "MATRIX_CACHE": str(self._cache)}
        environment = {**os.environ, **places}
        return self._warm.run(("explore", *words), self.folder, environment, seconds=300)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is known of the host, and of none that tests before have put something into."""
    folder = tmp_path_factory.mktemp("cache")
    lend_answers(folder, Architecture.X86_64)
    return folder


@pytest.fixture
def place(tmp_path: Path, cache: Path, warm: WarmProgram) -> Place:
    return Place(tmp_path, cache, warm)


@pytest.mark.qemu
def test_nothing_is_found(place: Place) -> None:
    """By two jobs, and by one that goes on with what they have seen. A QEMU that takes no guest in
    is not gone to."""
    place.wrap("other", '-incoming*) exec {real} "$@" -m 128M')
    other = ("--qemu", "other=other", "--set", "destination=other")
    words = ("--for", "1s", "--seed", "1", "--json", "-j2", "-o", "out")
    ended = place.explore("few.yaml", *other, *words)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert (report["seed"], report["seeds"], report["findings"]) == (1, [1, 2], [])
    assert report["guests"] >= 2
    assert sum(cell["seen"] for cell in report["coverage"]) == report["steps"] > 1
    assert {cell["operation"] for cell in report["coverage"]} >= {
        *("hop by precopy over unix", "stop", "migrate-continue"),
        *("reset", "savevm", "loadvm", "plug device", "unplug device", "plug vcpu", "reconnect"),
    }
    assert {cell["qemu"] for cell in report["coverage"]} == {"system", "system → system"}
    (why,) = (each for each in report["impossible"] if "hop" in each)
    assert why.startswith("x86_64: hop from QEMU system to other, as matrix migratable found: ")
    assert [path.name for path in place.folder.glob("out/*")] == ["exploration.json"]
    again = place.explore("--resume", "out", "--for", "1s", "--seed", "7", "--json")
    assert again.returncode == 0, again.stderr
    more = json.loads(again.stdout)
    assert more["seeds"] == [1, 2, 7]
    assert more["guests"] > report["guests"]
    assert sum(cell["seen"] for cell in more["coverage"]) == more["steps"] > report["steps"]


@pytest.mark.slow(reason="three explorations, with a dozen guests")
@pytest.mark.qemu
def test_what_is_found_is_shrunk_and_repeated(place: Place) -> None:
    """With a QEMU that takes no guest in; the seed's first step is a hop."""
    place.wrap("bad", '-incoming*) exec {real} "$@" -device none-such')
    qemu = ("--qemu", "bad=bad", "--set", "qemu=bad")
    ended = place.explore("few.yaml", *qemu, "--for", "1s", "--seed", "4", "-o", "out")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "FOUND QEMU bad" in ended.stdout
    assert "  1. hop by precopy over unix to bad" in ended.stdout
    assert "  matrix explore --replay out/finding-1.json" in ended.stdout
    assert "1 failure found" in ended.stdout
    finding = json.loads((place.folder / "out/finding-1.json").read_text())
    assert finding["chosen"]["qemu"] == [f"bad={place.folder}/bad"]  # from any folder
    assert len(finding["steps"]) == 1
    assert (finding["failed"], finding["lives"]) == (2, 2)
    assert (place.folder / "out/finding-1/qemu.log").is_file()
    again = place.explore("--replay", "out/finding-1.json")
    assert again.returncode == 1, again.stderr
    assert again.stdout.splitlines()[-1] == "3 of 3 lives failed as recorded"
    mended = place.explore("--replay", "out/finding-1.json", "--qemu", "bad=/usr/bin", "--json")
    assert mended.returncode == 0, mended.stderr
    assert json.loads(mended.stdout)["lives"] == ["", "", ""]


@pytest.mark.qemu
def test_an_interrupt(place: Place) -> None:
    """What was seen until then is told, and nothing is left."""
    folder = place.folder / "tmp"
    folder.mkdir()
    with place.begin("few.yaml", "--for", "1h") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("seed ")
        while not list(folder.glob("matrix-explore-*/job-0/life-1/console.log")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    sums, *where = said.splitlines()[-3:]
    (out,) = folder.parent.glob("findings-of-explore/*")
    assert sums.startswith("1 guest, ")
    name = out.relative_to(folder.parent)
    assert where == [
        f"Exploration in {name}; to go on with it:",
        f"  matrix explore --resume {name}",
    ]
    assert list(folder.iterdir()) == []
    (kept,) = place.folder.glob("findings-of-explore/*/*")
    assert kept.name == "exploration.json"


def scraped(port: int, process: subprocess.Popen[str], guests: int) -> dict[str, float]:
    """What is served as soon as so many guests are counted."""
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None
        if time.monotonic() > deadline:
            process.kill()  # else whoever began it waits for its end
            raise AssertionError(guests)
        with (
            suppress(OSError),  # it does not listen yet
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply,
        ):
            lines = reply.read().decode().splitlines()
            pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
            found = {name: float(value) for name, _, value in pairs}
            if found["matrix_explore_guests_total"] >= guests:
                return found
        time.sleep(0.05)


@pytest.mark.slow(reason="two explorations, and a guest of twenty steps")
@pytest.mark.qemu
def test_metrics_are_served_meanwhile(place: Place) -> None:
    """Scrapes are nothing that a guest has left behind. What goes on with it goes on counting."""
    port = 20_000 + os.getpid() % 12_000  # below those that the kernel hands out
    address = ("--metrics", f"127.0.0.1:{port}")
    with place.begin("few.yaml", "--for", "1h", "-o", "out", *address) as process:
        one, two = (scraped(port, process, guests) for guests in (0, 1))
        process.send_signal(signal.SIGTERM)
        said, why = process.communicate(timeout=60)
    assert (process.returncode, why) == (130, "matrix: interrupted\n")
    assert "0 failures found" in said
    steps, of = "matrix_explore_steps_total", 'arch="x86_64"'
    assert one[steps] < two[steps]
    seen = two[f"matrix_explore_cells_seen{{{of}}}"]
    assert 0 < seen < two[f"matrix_explore_cells{{{of}}}"]
    begun = [each for name, each in two.items() if "explore_operations_total{" in name]
    assert sum(begun) == two[steps]
    hop = 'operation="hop by precopy over unix"'
    assert two[f"matrix_explore_operation_seconds_sum{{{hop}}}"] > 0
    hops = two[f"matrix_explore_operations_total{{{of},{hop}}}"]
    assert two[f"matrix_explore_operation_seconds_count{{{hop}}}"] == hops > 0
    with place.begin("--resume", "out", "--for", "1h", *address) as process:
        again = scraped(port, process, 0)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert again[steps] >= two[steps]


def processes_of(folder: Path) -> list[int]:
    """Those that work there, or name it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended
            words = [process.cwd(), *process.cmdline()]
            if process.status() != psutil.STATUS_ZOMBIE and str(folder) in " ".join(words):
                found.append(process.pid)
    return found


@pytest.mark.qemu
def test_one_that_is_killed(place: Place) -> None:
    """What it had kept is gone on with, and what it has left is removed by the next one."""
    folder = place.folder / "tmp"
    folder.mkdir()
    so_far = place.folder / "out" / "exploration.json"
    with place.begin("few.yaml", "--for", "1h", "-o", "out") as process:
        while not so_far.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.communicate(timeout=60)
    assert kept(so_far).guests == 1
    assert kept(so_far).coverage.seen.total() == kept(so_far).steps > 0
    assert len(list(folder.glob("matrix-explore-*"))) == 1
    # A process that it was just starting holds its lock until that is another program, or over.
    deadline = time.monotonic() + 60
    while left := processes_of(place.folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    remove_stale(str(folder))
    assert list(folder.iterdir()) == []


def test_its_help_says_what_its_options_are(place: Place) -> None:
    """Of a run they are something else."""
    said = " ".join(place.explore("--help").stdout.replace("│", " ").split())
    assert "Folder of the findings; must not exist yet." in said
    assert "Seed for drawing sequences; printed if not given." in said
    assert "shrinking a failure comes on top" in said
    assert "Run directory" not in said


def test_wrong_usage(tmp_path: Path) -> None:
    def refused(why: str, path: Path, *scenarios: Path, output: Path | None = None) -> None:
        with pytest.raises(UsageError, match=why):
            run_replay(path, Selection(scenarios), Execution(output=output), json=False)

    def ignored(selection: Selection) -> None:
        with pytest.raises(UsageError, match="beside it only --qemu, --host, --fresh"):
            run_replay(tmp_path / "f.json", selection, Execution(), json=False)

    text = tmp_path / "few.yaml"
    text.write_text(SCENARIO + MIGRATION)
    refused("no such file", tmp_path / "none.json")
    refused("few.yaml is no finding: Invalid JSON", text)
    write(FINDING, tmp_path / "f.json")
    refused("takes case and scenario from its file", tmp_path / "f.json", text)
    refused("and writes nothing", tmp_path / "f.json", output=tmp_path / "out")
    ignored(Selection(build=("x86_64=other",)))
    ignored(Selection(set_axis=("smp=2",), qemu=("bad=bad",)))
    with pytest.raises(UsageError, match="--resume goes on in the same folder"):
        run_explore(NONE, Execution(output=tmp_path / "o"), 1.0, json=False, resume=tmp_path)
    with pytest.raises(UsageError, match="--resume takes scenario and options from its folder"):
        run_explore(Selection((text,)), Execution(), 1.0, json=False, resume=tmp_path)
    with pytest.raises(UsageError, match=r"exploration\.json: no such file"):
        run_explore(NONE, Execution(), 1.0, json=False, resume=tmp_path)
    with pytest.raises(UsageError, match=rf"few\.yaml: a file; .* --resume {tmp_path}$"):
        run_explore(NONE, Execution(), 1.0, json=False, resume=text)
    with pytest.raises(UsageError, match="no scenario given; try: matrix explore explore"):
        run_explore(NONE, Execution(), 1.0, json=False)
    with pytest.raises(UsageError, match="exists; findings overwrite nothing"):
        run_explore(Selection((text,)), Execution(output=text), 1.0, json=False)


def test_what_is_no_finding_to_replay(tmp_path: Path) -> None:
    def refused(why: str, path: Path) -> None:
        with pytest.raises(UsageError, match=why):
            run_replay(path, NONE, Execution(), json=False)

    write(replace(FINDING, steps=()), tmp_path / "f.json")
    refused(r"f\.json: steps: there is none; a finding has at least one", tmp_path / "f.json")
    (tmp_path / "exploration.json").write_text("{}")
    why = rf"exploration\.json is an exploration, and no finding: --resume {tmp_path} goes"
    refused(why, tmp_path / "exploration.json")


@pytest.mark.qemu
def test_a_replay_that_is_not_possible(place: Place) -> None:
    """The step that is not, and what would be right."""
    scenario, path = place.folder / "few.yaml", place.folder / "f.json"
    (place.folder / "bin").symlink_to("/usr/bin")
    chosen = Chosen("few.ram-integrity.x86_64.tcg", str(scenario))
    hop = Step(Operation.HOP, "other", Strategy.PRECOPY, Transport.UNIX)

    def refused(why: str, finding: Finding, *qemu: str) -> None:
        write(finding, path)
        with pytest.raises(UsageError, match=why):
            run_replay(path, Selection(qemu=qemu), Execution(), json=False)

    far = replace(FINDING, chosen=chosen, steps=(*STOP, hop))
    missing = r"there is no QEMU 'other'; give --qemu other=DIR"
    refused(rf"f\.json: step 2: {missing}", far)
    gone = replace(chosen, qemu=("other=/none",), set_axis=("destination=other",))
    refused(rf"f\.json: step 2: {missing}", replace(far, chosen=gone))
    refused(rf"f\.json: /none: {missing}", replace(FINDING, chosen=gone))
    impossible = r"f\.json: step 2: hop by precopy over unix to other is not possible there"
    refused(impossible, far, f"other={place.folder}/bin")
    near = replace(far, steps=(Step(Operation.CONT),))
    refused(r"step 1: cont is not possible there", near)
    given = f"other={place.folder}/bin"
    refused(rf"--qemu {given}: \S+f\.json has no such QEMU, but system", near, given)


@pytest.mark.qemu
def test_what_cannot_be_explored(place: Place) -> None:
    (place.folder / "plain.yaml").write_text(PLAIN + "matrix: {arch: [x86_64], accel: [tcg]}\n")
    ended = place.explore("plain.yaml")
    assert ended.returncode == 5
    assert "no case can be explored: it is not migrated" in ended.stderr


@pytest.mark.qemu
def test_what_is_left_out_is_named_with_its_reason(place: Place) -> None:
    text = SCENARIO.replace("ram-integrity]", "ram-integrity, disk-integrity, elastic-integrity]")
    (place.folder / "more.yaml").write_text(text + MIGRATION)
    found = explorable(Selection((place.folder / "more.yaml",)))
    assert [each.case.test.name for each in found.decisions] == ["ram-integrity"]
    disk, elastic = found.left_out
    assert disk.startswith("few.disk-integrity.x86_64.tcg: its guest has a disk, which")
    assert elastic.startswith("few.elastic-integrity.x86_64.tcg: its guest has virtio-balloon")
    two = explorable(Selection((place.folder / "more.yaml",), set_axis=("smp=1,2,3,4,5",)))
    assert [" and 2 more: " in each for each in two.left_out] == [True, True]


@pytest.mark.qemu
def test_a_place_for_findings_is_there_before_any_is_found(place: Place) -> None:
    """What was found in hours is not lost for a path that is wrong."""
    (place.folder / "file").touch()
    ended = place.explore("few.yaml", "--for", "1h", "-o", "file/out")
    assert ended.returncode == 3
    assert "matrix: cannot create file/out: Not a directory" in ended.stderr
