"""What a route over TCP asks of both sides, and in how many round trips."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from matrix.errors import MonitorError
from matrix.migration.credentials import Secrets
from matrix.migration.endpoint import Endpoint
from matrix.migration.routes import TcpRoute
from matrix.vm.location import Landing

SECRETS = Secrets({"qom-type": "theirs"}, {"qom-type": "ours"}, "b.lab")
LISTENING = {"socket-address": [{"port": "50001", "host": "0.0.0.0"}]}
LISTENS = ["object-del", "object-add", "migrate-set-parameters", "migrate-incoming"]


class FarAway:
    """A QEMU whose answers take a while; all that it is asked meanwhile is one trip."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.trips: list[list[str]] = []
        self._answer: asyncio.Event | None = None

    async def execute(self, command: str, _arguments: object = None) -> Any:
        await self._trip(command)
        if command in self.refused:
            raise MonitorError(command, "it is refused", "GenericError")
        return {}

    async def information(self) -> dict[str, Any]:
        await self._trip("query-migrate")
        return LISTENING

    async def _trip(self, command: str) -> None:
        if self._answer is None or self._answer.is_set():
            self._answer = asyncio.Event()
            self.trips.append([])
            asyncio.get_running_loop().call_later(0.01, self._answer.set)
        self.trips[-1].append(command)
        await self._answer.wait()


def asked(far: FarAway, work: Awaitable[None]) -> list[list[str]]:
    async def run() -> None:
        await work

    asyncio.run(run())
    return far.trips


def endpoint(far: FarAway) -> Endpoint:
    found: Any = far
    checked: Endpoint = found
    return checked


def test_a_destination_listens_after_one_round_trip() -> None:
    far, route = FarAway("object-del"), TcpRoute(SECRETS, Landing("10.0.0.2", 50000, 50003, "", ""))
    trips = asked(far, route.listen(endpoint(far)))
    assert trips == [[*LISTENS, "query-migrate"]]
    assert (route.port, route.outgoing) == (50001, "tcp:10.0.0.2:50001")


def test_a_source_gets_its_key_in_one_round_trip() -> None:
    far = FarAway()
    assert asked(far, TcpRoute(SECRETS).arrange(endpoint(far))) == [LISTENS[:3]]
    assert asked(far, TcpRoute().arrange(endpoint(far))) == [LISTENS[:3]]


@pytest.mark.parametrize("refused", LISTENS[1:])
def test_what_is_refused_is_told(refused: str) -> None:
    far = FarAway(refused)
    with pytest.raises(MonitorError, match=refused):
        asked(far, TcpRoute(SECRETS).listen(endpoint(far)))
