"""A host behind JSON: whatever crosses to it and back is a text on the way."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from matrix.errors import HostLostError
from matrix.hosts.contents import Contents
from matrix.hosts.interface import Assignment, Console, Ended, Event, Executor, HopDone, Host
from matrix.inventory import Inventory
from matrix.plan.schedule import Capacity

ASSIGNMENT: TypeAdapter[Assignment] = TypeAdapter(Assignment)
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


@dataclass
class JsonHost:
    """Hands everything to ``inner`` and back through JSON, and counts."""

    inner: Host
    breaks_after: int | None = None
    """Attempts that it starts before it is lost."""
    sent: list[str] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    running: int = 0
    at_once: int = 0
    on_console: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def inventory(self) -> Inventory:
        return self.inner.inventory

    @property
    def capacity(self) -> Capacity:
        return self.inner.capacity

    @asynccontextmanager
    async def open(self, run: Path, contents: Contents) -> AsyncIterator["_Executor"]:
        async with self.inner.open(run, contents) as executor:
            yield _Executor(self, executor)


@dataclass
class _Executor:
    host: JsonHost
    inner: Executor

    def release(self, token: str) -> None:
        self.inner.release(token)

    def cancel(self, token: str) -> None:
        self.inner.cancel(token)

    async def execute(
        self, assignment: Assignment, emit: Callable[[Console | HopDone], None]
    ) -> Ended:
        host = self.host
        if host.breaks_after is not None and len(host.sent) >= host.breaks_after:
            raise HostLostError("its power is off")
        text = ASSIGNMENT.dump_json(assignment).decode()
        host.sent.append(text)
        host.tokens.append(assignment.token)
        crossed = ASSIGNMENT.validate_python(json.loads(text))
        assert crossed == assignment

        def back(event: Event) -> Event:
            said = EVENT.dump_json(event).decode()
            host.received.append(said)
            returned = EVENT.validate_python(json.loads(said))
            assert returned == event
            return returned

        def emitted(event: Console | HopDone) -> None:
            returned = back(event)
            assert not isinstance(returned, Ended)
            emit(returned)
            host.on_console()

        host.running += 1
        host.at_once = max(host.at_once, host.running)
        try:
            ended = back(await self.inner.execute(crossed, emitted))
        finally:
            host.running -= 1
        assert isinstance(ended, Ended)
        return ended


def texts_in(value: Any) -> list[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts_in(each)]
    return [text for each in value for text in texts_in(each)] if isinstance(value, list) else []
