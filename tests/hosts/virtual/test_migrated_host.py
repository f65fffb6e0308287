"""What a virtual host that is migrated starts with, and what its kernel's faults make of a case."""

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.hosts.virtual.image import Image
from matrix.hosts.virtual.migrated_host import initrd_with, with_report
from matrix.hosts.virtual.vmm import proving_cases
from matrix.model import Accelerator, Architecture
from matrix.plan.decisions import Run
from matrix.verdicts import Verdict
from tests import make

CASE = next(proving_cases(Architecture.AARCH64))


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "initrd").write_bytes(b"the host's own ")
    return Image(tmp_path / "kernel", tmp_path / "initrd", "digest", "origin")


def test_the_guest_comes_behind_the_initramfs(image: Image) -> None:
    path = initrd_with(CASE, image)
    content = path.read_bytes()
    assert content.startswith(b"the host's own 070701")
    assert Path(CASE.test.image).read_bytes() in content
    words = content.partition(b"guest/words\0")[2]
    assert b"/guest/image\n256\n1\nboot 256 " in words
    path.touch()
    assert initrd_with(CASE, image) == path
    other = replace(CASE, test=replace(CASE.test, arguments="smp 1"))
    assert initrd_with(other, image) != path
    assert len(list(path.parent.iterdir())) == 3


def test_a_guest_that_is_gone_is_told(image: Image) -> None:
    gone = replace(CASE, test=replace(CASE.test, image="/nowhere/guest.flat"))
    with pytest.raises(HostError, match=r"/nowhere/guest\.flat"):
        initrd_with(gone, image)


@pytest.mark.parametrize(
    ("line", "verdict", "reason"),
    [
        ("BUG: soft", Verdict.FAIL, "the host's kernel reports: BUG: soft; hop 2: bad"),
        (
            "Kernel panic - not syncing: x",
            Verdict.CRASH,
            "the virtual host was lost: Kernel panic - not syncing: x; hop 2: bad",
        ),
    ],
)
def test_what_the_hosts_kernel_reports_comes_first(
    line: str, verdict: Verdict, reason: str
) -> None:
    attempt = make.attempt(verdict=Verdict.FAIL, reason="hop 2: bad")
    told = with_report(attempt, line, Run(CASE, Accelerator.KVM, "", 1, 1 << 28))
    assert (told.verdict, told.reason) == (verdict, reason)
