"""``matrix show RUN CASE``: what the case left behind, of a fake guest."""

import pytest

from tests.cli.conftest import World, failing, passing


@pytest.fixture
def shown(world: World) -> World:
    world.suite(good=passing(), bad=failing("one", "two"))
    assert world.matrix_run().returncode == 1
    return world


def test_console_files_and_command(shown: World) -> None:
    folder = shown.root / "out/cases/fake.bad.x86_64.tcg.qemu=fake"
    lines = [f"line {number} \x1b[31m" for number in range(30)]
    (folder / "console.log").write_text("\n".join([*lines, "FAIL: one", "x" * 1000]))
    (folder / "diagnosis").mkdir()
    (folder / "diagnosis/registers.txt").write_text("CPU#0\nRIP=0x1234\n")
    (folder / "diagnosis/stack.txt").write_text("0x1234 arch_hang\n")
    (folder / "away").symlink_to("/etc/passwd")
    done = shown.run("show", "out", "bad")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert "\x1b" not in text
    assert "  Console, last 20 lines\n    line 12" in text
    assert f"    FAIL: one\n    {'x' * 399}…\n" in text
    assert "  diagnosis/stack.txt\n    0x1234 arch_hang\n" in text
    assert "  diagnosis/registers.txt\n    CPU#0\n    RIP=0x1234\n" in text
    files = text.partition("  Files\n")[2].partition("  Command\n")[0]
    assert "  diagnosis/stack.txt" in files
    assert "away" not in files
    command = text.partition("  Command\n")[2]
    assert command.startswith(f"    {shown.root}/qemu/qemu-system-x86_64 \\\n")
    assert "exec" not in command
    assert '"$@"' not in command


def test_a_case_without_files(shown: World) -> None:
    for path in (shown.root / "out/cases/fake.good.x86_64.tcg.qemu=fake").iterdir():
        path.unlink()
    done = shown.run("show", "out", "good")
    assert done.returncode == 0, done.stderr
    assert "Files" not in done.stdout
