"""What holds for all tests: workers, as xdist of this version has them, and signals."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import os
import pytest

@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("number", range(20))
def test_it(database, number, record_property):
    record_property("worker", f"{database} {os.environ['PYTEST_XDIST_WORKER']}")

@pytest.mark.slow
def test_long(record_property):
    record_property("worker", "long")
"""


def test_one_worker_runs_what_belongs_together_and_long_ones_come_first(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_bytes(Path(__file__).with_name("conftest.py").read_bytes())
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n    qemu\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:matrix", "--junitxml=it.xml"]
    subprocess.run(command, cwd=tmp_path, env=kept, check=True, capture_output=True)
    report = (tmp_path / "it.xml").read_text()
    workers = [part.partition('"')[0] for part in report.split('name="worker" value="')[1:]]
    assert len([worker for worker in workers if worker.startswith("postgresql")]) == 20
    assert len({worker for worker in workers if worker.startswith("postgresql")}) == 1
    others = [worker for worker in workers if not worker.startswith("postgresql")]
    assert "long" in others[:4]


@pytest.mark.parametrize("name", ["INT", "HUP"])
def test_what_tests_start_can_be_interrupted_where_they_cannot(tmp_path: Path, name: str) -> None:
    (tmp_path / "conftest.py").write_bytes(Path(__file__).with_name("conftest.py").read_bytes())
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(
        f"import os, signal, subprocess\n\ndef test_it():\n"
        f"    os.kill(os.getpid(), signal.SIG{name})\n"
        f"    assert subprocess.call(['sh', '-c', 'kill -{name} $$']) == -signal.SIG{name}\n"
    )
    command = f"trap '' {name}; exec {sys.executable} -m pytest -p no:matrix -p no:xdist -q"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=kept, capture_output=True)
    assert done.returncode == 0, done.stdout
