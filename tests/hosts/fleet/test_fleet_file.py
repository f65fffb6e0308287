"""Fleet files: what is read, and every message about what cannot be."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from matrix.errors import FleetFileError, UsageError
from matrix.hosts.fleet.fleet_file import (
    KEY,
    ORCHESTRATOR,
    Fleet,
    Lease,
    Member,
    Ports,
    fleet_schema,
    load_fleet,
    read_fleet,
)
from matrix.model import Architecture
from matrix.plan.health import QuarantineRules
from tests.conftest import Golden

WHOLE = """
scheduler: {address: 10.0.0.1, port: 9000}
certificates: keys
lease: {ttl: 6s, margin: 500ms}
quarantine: {errors: 2, failures: 5, prove_every: 8h}
hosts:
  z1:
    address: z1.lab
    arch: s390x
    tags: [lpar, fast]
    jobs: 8
    ports: 50000-50010
    migration_address: 192.168.7.2
    certificate_name: z1.migration.lab
  a1: {address: "fd00::2", tags: board}
"""
FAULTY = {
    "everything": """
        scheduler: {address: 0.0.0.0, port: 70000}
        lease: {ttl: 1s, margin: 3}
        quarantine: {errors: 0, failure: 3, prove_every: 1s}
        hosts:
          orchestrator: {address: 10.0.0.1}
          z 1: {address: "10.0.0.1:8786"}
          z2: {address: 10.0.0.256, tags: [z3, fast], jobs: none, ports: 22-49152}
          z3: {arch: s390, tag: x}
          z4:
          z4: {address: z4}
          z5: {address: "fe80::1%eth0"}
        """,
    "no-hosts": "scheduler: {address: s.lab}\nhosts: {}\n",
    "list-of-hosts": "scheduler: {address: s.lab}\nhosts: [z1, z2]\n",
    "misplaced": "scheduler: {address: s.lab}\njobs: 4\nhosts: {z1: {address: z1}}\n",
    "empty": "",
    "no-mapping": "- z1\n",
}


def read(text: str) -> Fleet:
    return read_fleet(dedent(text).encode(), Path("lab/fleet.yaml"))


def test_every_key() -> None:
    assert read(WHOLE) == Fleet(
        path=Path("lab/fleet.yaml"),
        scheduler_address="10.0.0.1",
        scheduler_port=9000,
        members=(
            Member(
                *("z1", "z1.lab", Architecture.S390X, ("lpar", "fast"), 8),
                *(Ports(50000, 50010), "192.168.7.2", "z1.migration.lab"),
            ),
            Member("a1", "fd00::2", None, ("board",), None, Ports(49152, 49215), "fd00::2", "a1"),
        ),
        lease=Lease(6.0, 0.5),
        quarantine=QuarantineRules(2, 5, 8 * 3600.0),
        certificates=Path("lab/keys").absolute(),
    )


def test_what_is_left_out_has_a_default() -> None:
    fleet = read("scheduler: {address: s.lab}\nhosts: {z1: {address: z1.lab}}\n")
    assert (fleet.scheduler_port, fleet.lease) == (8786, Lease(10.0, 2.0))
    assert fleet.quarantine == QuarantineRules(3, 3, 86400.0)
    assert fleet.certificates == Path("lab/certificates").absolute()


@pytest.mark.parametrize("name", FAULTY)
def test_what_is_wrong_is_said_at_its_place(name: str, golden: Golden) -> None:
    with pytest.raises(FleetFileError) as raised:
        read(FAULTY[name])
    golden(f"{name}.err", f"{raised.value}\n")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.yaml: cannot be read: No such file"):
        load_fleet(tmp_path / "none.yaml")


def test_a_member_has_a_name() -> None:
    assert read(WHOLE).member("a1").address == "fd00::2"
    with pytest.raises(UsageError, match="no host is named 'b1'; there are z1, a1"):
        read(WHOLE).member("b1")


def document(text: str) -> Any:
    return yaml.safe_load(dedent(text))


def test_the_schema_takes_what_is_right() -> None:
    schema = Draft202012Validator(fleet_schema())
    assert not list(schema.iter_errors(document(WHOLE)))
    assert len(list(schema.iter_errors(document(FAULTY["no-hosts"])))) == 1
    wrong = document(WHOLE.replace("jobs", "job"))
    assert [error.message for error in schema.iter_errors(wrong)]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys" / ORCHESTRATOR).mkdir(parents=True)
    fleet = read_fleet(WHOLE.encode(), tmp_path / "fleet.yaml")
    with pytest.raises(UsageError, match=r"ca-cert.pem: No such file .*; matrix fleet init"):
        fleet.credentials(ORCHESTRATOR)
    for name in ("ca-cert.pem", "server-cert.pem", KEY):
        (tmp_path / "keys" / ORCHESTRATOR / name).touch(0o644)
    with pytest.raises(UsageError, match=r"server-key.pem can be read by others; chmod 600 it"):
        fleet.credentials(ORCHESTRATOR)
    (tmp_path / "keys" / ORCHESTRATOR / KEY).chmod(0o600)
    assert fleet.credentials(ORCHESTRATOR) == tmp_path / "keys" / ORCHESTRATOR
