"""``matrix fleet``: what it prints, and what it refuses."""

import json
import os
import re
import socket
import ssl
import time
from pathlib import Path

import pytest

from matrix.cli.fleet import FleetRequest, run_fleet
from matrix.cli.fleet_status import Seen, look_at, print_problems, print_status
from matrix.errors import ExitCode, HostError, UsageError
from matrix.hosts.fleet.fleet_file import Member, Ports
from matrix.hosts.fleet.fleet_host import FleetHost, Terms
from matrix.hosts.fleet.fleet_state import (
    NOTHING,
    Away,
    AwayKind,
    HostState,
    Quarantine,
    host_states,
    hosts_away,
    note_quarantine,
)
from matrix.hosts.fleet.founding import found_fleet
from matrix.hosts.fleet.gate import Gate
from matrix.hosts.fleet.messages import Accept, Look
from matrix.inventory import Binary, KvmState
from matrix.model import Architecture
from matrix.plan.schedule import Capacity
from tests import make


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (FleetRequest("inti"), r"'inti' is not known; did you mean 'init'\?"),
        (FleetRequest("init"), "takes one folder, as in: matrix fleet init lab"),
        (
            FleetRequest("init", ("lab",), scheduler="10.0.0.1:1"),
            "--scheduler: '10.0.0.1:1' is not",
        ),
        (FleetRequest("init", ("lab",), scheduler="s.lab"), "name the hosts"),
        (FleetRequest("status", ("a", "b")), "matrix fleet status takes one fleet file"),
        (FleetRequest("doctor", ("none.yaml",)), r"none.yaml: cannot be read: No such file"),
        (FleetRequest("drain"), "takes one host, as in: matrix fleet drain z1"),
        (FleetRequest("drain", ("z1",), fleet=Path("none.yaml")), "none.yaml: cannot be read"),
        (
            FleetRequest("undrain", ("z1",), for_="2h"),
            "matrix fleet undrain takes no --for; that is of drain and reserve",
        ),
        (
            FleetRequest("status", reason="because"),
            "status takes no --reason; that is of drain and",
        ),
        (
            FleetRequest("drain", ("z1",), ("z2=10.0.0.2",)),
            "drain takes no --host; that is of init",
        ),
        (FleetRequest("doctor", scheduler="s.lab"), "takes no --scheduler; that is of init"),
        (FleetRequest("undrain", ("z1",), json=True), "no --json; that is of status and doctor"),
        (FleetRequest("init", ("lab",), fleet=Path("f")), "no --fleet; that is of the others"),
    ],
)
def test_wrong_usage(request_: FleetRequest, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run_fleet(request_)


def test_a_new_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_fleet(FleetRequest("init", (str(tmp_path / "lab"),), ("z1=10.0.0.11",), "s.lab"))
    assert (tmp_path / "lab/certificates/z1/server-key.pem").is_file()
    assert "matrix worker --fleet lab/fleet.yaml --name z1" in capsys.readouterr().out


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    lab = tmp_path / "lab"
    found_fleet(lab, {"z1": "127.0.0.1", "a1": "127.0.0.1"}, "127.0.0.1")
    return lab / "fleet.yaml"


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_host_is_drained_reserved_and_used_again(
    fleet: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")

    def do(action: str, host: str, for_: str | None = None, reason: str = "") -> str:
        request = FleetRequest(action, (host,), fleet=fleet, for_=for_, reason=reason)
        assert run_fleet(request) is ExitCode.OK
        (line,) = said(capsys)
        return line

    drained = do("drain", "z1", for_="2h", reason=" a new\n kernel ")
    assert drained.startswith("z1: drained by ann since ")
    assert drained.endswith(" UTC: a new kernel")
    assert hosts_away(fleet)["z1"].until == pytest.approx(time.time() + 7200, abs=600)
    assert do("reserve", "a1").startswith("a1: reserved by ann since ")
    assert do("undrain", "z1") == drained.replace("z1: ", "z1: was ")
    assert do("undrain", "z1") == "z1: was in use already"
    assert [*hosts_away(fleet)] == ["a1"]
    note_quarantine(fleet, "z1", "because")
    assert do("undrain", "z1").endswith(" UTC: because")
    assert "z1" not in host_states(fleet)
    with pytest.raises(UsageError, match="no host is named 'b1'; there are z1, a1"):
        do("drain", "b1")
    with pytest.raises(UsageError, match="--for: '2' has no unit"):
        do("drain", "z1", for_="2")


MEMBER = Member("z1", "z1.lab", None, ("lpar",), 4, Ports(1024, 1025), "z1.lab", "z1")
AWAY = HostState(Away(AwayKind.DRAINED, "ann", 0.0))
BAD = HostState(quarantine=Quarantine(0.0, "3 errors in a row"), proven=1.0)


def joined(proof: KvmState | None, *binaries: Binary) -> FleetHost:
    proofs = () if proof is None else (make.proof(proof),)
    missing = () if binaries else (("system", Architecture.X86_64, "no QEMU in PATH"),)
    inventory = make.inventory(*binaries, proofs=proofs, missing=missing)
    terms = Terms(Accept("run", "1", 2.0), 1.0, 1.0)
    look = Look((), (), fresh=False)
    gate = Gate("127.0.0.1", 1, ssl.create_default_context(), {})
    return FleetHost("z1", inventory, Capacity(4, 2**33, jobs=4), gate, terms, look)


def test_the_status_of_each_host(capsys: pytest.CaptureFixture[str]) -> None:
    ready = joined(KvmState.WORKS, make.binary(Architecture.X86_64))
    seen = [Seen(MEMBER, NOTHING, ready, ""), Seen(MEMBER, AWAY, None, "it does not join")]
    print_status(seen, json=True)
    first, second = json.loads(capsys.readouterr().out)["hosts"]
    assert (first["state"], first["kvm"], first["room"]) == ("ready", "proven for x86_64", "4 jobs")
    assert (first["joined"], first["problems"]) == (True, [])
    assert second["state"] == "drained by ann since 1970-01-01 00:00 UTC; it does not join"
    assert second["away"]["kind"] == "drained"
    assert (second["quarantine"], second["proven"]) == (None, None)
    print_status([Seen(MEMBER, BAD, ready, "")], json=True)
    (third,) = json.loads(capsys.readouterr().out)["hosts"]
    assert third["state"] == "quarantined since 1970-01-01 00:00 UTC: 3 errors in a row"
    assert third["quarantine"] == {"since": 0.0, "reason": "3 errors in a row"}
    assert third["proven"] == 1.0
    print_status(seen, json=False)
    lines = said(capsys)
    assert lines[0].split() == ["Host", "Address", "State", "KVM", "QEMU", "Room"]
    assert "ready" in lines[1]


def test_a_row_of_the_status_has_no_proofs_reasons(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    broken = joined(KvmState.BROKEN, make.binary(Architecture.X86_64))
    print_status([Seen(MEMBER, NOTHING, broken, "")], json=False)
    assert [" ".join(each.split()) for each in said(capsys)[1:]] == [
        "z1 z1.lab ready broken for x86_64 7.2.22 (1 architecture) 4 jobs"
    ]


def test_the_doctor_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    seen = [Seen(MEMBER, AWAY, None, "it does not join")]
    assert print_problems(seen, json=True) is ExitCode.ERROR
    (host,) = json.loads(capsys.readouterr().out)["hosts"]
    assert host["problems"] == [str(AWAY), "it does not join"]
    assert print_problems([], json=True) is ExitCode.OK


def test_a_user_without_a_name_drains(
    fleet: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 5)  # of no entry of passwd
    assert run_fleet(FleetRequest("drain", ("z1",), fleet=fleet)) is ExitCode.OK
    assert said(capsys)[0].startswith("z1: drained by 2147483643 since ")


def test_the_doctor_names_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    ready = Seen(MEMBER, NOTHING, joined(KvmState.WORKS, make.binary(Architecture.X86_64)), "")
    assert print_problems([ready], json=False) is ExitCode.OK
    assert said(capsys) == ["z1: ready"]
    broken = joined(KvmState.BROKEN, make.binary(Architecture.X86_64))
    others = [Seen(MEMBER, AWAY, None, "it does not join"), Seen(MEMBER, NOTHING, joined(None), "")]
    assert (
        print_problems([*others, Seen(MEMBER, NOTHING, broken, "")], json=False) is ExitCode.ERROR
    )
    assert said(capsys) == [
        "z1: drained by ann since 1970-01-01 00:00 UTC",
        "z1: it does not join",
        "z1: no QEMU: no QEMU in PATH",
        "z1: no KVM: none",
        "z1: no KVM: broken for x86_64: because",
    ]


def test_hosts_that_do_not_join_are_looked_for(fleet: Path) -> None:
    view = look_at(fleet, patience=0.0)
    assert [each.member.name for each in view.hosts] == ["z1", "a1"]
    assert all(each.host is None and each.why for each in view.hosts)
    assert not view.not_asked


@pytest.mark.parametrize("action", ["status", "doctor"])
def test_while_a_run_has_the_port_no_host_can_be_asked(
    fleet: Path, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_fleet(FleetRequest("drain", ("a1",), fleet=fleet))
    capsys.readouterr()
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        fleet.write_text(
            re.sub(r"(?m)^(scheduler: .*port: )\d+", rf"\g<1>{port}", fleet.read_text())
        )
        with pytest.raises(HostError, match=r"no host could be asked: .* that no other run uses$"):
            run_fleet(FleetRequest(action, (str(fleet),), json=True))
    first, second = json.loads(capsys.readouterr().out)["hosts"]
    assert first["state"] == "not asked"
    assert second["state"].startswith("drained by ")
    assert second["state"].endswith(" UTC; not asked")
