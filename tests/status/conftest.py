"""Small repositories: a kernel with KVM in it, and kvm-unit-tests."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Repository:
    """A repository whose commits are a day apart, the first on 2024-01-01."""

    path: Path
    days: int = field(default=0)

    def git(self, *words: str, **more: str) -> str:
        when = f"{1704067200 + self.days * 86400} +0000"
        names = {"GIT_AUTHOR_NAME": "Somebody", "GIT_COMMITTER_NAME": "A Committer"}
        mails = {"GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_EMAIL": "c@example.org"}
        dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        plain = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        done = subprocess.run(
            ["git", "-C", str(self.path), *words],
            env={**os.environ, **names, **mails, **dates, **plain, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, author: str, *paths: str, **contents: str) -> None:
        """Change files: one more line each; ``author`` is ``Name <address>``."""
        self.days += 1
        texts = dict.fromkeys(paths, f"line {self.days}\n")
        for path, text in {**texts, **contents}.items():
            (self.path / path).parent.mkdir(parents=True, exist_ok=True)
            with (self.path / path).open("a") as file:
                file.write(text)
        name, address = author.rstrip(">").split(" <")
        self.git("add", "-A")
        names = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": address}
        self.git("commit", "-q", "--allow-empty", "-m", "a change", **names)

    def tag(self, name: str) -> None:
        self.git("tag", "-a", name, "-m", name)


@pytest.fixture
def repository(tmp_path: Path) -> Callable[[str], Repository]:
    def make(name: str) -> Repository:
        made = Repository(tmp_path / name)
        made.path.mkdir()
        made.git("init", "-q", "-b", "main")
        return made

    return make


@pytest.fixture
def kernel(repository: Callable[[str], Repository]) -> Repository:
    """Two releases and what follows, with a side branch that was begun before the first and merged
    after it."""
    made = repository("linux")
    made.commit("Ann <ann@redhat.com>", "Makefile", "arch/x86/kvm/mmu.c", "arch/x86/kernel/cpu.c")
    made.git("checkout", "-q", "-b", "arm")
    made.commit("Bob <bob@arm.com>", "arch/arm64/kvm/arm.c", "arch/arm64/include/asm/kvm_host.h")
    made.commit("Bob <bob@arm.com>", "tools/testing/selftests/kvm/arm64/vgic_init.c")
    made.git("checkout", "-q", "main")
    made.commit("Ann <ann@redhat.com>", "virt/kvm/kvm_main.c", "Documentation/virt/kvm/api.rst")
    made.tag("v6.1")
    made.tag("v6.2-rc1")
    made.commit("Net <net@example.com>", "net/ipv4/tcp.c")
    made.git("merge", "-q", "--no-ff", "-m", "Merge arm", "arm")
    made.commit("Ann <ann@google.com>", "Documentation/virt/kvm/api.rst")
    made.tag("v6.2")
    made.commit("Eve <eve@nowhere.test>", "arch/x86/kvm/mmu.c", "arch/s390/kvm/s390.c")
    return made
