import os
import shutil
import subprocess
from pathlib import Path

import pytest

from matrix.vm import process

NOBODY = 1 << 22
"""No process has this number: it is the kernel's limit (PID_MAX_LIMIT)."""
SETPRIV = shutil.which("setpriv") or ""
needs_setpriv = pytest.mark.skipif(not SETPRIV, reason="setpriv(1) is not installed")
SIGNAL_OF_CHILD = (
    "import ctypes; number = ctypes.c_int();"
    "ctypes.CDLL(None).prctl(2, ctypes.byref(number)); print(number.value)"
)
"""prctl 2 is PR_GET_PDEATHSIG."""


def python() -> tuple[str, ...]:
    return (shutil.which("python3") or "/usr/bin/python3", "-I", "-S", "-c", SIGNAL_OF_CHILD)


@needs_setpriv
def test_setpriv_sets_the_signal() -> None:
    program, *arguments = python()
    words = process.by_setpriv(SETPRIV, os.getpid(), program)
    child = subprocess.run((*words, *arguments), capture_output=True, text=True, check=True)
    assert child.stdout == "9\n"


def test_fork_sets_the_signal() -> None:
    tie = process.by_fork(os.getpid())
    child = subprocess.run(python(), preexec_fn=tie, capture_output=True, text=True, check=True)
    assert child.stdout == "9\n"


@needs_setpriv
def test_an_orphan_of_setpriv_does_not_execute(tmp_path: Path) -> None:
    words = process.by_setpriv(SETPRIV, NOBODY, "/usr/bin/touch")
    child = subprocess.run((*words, str(tmp_path / "it")), stderr=subprocess.DEVNULL, check=False)
    assert child.returncode == process.ORPHANED_STATUS
    assert not (tmp_path / "it").exists()


@needs_setpriv
def test_nor_does_one_whose_parent_is_a_zombie(tmp_path: Path) -> None:
    parent = subprocess.Popen(["/bin/true"])
    try:
        os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
        words = process.by_setpriv(SETPRIV, parent.pid, "/usr/bin/touch")
        child = subprocess.run(
            (*words, str(tmp_path / "it")), stderr=subprocess.DEVNULL, check=False
        )
        assert child.returncode == process.ORPHANED_STATUS
        assert not (tmp_path / "it").exists()
    finally:
        parent.wait()


def test_an_orphan_of_fork_does_not_execute(tmp_path: Path) -> None:
    tie = process.by_fork(NOBODY)
    child = subprocess.run(["/usr/bin/touch", tmp_path / "it"], preexec_fn=tie, check=False)
    assert child.returncode == process.ORPHANED_STATUS
    assert not (tmp_path / "it").exists()
