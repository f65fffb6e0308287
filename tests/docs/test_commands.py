"""Every command that the README and the manual show is run, page by page, in order.

A block of commands is fenced as ``console`` and its commands begin with ``$ ``. A comment before it
may say ``<!-- exits N -->`` or ``<!-- not run: REASON -->``; ``<!-- file: NAME -->`` before another
block has its text written into that file first. Each line of a block after ``<!-- printed -->`` is
one that the commands before it have printed, in that order; ``…`` in it is any text.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from matrix.hosts.cache import cache_directory
from matrix.model import Architecture
from matrix.suites.build import builtin_build
from tests.warm import WarmProgram

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if "records" not in page.parts
)
COMMAND_SECONDS = 600
"""Ends one that hangs; on a busy host the longest take minutes."""

_UNDER_KVM = "  include:\n    # No x86_64 combination has accel kvm, so this is one more variant.\n"
_UNDER_KVM += "    - {arch: x86_64, accel: kvm}\n"
_UNDER_KVM += (
    "    # Nor has any of ppc64 accel auto: one more, its guests in the other byte order.\n"
)
_UNDER_KVM += "    - {arch: ppc64, accel: auto, endian: big}\n"
"""Of the smoke scenario. Nested KVM took two thirds of the CPU time of all pages, and
``tests/guests/test_on_qemu.py`` runs the same."""

_EVERYWHERE = f"arch: [{', '.join(Architecture)}]"
_HERE = "arch: [x86_64, aarch64, s390x]"
"""Architectures of the smoke scenario, as shipped (tests/guests/test_on_qemu.py) and here."""

_FENCE = re.compile(r"( *)```(\w*)")
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
_EXITS = re.compile(r"<!-- exits (\d+) -->")
_PRINTED = "<!-- printed -->"
_FILE = re.compile(r"<!-- file: (\S+) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, and what the comment before it says."""

    line: int
    language: str
    text: str
    comment: str

    @property
    def commands(self) -> list[str]:
        """What follows the prompts, continued lines joined."""
        joined = self.text.replace("\\\n", " ")
        return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, in order."""
    comment = ""
    lines = iter(enumerate(page.read_text().splitlines(), 1))
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            if line.strip():
                comment = line.strip() if line.lstrip().startswith("<!--") else ""
            continue
        indent, inner = len(fence[1]), []
        for _, text in lines:
            if text.strip() == "```":
                break
            inner.append(text[indent:])
        yield Block(number, fence[2], "\n".join(inner) + "\n", comment)
        comment = ""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which a user might sit: scenarios, builds beside it, and a host file."""
    home, here = tmp_path / "home", tmp_path / "matrix"
    (home / ".config/matrix").mkdir(parents=True)
    emulator = shutil.which("qemu-system-x86_64")
    if emulator is None:
        pytest.skip("no qemu-system-x86_64 in PATH")
    (home / ".config/matrix/host.yaml").write_text(f"qemu: {{mine: {Path(emulator).parent}}}\n")
    here.mkdir()
    shutil.copytree(ROOT / "scenarios", here / "scenarios")
    smoke = here / "scenarios/smoke.yaml"
    shipped = smoke.read_text()
    assert _UNDER_KVM in shipped
    assert _EVERYWHERE in shipped
    smoke.write_text(shipped.replace(_UNDER_KVM, "").replace(_EVERYWHERE, _HERE))
    for name, architecture in (("x86_64", Architecture.X86_64), ("arm64", Architecture.AARCH64)):
        shutil.copytree(builtin_build(architecture).directory, tmp_path / "kut" / name)
    # KVM runs this one where it works; one guest shows as much as all, for a tenth of the time.
    tests = tmp_path / "kut/x86_64/x86/unittests.cfg"
    tests.write_text(tests.read_text().partition("\n[smp]\n")[0])
    return here


def environment(home: Path, program: Path) -> dict[str, str]:
    """That of a user who has just installed the command, but for what is known of this host.

    To ask every QEMU and prove KVM again for each page takes a minute.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    path = f"{program}:{Path(sys.executable).parent}:{kept.get('PATH', '')}"
    cache = str(cache_directory(os.environ).parent)
    return {**kept, "HOME": str(home), "PATH": path, "COLUMNS": "100", "MATRIX_CACHE": cache}


@pytest.mark.slow(reason="some pages run the smoke scenario, others soak")
@pytest.mark.qemu
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of(page: Path, place: Path, warm: WarmProgram) -> None:
    """Each ends as the page says, and none shows a traceback."""
    printed = ""
    for block in blocks(page):
        if block.comment == _PRINTED:
            assert _prints(block.text, printed), f"{page}:{block.line}: not so:\n{printed}"
        if named := _FILE.fullmatch(block.comment):
            (place / named[1]).write_text(block.text)
        if block.language != "console" or _NOT_RUN.fullmatch(block.comment):
            continue
        exits, printed = _EXITS.fullmatch(block.comment), ""
        for command in block.commands:
            done = subprocess.run(
                ["/bin/bash", "-c", command],
                cwd=place,
                env=environment(place.parent / "home", warm.bin),
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
            where = f"{page.relative_to(ROOT)}:{block.line}: $ {command}"
            said = f"{where}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
            assert done.returncode == (int(exits[1]) if exits else 0), said
            assert "Traceback" not in done.stderr, said
            printed += done.stdout


def _prints(text: str, printed: str) -> bool:
    lines = (re.escape(line).replace("…", ".*") for line in text.splitlines())
    return (
        re.search("(?m)" + r"(?:.|\n)*?".join(f"^{line}$" for line in lines), printed) is not None
    )


def test_what_a_page_says_is_printed() -> None:
    printed = "one\ntwo: 2 of 7\nthree\n"
    assert all(_prints(each, printed) for each in ("one", "one\nthree\n", "two: … of 7\n", "…"))
    assert not any(_prints(each, printed) for each in ("tw", "three\none", "two: … of 8", "four"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_command_hides_from_the_test(page: Path) -> None:
    """A command is in a console block behind a prompt, or it would not be run."""
    for block in blocks(page):
        if block.language == "console":
            assert block.commands, f"{page}:{block.line}: no '$ ' in a console block"
    for number, line in enumerate(page.read_text().splitlines(), 1):
        assert not re.match(r" {4,}\$? ?matrix ", line), f"{page}:{number}: not in a console block"


def test_blocks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- exits 1 -->\n\n```console\n$ a \\\n  b\nout\n$ c\n```\n\n```yaml\nx: 1\n```\n"
    )
    first, second = blocks(page)
    assert (first.commands, first.comment) == (["a    b", "c"], "<!-- exits 1 -->")
    assert (second.commands, second.text, second.comment) == ([], "x: 1\n", "")
