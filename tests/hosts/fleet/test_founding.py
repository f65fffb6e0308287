"""A new fleet: its certificates serve, its keys are private, and nothing is overwritten."""

import shutil
import ssl
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from matrix.errors import HostError, UsageError
from matrix.hosts.fleet.authority import write_private
from matrix.hosts.fleet.fleet_file import CA_CERTIFICATE, CERTIFICATE, KEY, ORCHESTRATOR, load_fleet
from matrix.hosts.fleet.founding import found_fleet, parse_hosts

HOSTS = {"z1": "10.0.0.11", "a1": "a1.lab"}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def context(folder: Path, side: int) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(folder / CA_CERTIFICATE)
    made.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    return made


def shake_hands(server: Path, client: Path, name: str) -> None:
    """A TLS handshake in memory; raises ssl.SSLError where one refuses the other."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context(client, ssl.PROTOCOL_TLS_CLIENT).wrap_bio(back, there, server_hostname=name),
        context(server, ssl.PROTOCOL_TLS_SERVER).wrap_bio(there, back, server_side=True),
    ]
    done: set[int] = set()
    while len(done) < 2:
        before = len(done), there.pending, back.pending
        for number, end in enumerate(ends):
            try:
                end.do_handshake()
                done.add(number)
            except ssl.SSLWantReadError:
                pass  # it is the other end's turn
        assert (len(done), there.pending, back.pending) != before


def test_hosts_and_orchestrator_know_each_other(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    found_fleet(lab, HOSTS, "192.0.2.1")
    fleet = load_fleet(lab / "fleet.yaml")
    assert {member.name: member.address for member in fleet.members} == HOSTS
    z1, a1 = fleet.credentials("z1"), fleet.credentials("a1")
    orchestrator = fleet.credentials(ORCHESTRATOR)
    for server, names in ((z1, ("z1", "10.0.0.11")), (a1, ("a1", "a1.lab"))):
        for name in names:
            shake_hands(server, orchestrator, name)
    shake_hands(orchestrator, z1, "192.0.2.1")
    shake_hands(z1, a1, fleet.member("z1").certificate_name)
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'a1'"):
        shake_hands(z1, orchestrator, "a1")


def test_another_fleet_is_refused(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        found_fleet(tmp_path / name, HOSTS, "192.0.2.1")
    ours, theirs = (tmp_path / name / "certificates/z1" for name in ("ours", "theirs"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(ours, theirs, "z1")


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    found_fleet(lab, HOSTS, "192.0.2.1")
    folders = [lab, *(path for path in lab.rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in lab.rglob("*.pem")} == {0o600}


def test_the_lines_say_what_to_copy(tmp_path: Path) -> None:
    lines = "\n".join(found_fleet(tmp_path / "lab", HOSTS, "192.0.2.1"))
    assert f"tar -C {tmp_path}/lab -c fleet.yaml certificates/a1 | ssh a1.lab " in lines
    assert "matrix worker --fleet lab/fleet.yaml --name z1" in lines
    assert "ca-key" not in lines


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    found_fleet(lab, HOSTS, "192.0.2.1")
    before = contents(lab)
    with pytest.raises(UsageError, match=r"z1 exists, and nothing is overwritten"):
        found_fleet(lab, {"new": "new.lab", "z1": "10.0.0.11"}, "192.0.2.1")
    assert contents(lab) == before
    lines = found_fleet(lab, {"new": "new.lab"}, "192.0.2.1")
    assert "  new: {address: 'new.lab'}" in lines
    after = contents(lab)
    assert {path: after[path] for path in before} == before
    shake_hands(lab / "certificates/new", lab / "certificates/z1", "new")


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="has no ca/, but other files"):
        found_fleet(tmp_path, HOSTS, "192.0.2.1")
    with pytest.raises(HostError, match=r"thesis.tex/lab: Not a directory"):
        found_fleet(tmp_path / "thesis.tex/lab", HOSTS, "192.0.2.1")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot write"):
        write_private(tmp_path / "z1", {"right": b"", "no/such/folder": b""})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "name the hosts, as in --host z1=10.0.0.11"),
        (("z1",), "--host z1: '' is not an address"),
        (("z1=$(id)",), r"--host z1=\$\(id\): '\$\(id\)' is not an address"),
        (("../z1=z1.lab",), "'../z1' is not a name"),
        (("orchestrator=z1.lab",), "'orchestrator' is the name of the machine that starts runs"),
        (("z1=a", "z1=b"), "'z1' is given twice"),
    ],
)
def test_hosts_that_are_written_wrongly(options: Iterable[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_hosts(tuple(options))


@pytest.mark.qemu
def test_qemu_takes_them(tmp_path: Path) -> None:
    """QEMU checks certificates when it makes the object: purposes, dates, and the authority."""
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    found_fleet(tmp_path / "lab", HOSTS, "192.0.2.1")
    folder = tmp_path / "lab/certificates/z1"
    objects = [
        word
        for end in ("server", "client")
        for word in ("-object", f"tls-creds-x509,id={end},dir={folder},endpoint={end}")
    ]
    done = subprocess.run(
        [qemu, *("-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"), *objects],
        input='{"execute": "qmp_capabilities"}\n{"execute": "quit"}\n',
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
