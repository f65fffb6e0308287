"""What ends the program: signals, all as Ctrl-C does; a host that lacks something."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from matrix.__main__ import ENDING, take_signals
from matrix.cli.main import lacking


@pytest.fixture
def handlers() -> Iterator[None]:
    """Those of a process that was just started, and after the test what was there before."""
    numbers = (*ENDING, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("interrupt", [signal.default_int_handler, signal.SIG_IGN])
@pytest.mark.usefixtures("handlers")
def test_it_is_an_interrupt(number: signal.Signals, interrupt: signal.Handlers) -> None:
    """Also where SIGINT is ignored, as in a job of a shell's background."""
    signal.signal(signal.SIGINT, interrupt)
    take_signals()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.usefixtures("handlers")
def test_an_event_loop_cancels_its_task(number: signal.Signals) -> None:
    """So that all that it has started and made is taken away."""
    take_signals()
    ended = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())
    assert ended == [True]


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.usefixtures("handlers")
def test_what_was_ignored_stays_so(number: signal.Signals) -> None:
    """``nohup``, ``trap '' HUP``."""
    signal.signal(number, signal.SIG_IGN)
    take_signals()
    os.kill(os.getpid(), number)
    assert signal.getsignal(number) is signal.SIG_IGN


def test_no_temporary_folder() -> None:
    """As :mod:`tempfile` says it, whatever wants one."""
    error = FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/']")
    assert lacking(error).endswith("found in ['/tmp', '/']; TMPDIR names another folder")
    assert not lacking(FileNotFoundError(2, "No such file or directory", "x"))
