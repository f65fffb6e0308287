"""The files of a case are named by content where it goes to a host, and found again there."""

import asyncio
import hashlib
import threading
from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.hosts import contents as contents_module
from matrix.hosts.contents import Contents, with_names, with_paths
from matrix.model import Accelerator, Architecture, Build, Case, Test, Variant
from matrix.plan.decisions import Run

X86 = Architecture.X86_64


def decision(folder: Path, errata: str = "") -> Run:
    files = (("errata", errata),) if errata else ()
    build = Build(X86, str(folder), str(folder), firmware=str(folder / "rom"), files=files)
    test = Test("a", str(folder / "a.flat"))
    case = Case("s.a", "s", "kvm-unit-tests", test, Variant(X86), build)
    return Run(case, Accelerator.TCG, "asked for", 1, 2**20)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "a.flat").write_bytes(b"image")
    (folder / "rom").write_bytes(b"firmware")
    return folder


def test_no_path_crosses_and_all_come_back(build: Path) -> None:
    contents = Contents()
    crossing, files = with_names(decision(build), contents)
    assert str(build) not in repr(crossing)
    assert [file.sha256 for file in files] == [
        hashlib.sha256(content).hexdigest() for content in (b"image", b"firmware")
    ]
    assert [file.size for file in files] == [5, 8]
    assert [file.name for file in files] == ["file:0/a.flat", "file:1/rom"]
    back = with_paths(crossing, contents.path)
    assert back.case.test == decision(build).case.test
    assert back.case.build.firmware == str(build / "rom")


def test_equal_files_of_two_builds_keep_their_own_paths(build: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a.flat", "rom"):
        (other / name).write_bytes((build / name).read_bytes())
    contents = Contents()
    crossed = [with_names(decision(folder), contents) for folder in (build, other)]
    digests = [[file.sha256 for file in files] for _, files in crossed]
    assert digests[0] == digests[1]
    images = [with_paths(each, contents.path).case.test.image for each, _ in crossed]
    assert images == [str(build / "a.flat"), str(other / "a.flat")]


def test_a_file_is_read_again_only_where_it_has_changed(build: Path) -> None:
    contents, image = Contents(), build / "a.flat"
    first = contents.name(str(image))
    assert contents.name(str(image)) is first
    image.write_bytes(b"another")
    second = contents.name(str(image))
    assert second.sha256 == hashlib.sha256(b"another").hexdigest()
    assert second.name != first.name


def test_what_cannot_be_read_keeps_its_path(build: Path) -> None:
    (build / "a.flat").unlink()
    crossing, files = with_names(decision(build, errata="/no/such\0file"), Contents())
    assert crossing.case.test.image == str(build / "a.flat")
    assert crossing.case.build.files == (("errata", "/no/such\0file"),)
    assert [Path(file.name).name for file in files] == ["rom"]


def test_a_name_of_another_run_is_unknown() -> None:
    with pytest.raises(HostError, match=r"file:7/a\.flat is not a file of this run"):
        Contents().path("file:7/a.flat")


def test_large_files_are_read_in_a_thread_and_once(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.hosts.contents.LARGE", 6)
    contents = Contents()
    threads: list[str] = []
    digest = contents_module._digest

    def watched(path: str) -> str:
        threads.append(f"{Path(path).name} {threading.current_thread() is threading.main_thread()}")
        return digest(path)

    monkeypatch.setattr("matrix.hosts.contents._digest", watched)
    for _ in range(2):
        asyncio.run(contents.read_large(decision(build, "/none")))
        assert threads == ["rom False"]
    _, files = with_names(decision(build), contents)
    assert threads == ["rom False", "a.flat True"]
    assert {each.sha256 for each in files} == {
        hashlib.sha256(content).hexdigest() for content in (b"image", b"firmware")
    }
