import subprocess
from pathlib import Path

import pytest

from matrix.errors import UsageError
from matrix.status.commits import UNRELEASED, parse_log, read_history
from matrix.status.git import commit_named
from matrix.status.kernel_paths import home_of, part_of, selftest_of
from tests.status.conftest import Repository


def names(kernel: Repository, since: str = "") -> dict[str, list[str]]:
    begin = commit_named(kernel.path, since) if since else ""
    history = read_history(kernel.path, commit_named(kernel.path, "HEAD"), begin)
    return {
        release.name: sorted(commit.name for commit in commits)
        for release, commits in zip(history.releases, history.commits, strict=True)
    }


def test_a_commit_is_of_the_release_that_first_has_it(kernel: Repository) -> None:
    """Not of the one that was made next when it was committed."""
    assert names(kernel) == {
        "v6.1": ["Ann", "Ann"],
        "v6.2": ["Ann", "Bob", "Bob"],
        UNRELEASED: ["Eve"],
    }
    assert names(kernel, "v6.1") == {"v6.2": ["Ann", "Bob", "Bob"], UNRELEASED: ["Eve"]}


def test_merges_are_those_of_the_main_line_that_brought_something(kernel: Repository) -> None:
    kernel.git("checkout", "-q", "-b", "net", "v6.1")
    kernel.commit("Net <net@example.com>", "net/ipv4/udp.c")
    kernel.git("checkout", "-q", "main")
    kernel.git("merge", "-q", "--no-ff", "-m", "Merge net", "net")
    history = read_history(kernel.path, commit_named(kernel.path, "HEAD"))
    assert history.merges == [0, 1, 0]


def test_parts_and_new_selftests(kernel: Repository) -> None:
    history = read_history(kernel.path, commit_named(kernel.path, "HEAD"))
    second = {commit.parts: commit for commit in history.commits[1]}
    assert set(second) == {
        frozenset({"arm64"}),
        frozenset({"selftests"}),
        frozenset({"documentation"}),
    }
    assert second[frozenset({"selftests"})].selftests == (("arm64", "vgic_init"),)
    assert [commit.parts for commit in history.commits[2]] == [frozenset({"x86", "s390"})]


def test_a_selftest_that_only_moves_is_not_new(kernel: Repository) -> None:
    folder = kernel.path / "tools/testing/selftests/kvm"
    (folder / "arm64").rename(folder / "moved")
    kernel.commit("Bob <bob@arm.com>")
    history = read_history(kernel.path, commit_named(kernel.path, "HEAD"))
    assert [commit.selftests for commit in history.commits[2]] == [(), ()]


def test_a_shallow_clone_is_said(kernel: Repository, tmp_path: Path) -> None:
    words = ["git", "clone", "-q", "--depth=1", f"file://{kernel.path}", str(tmp_path / "shallow")]
    subprocess.run(words, check=True)
    history = read_history(tmp_path / "shallow", commit_named(tmp_path / "shallow", "HEAD"))
    assert len(history.notes) == 1
    assert "shallow" in history.notes[0]


def test_what_is_no_clone_or_has_no_kvm(tmp_path: Path, kernel: Repository) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"git rev-parse in .*empty: not a git repository"):
        commit_named(tmp_path / "empty", "HEAD")
    with pytest.raises(
        UsageError, match=r"has no commit .v9\.9.; git -C \S+ tag lists its releases"
    ):
        commit_named(kernel.path, "v9.9")
    end = commit_named(kernel.path, "HEAD")
    with pytest.raises(UsageError, match="no commit changes KVM there"):
        read_history(kernel.path, end, end)


def test_names_of_strangers_are_printable() -> None:
    (commit,) = parse_log(["\x01id\0A@B.C\0N\x1b[31mame\x002", "", "M\tarch/x86/kvm/a.c"])
    assert (commit.address, commit.name) == ("a@b.c", "Name")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("arch/powerpc/include/uapi/asm/kvm.h", "powerpc"),
        ("drivers/kvm/vmx.c", "x86"),
        ("include/asm-x86/kvm_host.h", "x86"),
        ("virt/kvm/arm/vgic.c", "arm64"),
        ("include/kvm/arm_vgic.h", "arm64"),
        ("include/linux/kvm_host.h", "common"),
        ("virt/kvm/kvm_main.c", "common"),
        ("arch/x86/include/asm/svm.h", "x86"),
        ("arch/x86/kernel/kvm.c", None),
        ("include/linux/mm.h", None),
        ("tools/testing/selftests/kvm/lib/kvm_util.c", "selftests"),
    ],
)
def test_parts_of_paths(path: str, part: str | None) -> None:
    assert part_of(path) == part


def test_the_one_part_of_a_commit() -> None:
    assert home_of({"x86", "selftests"}) == "x86"
    assert home_of({"x86", "arm64"}) == "common"
    assert home_of({"selftests", "documentation"}) == "selftests"
    assert home_of({"documentation"}) == "documentation"


def test_what_is_a_selftest() -> None:
    folder = "tools/testing/selftests/kvm"
    assert selftest_of(f"{folder}/x86_64/smm_test.c") == ("x86", "smm_test")
    assert selftest_of(f"{folder}/dirty_log_test.c") == ("common", "dirty_log_test")
    assert selftest_of(f"{folder}/lib/x86/svm.c") is None
    assert selftest_of(f"{folder}/lib/guest_modes.c") is None
