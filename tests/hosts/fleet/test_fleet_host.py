"""Cases on hosts of a fleet, over TLS on loopback."""

import asyncio
import errno
import socket
import time
from dataclasses import replace
from random import Random

import pytest

from matrix import __version__
from matrix.attempt import Attempt
from matrix.errors import HostError, HostLostError, LossCause
from matrix.hosts.fleet.file_cache import FileCache, Incoming
from matrix.hosts.fleet.fleet_file import ORCHESTRATOR
from matrix.hosts.fleet.fleet_host import FleetExecutor
from matrix.hosts.fleet.gate import arrival_within
from matrix.hosts.fleet.link import dial
from matrix.hosts.fleet.messages import Accept, FleetKind, Join, Look
from matrix.hosts.interface import Assignment, Ended
from matrix.verdicts import Verdict
from tests.hosts.fleet.conftest import FleetLab
from tests.hosts.workers.test_local_workers import gone


async def passed(running: "asyncio.Task[Attempt | None]") -> Attempt:
    async with asyncio.timeout(100):
        attempt = await running
    assert attempt is not None
    assert attempt.verdict is Verdict.PASS, attempt.reason
    return attempt


async def die(executor: FleetExecutor) -> None:
    """Be silent from here on, as if killed."""
    assert executor._keeping is not None
    executor._keeping.cancel()
    await asyncio.wait((executor._keeping,))
    assert executor._link is not None
    executor._link.close()
    executor._link = None


def test_two_hosts_run_cases_and_the_results_come_back_whole(lab: FleetLab) -> None:
    run = lab.recorder("a", "b").run

    async def work() -> None:
        async with lab.fleet("z1", "z2") as hosts, asyncio.TaskGroup() as tasks:
            names = dict(zip("ab", hosts.values(), strict=True))
            assignments = {name: lab.assignment(name) for name in "ab"}
            running = {
                name: tasks.create_task(lab.attempt(host, assignments[name]))
                for name, host in names.items()
            }
            for name in "ab":
                await lab.guest(name)
                lab.go(name)
            for task in running.values():
                await passed(task)

    asyncio.run(work())
    for name in "ab":
        folder = run.case_folder(f"s.{name}")
        assert (folder / "console.log").read_text().startswith("begin\nPASS: a\n")
        assert (folder / "command.sh").stat().st_mode & 0o777 == 0o700
        assert lab.printed[name].startswith("begin")
        assert [*lab.folder.glob("host-*/run")] == []
    assert sorted(path.name for path in lab.folder.glob("host-z*/files/*")) != []


def test_a_file_is_sent_once(lab: FleetLab) -> None:
    lab.recorder("a", "b")
    lab.go("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            assignment = lab.assignment("a")
            await passed(asyncio.create_task(lab.attempt(hosts["z1"], assignment)))
            lab.contents.path(assignment.files[0].name).unlink()
            again = replace(assignment, token="again", folder=lab.assignment("b").folder)
            await passed(asyncio.create_task(lab.attempt(hosts["z1"], again)))

    asyncio.run(work())


def test_a_file_that_is_gone_says_nothing_of_the_host(lab: FleetLab) -> None:
    lab.recorder("a", "b")
    lab.go("b")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            assignment = lab.assignment("a")
            lab.contents.path(assignment.files[0].name).unlink()
            attempt = await lab.attempt(hosts["z1"], assignment)
            assert attempt is not None
            assert attempt.verdict is Verdict.ERROR
            assert "No such file" in attempt.reason
            await passed(asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("b"))))

    asyncio.run(work())


def test_a_held_guest_runs_when_it_is_released(lab: FleetLab) -> None:
    lab.recorder("a")
    lab.go("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            running = asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a", held=True)))
            await asyncio.sleep(0)
            hosts["z1"].release("a")
            await passed(running)

    asyncio.run(work())
    assert lab.said[:2] == ["z1: runs cases for an orchestrator", "z1: the run is over for it"]


def test_a_cancelled_attempt_comes_to_nothing(lab: FleetLab) -> None:
    lab.recorder("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            running = asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a")))
            await lab.guest("a")
            hosts["z1"].cancel("a")
            assert await running is None

    asyncio.run(work())


def test_what_was_broken_off_is_ended_on_its_host(lab: FleetLab) -> None:
    lab.recorder("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            running = asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a")))
            await lab.guest("a")
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    asyncio.run(work())


def test_a_link_that_breaks_off_loses_nothing(lab: FleetLab) -> None:
    lab.recorder("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            running = asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a")))
            await lab.guest("a")
            lab.relays["z1"].reset()
            while "z1: the link is down" not in lab.said:  # noqa: ASYNC110 - the executor's word
                await asyncio.sleep(0.01)
            lab.go("a")
            await passed(running)

    asyncio.run(work())
    assert len(lab.pids("a")) == 1


def test_a_host_that_is_stopped_says_so_and_nothing_of_it_runs(lab: FleetLab) -> None:
    lab.recorder("a", "b")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            running = asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a")))
            guest = await lab.guest("a")
            await lab.stop("z1")
            with pytest.raises(HostLostError, match="its worker was stopped"):
                await running
            assert not guest.is_running()
            with pytest.raises(HostLostError, match="its worker was stopped"):
                await lab.attempt(hosts["z1"], lab.assignment("b"))

    asyncio.run(work())


def test_a_host_that_is_cut_off_ends_its_guests_before_it_is_given_up(lab: FleetLab) -> None:
    lab.lease = 2.0
    lab.recorder("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            running = asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a")))
            guest = await lab.guest("a")
            lab.relays["z1"].cut()
            begun = time.monotonic()
            with pytest.raises(HostLostError, match=r"nothing was heard of it for 3\.5 s"):
                await running
            assert gone(guest)
            assert time.monotonic() - begun >= 2.0  # not before its lease and the margin

    asyncio.run(work())


def test_one_that_comes_back_after_its_lease_runs_it_again(lab: FleetLab) -> None:
    lab.recorder("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            running = asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a")))
            guest = await lab.guest("a")
            await lab.tenancy("z1").end_running("its lease was over")
            assert not guest.is_running()
            await lab.guest("a", 2)
            lab.go("a")
            await passed(running)

    asyncio.run(work())


def test_a_folder_that_cannot_be_made_is_that_hosts(lab: FleetLab) -> None:
    lab.recorder("a")
    (lab.folder / "host-z1").mkdir()

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            (lab.folder / "host-z1/run").write_text("no folder can be made here")
            with pytest.raises(HostLostError, match=r"/host-z1/run: Not a directory$") as caught:
                await lab.attempt(hosts["z1"], lab.assignment("a"))
            assert caught.value.cause is LossCause.GONE

    asyncio.run(work())


def test_a_full_disk_of_a_host_is_told_from_other_losses(
    lab: FleetLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.recorder("a")

    def receive(*_args: object) -> Incoming:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileCache, "receive", receive)

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            with pytest.raises(HostLostError, match=r"run: No space left on device$") as caught:
                await lab.attempt(hosts["z1"], lab.assignment("a"))
            assert caught.value.cause is LossCause.DISK_FULL

    asyncio.run(work())


def test_a_full_disk_of_ours_ends_the_run(lab: FleetLab) -> None:
    lab.recorder("a")
    lab.go("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            assignment = lab.assignment("a")
            folder = lab.recorded.run.path / assignment.folder
            folder.rmdir()
            folder.write_text("no folder")
            with pytest.raises(HostError, match="cannot write") as caught:
                await lab.attempt(hosts["z1"], assignment)
            assert not isinstance(caught.value, HostLostError)

    asyncio.run(work())


def test_a_resumed_run_gets_what_was_finished_and_ends_what_runs(lab: FleetLab) -> None:
    lab.recorder("a", "b")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            first, second = lab.assignment("a"), lab.assignment("b")
            tasks = [
                asyncio.create_task(lab.attempt(hosts["z1"], each)) for each in (first, second)
            ]
            await lab.guest("a")
            running = await lab.guest("b")
            # The orchestrator dies: it takes nothing any more, and says nothing.
            lab.relays["z1"].cut()
            lab.go("a")
            attempts = lab.tenancy("z1")._attempts
            while attempts["a"].result is None:  # noqa: ASYNC110 - the agent's doing
                await asyncio.sleep(0.01)
            await die(hosts["z1"])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            lab.relays["z1"].heal()
            lab.relays["z1"].reset()
            gate = lab.gates[0]
            async with lab.host("z1", gate, "two").open(lab.recorded.run.path, lab.contents) as new:
                assert not running.is_running()
                await passed(asyncio.create_task(lab.attempt(new, first)))
                again = asyncio.create_task(lab.attempt(new, second))
                await lab.guest("b", 2)
                lab.go("b")
                await passed(again)

    asyncio.run(work())
    assert [len(lab.pids(name)) for name in "ab"] == [1, 2]


def test_who_is_not_of_the_fleet_is_not_let_in(lab: FleetLab) -> None:
    async def work() -> None:
        gate = lab.gate("z1", "z2")
        tasks = []
        try:
            async with gate.opened():
                stranger = lab.agent("z1", gate.port, lab.other_authority)
                impostor = lab.agent("z1", gate.port)
                impostor.name = "z2"
                tasks = [asyncio.create_task(each.work()) for each in (stranger, impostor)]
                while len(lab.said) < 2:  # noqa: ASYNC110 - the agents' words
                    await asyncio.sleep(0.01)
                with pytest.raises(HostLostError, match="certificate is that of z1, not of z2"):
                    await arrival_within(gate, "z2", 0.0)
                while not gate.strangers:  # noqa: ASYNC110 - the alert is yet to come
                    await asyncio.sleep(0.01)
                with pytest.raises(HostLostError) as caught:
                    await arrival_within(gate, "z1", 0.0)
                assert str(caught.value) == (
                    "it has not joined within 0 s; a connection from 127.0.0.1 was refused:"
                    " it hung up before it had said who it is; a worker of ours says why in its log"
                )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(work())
    assert any("waits for an orchestrator" in said for said in lab.said)
    assert any("refused: its certificate is that of z1" in said for said in lab.said)


def test_whatever_links_do_each_case_runs_once(lab: FleetLab) -> None:
    names = "abcdef"
    lab.recorder(*names)
    draw = Random(1)

    async def work() -> None:
        async with lab.fleet("z1", "z2") as hosts:
            running = [
                asyncio.create_task(lab.attempt(hosts[f"z{1 + i % 2}"], lab.assignment(name)))
                for i, name in enumerate(names)
            ]
            for name in names:
                relay = lab.relays[draw.choice(("z1", "z2"))]
                draw.choice((relay.reset, relay.cut))()
                await asyncio.sleep(draw.random() / 5)
                lab.go(name)
                relay.heal()
            for task in running:
                await passed(task)

    asyncio.run(work())
    assert [len(lab.pids(name)) for name in names] == [1] * len(names)


def test_who_breaks_the_protocol_is_lost_when_its_lease_is_over(lab: FleetLab) -> None:
    lab.lease = 2.0
    lab.recorder("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            running = asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a")))
            guest = await lab.guest("a")
            link = lab.tenancy("z1").link
            assert link is not None
            link.writer.write(b"good day\n")
            with pytest.raises(HostLostError, match="not a line of this protocol: b'good day"):
                await running
            assert gone(guest)

    asyncio.run(work())
    assert any(said.startswith("z1: not a line of this protocol") for said in lab.said)


def test_a_bug_of_an_agent_is_told(lab: FleetLab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.recorder("a")

    class Broken:
        async def execute(self, assignment: Assignment, emit: object) -> Ended:
            raise KeyError("oops")

        def release(self, token: str) -> None: ...

        def cancel(self, token: str) -> None: ...

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            lab.tenancy("z1").executor = Broken()
            with pytest.raises(HostLostError, match=r"internal error: KeyError\('oops'\)"):
                await lab.attempt(hosts["z1"], lab.assignment("a"))

    asyncio.run(work())
    assert "KeyError: 'oops'" in capsys.readouterr().err


def test_a_lease_is_renewed_while_a_host_looks_what_it_can_run(lab: FleetLab) -> None:
    lab.recorder("a")
    lab.go("a")

    async def looking(name: str) -> None:
        lease = lab.tenancy(name).lease
        begun = lease.until
        while lease.until == begun:  # noqa: ASYNC110 - the orchestrator's doing
            await asyncio.sleep(0.01)

    lab.looking = looking

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            await passed(asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a"))))

    asyncio.run(work())


def test_a_host_that_cannot_say_what_it_can_run_is_lost(lab: FleetLab) -> None:
    lab.recorder("a")

    async def looking(_name: str) -> None:
        raise HostError("no memory is left")

    lab.looking = looking

    async def work() -> None:
        with pytest.raises(HostLostError, match="what it can run: no memory is left"):
            async with lab.fleet("z1"):
                pass

    asyncio.run(work())


def test_a_host_proves_itself_when_it_is_asked(lab: FleetLab) -> None:
    lab.recorder("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            running = asyncio.create_task(lab.attempt(hosts["z1"], lab.assignment("a")))
            await lab.guest("a")
            assert await hosts["z1"].prove() == ""
            lab.wrong["z1"] = "the boot guest fails"
            assert await hosts["z1"].prove() == "the boot guest fails"
            lab.go("a")
            await passed(running)

    asyncio.run(work())
    assert lab.proofs == ["z1", "z1"]


def test_a_proof_goes_on_over_a_new_link_or_ends_with_the_host(lab: FleetLab) -> None:
    lab.recorder("a")

    async def work() -> None:
        async with lab.fleet("z1") as hosts:
            begun, goes_on = asyncio.Event(), asyncio.Event()

            async def looks(_name: str) -> None:
                begun.set()
                await goes_on.wait()

            lab.looking = looks
            proof = asyncio.create_task(hosts["z1"].prove())
            await begun.wait()
            lab.relays["z1"].reset()
            goes_on.set()
            assert await proof == ""
            goes_on.clear()
            begun.clear()
            proof = asyncio.create_task(hosts["z1"].prove())
            await begun.wait()
            await lab.stop("z1")
            with pytest.raises(HostLostError, match="its worker was stopped"):
                await proof
            with pytest.raises(HostLostError, match="its worker was stopped"):
                await hosts["z1"].prove()

    asyncio.run(work())


def test_a_host_stops_looking_when_nobody_waits_for_it_any_more(lab: FleetLab) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def looking(_name: str) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def work() -> None:
        lab.looking = looking
        gate = lab.gate("z1")
        async with gate.opened(), asyncio.timeout(100):
            working = asyncio.create_task(lab.agent("z1", gate.port).work())
            link, _ = await gate.arrival("z1")
            link.say(FleetKind.ACCEPT, 0, Accept("", "one", 1000.0))
            link.say(FleetKind.LOOK, 0, Look(()))
            await begun.wait()
            link.close()
            await ended.wait()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    asyncio.run(work())


def test_no_end_of_a_link_waits_for_acknowledgements(lab: FleetLab) -> None:
    async def work() -> None:
        context = lab.authority.credentials("z1").context(server=False)
        gate = lab.gate("z1")
        async with gate.opened(), asyncio.timeout(100):
            theirs = await dial("127.0.0.1", gate.port, ORCHESTRATOR, context)
            theirs.say(FleetKind.JOIN, 0, Join(__version__, "z1", "first", 0.0))
            ours, _ = await gate.arrival("z1")
            for link in (ours, theirs):
                sock = link.writer.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                link.close()

    asyncio.run(work())


def test_a_bug_in_looking_keeps_nobody_waiting(lab: FleetLab) -> None:
    async def looking(_name: str) -> None:
        raise ZeroDivisionError

    async def work() -> None:
        lab.looking = looking
        gate = lab.gate("z1")
        async with gate.opened(), asyncio.timeout(100):
            working = asyncio.create_task(lab.agent("z1", gate.port).work())
            link, _ = await gate.arrival("z1")
            link.say(FleetKind.ACCEPT, 0, Accept("", "one", 1000.0))
            link.say(FleetKind.LOOK, 0, Look(()))
            assert await link.hear() is None
            with pytest.raises(ZeroDivisionError):
                await working

    asyncio.run(work())
