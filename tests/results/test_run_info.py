import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix import __version__
from matrix.errors import HostError, UsageError
from matrix.inventory import Binary, Inventory, KvmProof, KvmState
from matrix.model import Architecture
from matrix.results.run_info import (
    FORMAT,
    QemuFingerprint,
    RunInfo,
    ScenarioSource,
    read_run_info,
    run_info,
    utc_now,
    write_run_info,
)
from tests import make


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.json"


def binary(path: str) -> Binary:
    return Binary("system", Architecture.ARM, path, (7, 2, 22), "7.2.22 (Debian)", ("tcg",))


def test_a_fingerprint_comes_back(path: Path, tmp_path: Path) -> None:
    qemu = tmp_path / "qemu-system-arm"
    qemu.write_bytes(b"\x7fELF")
    proof = KvmProof("system", Architecture.X86_64, "qemu64", KvmState.WORKS, "passed")
    inventory = Inventory(make.info().host, (binary(str(qemu)),), proofs=(proof,))
    source = ScenarioSource.of("smoke", "smoke.yaml", "name: smoke\n")
    info = run_info(
        (source,),
        inventory,
        arguments=("matrix", "run", "smoke.yaml"),
        options={"strict": True, "jobs": 4, "qemu": {"10.0": "/opt/qemu"}},
        digests=True,
    )
    write_run_info(path, info)
    assert read_run_info(path) == info
    assert info.format == FORMAT
    assert info.tool_version == __version__
    assert info.binaries[0].sha256 == hashlib.sha256(b"\x7fELF").hexdigest()
    assert info.binaries[0].version == "7.2.22 (Debian)"
    assert source.sha256 == hashlib.sha256(b"name: smoke\n").hexdigest()


def test_a_binary_is_read_only_when_asked(tmp_path: Path) -> None:
    gone = binary(str(tmp_path / "gone"))
    assert QemuFingerprint.of(gone).sha256 == ""
    with pytest.raises(HostError, match=r"cannot read .*/gone: No such file"):
        QemuFingerprint.of(gone, digest=True)


def test_the_time_is_utc_with_milliseconds() -> None:
    assert len(utc_now()) == len("2026-11-21T09:30:00.000Z")
    assert utc_now().endswith("Z")


def test_a_path_that_is_no_text_does_not_stop_a_run(path: Path) -> None:
    write_run_info(path, make.info(arguments=(os.fsdecode(b"\xff.yaml"),)))
    assert read_run_info(path).arguments == ("\\xff.yaml",)


def test_unknown_keys_of_a_later_version_are_ignored(path: Path, info: RunInfo) -> None:
    write_run_info(path, info)
    path.write_text(path.read_text().replace("{", '{"later": [1],', 1))
    assert read_run_info(path) == info


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not JSON: EOF while parsing a value"),
        ("\udcff", "is not JSON: "),
        ("[" * 100_000, "is not JSON: recursion limit exceeded"),
        ("[]", "has no format number"),
        ('{"format": "1"}', "has no format number"),
        ('{"format": 2}', "written by a newer version"),
        ('{"format": 1}', "started: "),
        ('{"format": 1, "started": "now", "host": 3}', "host: "),
    ],
)
def test_a_broken_file_is_named(path: Path, text: str, complaint: str) -> None:
    path.write_bytes(os.fsencode(text))
    with pytest.raises(UsageError) as caught:
        read_run_info(path)
    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()


@given(change=st.binary(max_size=20), data=st.data())
def test_any_change_gives_a_fingerprint_or_a_usage_error(
    change: bytes, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.json"
    whole = b'{"started":"x","host":{"architecture":"","kernel":"","cpus":1,"memory":1},"format":1}'
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    path.write_bytes(whole[:start] + change + whole[end:])
    complaints: list[str] = []
    try:
        read_run_info(path)
    except UsageError as error:
        complaints.append(str(error))
    assert all(complaint.isprintable() for complaint in complaints)
