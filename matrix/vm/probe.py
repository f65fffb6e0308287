"""A QEMU without a machine, to be asked over QMP what it can do."""

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterable, Sequence

from matrix.errors import MonitorError
from matrix.suites.stderr import complaint
from matrix.vm.console import OutputReader, Tail
from matrix.vm.location import monitor_arguments
from matrix.vm.monitor import EventCallback, Monitor, ignore_event
from matrix.vm.process import Process, spawn
from matrix.vm.qemu_session import EXIT_GRACE


@contextlib.asynccontextmanager
async def bare_qemu(
    binary_argv: Sequence[str],
    timeout: float,  # noqa: ASYNC109 - expiry is reported as MonitorError
    *,
    environment: Iterable[tuple[str, str]] = (),
    on_event: EventCallback = ignore_event,
) -> AsyncIterator[Monitor]:
    """Start ``binary_argv`` with only a monitor; yield that, and end QEMU when this is left.

    Args:
        binary_argv: the program and options of the caller's. ``-nodefaults -display none -S`` are
            added, and ``-machine none`` where the options name no machine.
        timeout: seconds until the monitor must have greeted. Commands have their own.
        environment: variables added to our own.
        on_event: gets its events.

    Raises:
        SpawnError: it cannot be executed.
        MonitorError: it dies, also while the body uses the monitor, or does not answer; with what
            QEMU said on stderr.
    """
    said = Tail()
    with contextlib.ExitStack() as stack:
        process, ours, reader = await _start(binary_argv, environment, said, stack)
        monitor: Monitor | None = None
        try:
            monitor = await Monitor.connect(ours, timeout, on_event=on_event)
            yield monitor
            with contextlib.suppress(MonitorError):  # quit may outrun its own reply
                await monitor.execute("quit", timeout=EXIT_GRACE)
            await process.ended_within(EXIT_GRACE)
        except MonitorError as error:
            if error.error_class:  # QEMU lives, and said no
                raise
            await process.ended_within(EXIT_GRACE)
            reader.drain()
            raise _with_exit(error, process, said) from error
        finally:
            try:
                await process.destroy()
            finally:
                if monitor is not None:
                    monitor.close()


async def _start(
    binary_argv: Sequence[str],
    environment: Iterable[tuple[str, str]],
    said: Tail,
    stack: contextlib.ExitStack,
) -> tuple[Process, socket.socket, OutputReader]:
    """Start QEMU; ``said`` gets what it prints, ``stack`` releases our ends of everything."""
    argv = [*binary_argv, "-nodefaults", "-display", "none"]
    if not {"-machine", "-M", "--machine"} & set(binary_argv):
        argv += ["-machine", "none"]
    with contextlib.ExitStack() as theirs:
        ours, monitor = socket.socketpair()
        stack.callback(ours.close)
        theirs.callback(monitor.close)
        reader, writable = OutputReader.of_pipe(said.write)
        theirs.callback(os.close, writable)
        stack.callback(reader.close)
        process = await spawn(
            (*argv, *monitor_arguments(monitor.fileno())),
            stdout=writable,
            stderr=writable,
            pass_fds=(monitor.fileno(),),
            environment=environment,
        )
    return process, ours, reader


def _with_exit(error: MonitorError, process: Process, said: Tail) -> MonitorError:
    """The same error, with how QEMU ended and what it said."""
    why = error.why
    if process.status is not None:
        how = f"signal {-process.status}" if process.status < 0 else f"status {process.status}"
        why = f"{process.argv[0]} ended with {how}"
    told = complaint(said.lines())
    return MonitorError(error.command, f"{why}: {told}" if told else why)
