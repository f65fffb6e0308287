"""What is told of builds that are not there."""

from pathlib import Path

import pytest

from matrix.hosts.host_settings import HostFile
from matrix.run.options import Selection
from matrix.run.prepare import chosen


def test_what_a_variable_stands_for_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's scenario may name any variable, and its value would stand in a job's log."""
    monkeypatch.setenv("TOKEN", "s3cret")
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\nsuite: {kind: kvm-unit-tests, build: '${TOKEN}/x'}\nmatrix: {arch: [arm]}\n"
    )
    _, cases = chosen(Selection(scenarios=(path,)), HostFile())
    assert cases
    assert all("no build at ${TOKEN}/x" in repr(case) for case in cases)
    assert "s3cret" not in repr(cases)
