"""Destinations that do not match their source: another machine, or other TLS credentials."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from matrix.migrating import Fault
from matrix.migration.credentials import Secrets, make_psk, make_x509
from matrix.migration.faults import altering
from matrix.migration.faults.base import FaultInjector
from matrix.migration.folder import private_folder
from matrix.migration.live_hop import LiveHop
from matrix.migration.routes import TcpRoute
from matrix.model import Launch

ELSEWHERE = "elsewhere.example"
"""A host that the destination is not (RFC 2606)."""


class Mismatch(FaultInjector):
    """The destination is started with another command line, and nobody compares."""

    # A source that is told to start postcopy at once may have, where its stream is buffered, before
    # it learns that its destination does not fit, and loses the guest: 10.0 by exec, 7.2 by TLS.
    starts_postcopy = False

    compares = False
    changes: ClassVar[dict[Fault, Callable[[Launch], Launch]]] = {
        Fault.MEMORY_MISMATCH: altering.more_memory,
        Fault.DEVICE_MISMATCH: altering.without_device,
        Fault.VCPU_MISMATCH: altering.other_vcpus,
        Fault.MACHINE_MISMATCH: altering.other_machine,
        Fault.UUID_MISMATCH: altering.other_uuid,
    }

    def adapt(self, launch: Launch) -> Launch:
        return self.changes[self.fault](launch)

    async def prepare(self, hop: LiveHop) -> None:
        if self.fault is Fault.UUID_MISMATCH:
            hop.capabilities.add("validate-uuid")  # without it QEMU does not look
        self.deed(hop, f"the destination was started with a {self.fault.value}")


class WrongCredentials(FaultInjector):
    """One side is given TLS credentials that the other must refuse."""

    async def prepare(self, hop: LiveHop) -> None:
        route = hop.route
        if not isinstance(route, TcpRoute) or route.secrets is None:
            return
        folder = self.resources.enter_context(private_folder())
        route.secrets = wrong_secrets(self.fault, route.secrets, folder)
        self.deed(hop, self.fault.value)


def wrong_secrets(fault: Fault, right: Secrets, folder: Path) -> Secrets:
    """What is wrong as the fault says, made in ``folder`` (which exists).

    Raises:
        HostError: it cannot be written.
        ValueError: the fault is none of TLS.
    """
    match fault:
        case Fault.TLS_WRONG_CERTIFICATE:
            stranger = make_x509(folder / "stranger")  # an authority that the source has not
            return replace(right, server=stranger.server)
        case Fault.TLS_WRONG_HOST:
            elsewhere = make_x509(folder / "elsewhere", hostname=ELSEWHERE)
            return replace(elsewhere, hostname=right.hostname)
        case Fault.TLS_NO_CLIENT_CERTIFICATE:
            return make_x509(folder / "anonymous", client=False)
        case Fault.TLS_WRONG_PSK:
            return replace(right, client=make_psk(folder / "stranger").client)
        case _:
            raise ValueError(f"{fault.value} is no fault of TLS")
