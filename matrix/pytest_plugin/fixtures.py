"""The fixtures ``vm`` and ``migrate``: what a test calls, and what is cleaned up behind it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.errors import MatrixError
from matrix.migrating import Hop
from matrix.plan.decisions import Broken, Skip
from matrix.pytest_plugin.asking import Wish, plan_guest
from matrix.pytest_plugin.guest import Guest, GuestError
from matrix.pytest_plugin.looping import LoopThread
from matrix.pytest_plugin.moving import chosen_way
from matrix.pytest_plugin.running import PlannedGuest
from matrix.results.directory import CONSOLE_FILE
from matrix.results.files import host_errors, read_tail
from matrix.results.printable import decoded, printable
from matrix.run.options import Selection
from matrix.scenario.units import format_size
from matrix.scenario.values import parse_arch

CONSOLE_TAIL = 64 * 2**10
"""Bytes of a guest's console that are shown with a test that failed."""


class Machines:
    """The ``vm`` fixture of one test: call it to start a guest. Ends all of them with the test."""

    def __init__(self, options: Selection, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._loop: LoopThread | None = None
        self._wishes: dict[Guest, Wish] = {}
        self._files = 0

    def __call__(
        self,
        arch: str,
        *,
        test: str = "boot",
        build: str | Path = "",
        accel: str = "auto",
        qemu: str = "system",
        timeout: float | None = None,
        stall: float = 20.0,
        **axes: str | int | None,
    ) -> Guest:
        """Start a guest and return it once it runs; the test is skipped where this host cannot.

        Args:
            arch: its architecture, by QEMU's name or an alias (``arm64``).
            test: the name of a test of the suite.
            build: folder of a kvm-unit-tests build; without it that of ``--matrix-build``, else
                the guests that come with this package.
            accel: ``kvm``, ``tcg``, or ``auto``: KVM where it works.
            qemu: an installation by its name (``--matrix-qemu``), or ``system``.
            timeout: seconds that the guest may take in all; None for the test's own limit.
            stall: seconds without output and CPU time after which it counts as dead.
            axes: any other axis of a scenario but those of migrations, as it is written there:
                ``machine``, ``cpu``, ``smp``, ``memory`` (bytes, or text as ``256MiB``),
                ``backend``, …; None for the suite's or QEMU's default.

        Raises:
            GuestError: there is no such test, axis, architecture or build, or QEMU does not start.
        """
        __tracebackhide__ = True
        try:
            wish = Wish(
                arch=parse_arch(arch),
                test=test,
                accel=accel,
                qemu=qemu,
                build=str(build),
                axes=tuple(_written(axes)),
                timeout=timeout,
                stall=stall,
            )
            planned = self._plan(wish)
        except MatrixError as error:
            raise GuestError(str(error)) from None
        guest = Guest(self._running_loop(), planned)
        self._wishes[guest] = wish
        guest.start()
        return guest

    def elsewhere(self, guest: Guest, qemu: str) -> PlannedGuest:
        """The same guest on another QEMU.

        Raises:
            MatrixError: there is no such QEMU, or it cannot run the guest.
        """
        return self._plan(replace(self._wishes[guest], qemu=qemu))

    def close(self) -> None:
        """End what still runs."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        try:
            for guest in self._wishes:
                guest.stop()
        finally:
            loop.close()

    def consoles(self) -> Iterator[tuple[str, str]]:
        """(title, what the guest printed last) of each guest."""
        for number, guest in enumerate(self._wishes, 1):
            text = decoded(read_tail(guest.directory / CONSOLE_FILE, CONSOLE_TAIL))
            title = "stdout (guest)" if len(self._wishes) == 1 else f"stdout (guest {number})"
            if text.strip():
                yield title, text

    def ends(self) -> Iterator[tuple[str, str]]:
        """(title, what it came to, its folder and its command) of each guest."""
        for number, guest in enumerate(self._wishes, 1):
            title = "stdout (end of the guest" + (")" if len(self._wishes) == 1 else f" {number})")
            reason = [printable(guest.reason)] if guest.reason else []
            yield title, "\n".join([*reason, str(guest.directory), str(guest.command)])

    def _plan(self, wish: Wish) -> PlannedGuest:
        self._files += 1
        directory = self._folder / f"guest-{self._files}"
        decision, inventory = plan_guest(wish, self._options, directory.with_suffix(".yaml"))
        if isinstance(decision, Broken):
            raise GuestError(decision.reason)
        if isinstance(decision, Skip):
            pytest.skip(decision.reason)  # as a run of the scenario would
        with host_errors("create", directory):
            directory.mkdir(mode=0o700)
        return PlannedGuest(decision, inventory, directory)

    def _running_loop(self) -> LoopThread:
        if self._loop is None:
            self._loop = LoopThread()
            self._loop.start()
        return self._loop


def _written(axes: Mapping[str, str | int | None]) -> Iterator[tuple[str, str | int]]:
    """The axes that are given, as a scenario has them."""
    for name, value in axes.items():
        if value is not None:
            yield name, format_size(value) if name == "memory" and isinstance(value, int) else value


class Migrate:
    """The ``migrate`` fixture: call it with a guest to migrate it live."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def __call__(
        self,
        guest: Guest,
        *,
        strategy: str = "precopy",
        transport: str | None = None,
        to: str | None = None,
        parameters: Mapping[str, int | bool | str] | None = None,
        timeout: float = 60.0,
    ) -> Hop:
        """Migrate the guest to a new QEMU process, and return when it runs there.

        Args:
            guest: of the ``vm`` fixture of the same test.
            strategy: as in a scenario, but for ``cpr-transfer`` and ``dirty-limit``, for which
                the guest would have to be started otherwise.
            transport: as in a scenario, but for ``exec``; None for ``unix``, and for strategies
                that go through a file and take none.
            to: name of another QEMU installation; None for the guest's own.
            parameters: QEMU's migration parameters by its names, in QEMU's units.
            timeout: seconds after which the hop is given up.

        Returns:
            What the hop came to: its downtime, how much was transferred, ….

        Raises:
            GuestError: it failed, or lost the guest; or the guest had come to its end.
            ValueError: there is no such strategy or transport, or a test cannot have it.
        """
        __tracebackhide__ = True
        way = chosen_way(strategy, transport, dict(parameters or {}), timeout)
        try:
            planned = None if to is None else self._machines.elsewhere(guest, to)
        except MatrixError as error:
            raise GuestError(str(error)) from None
        return guest.migrate(planned, way)
