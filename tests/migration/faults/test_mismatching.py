"""TLS material that the other side must refuse, in QEMU's layout."""

from pathlib import Path

import pytest

from matrix.migrating import Fault
from matrix.migration.credentials import make_psk, make_x509
from matrix.migration.faults.mismatching import ELSEWHERE, wrong_secrets


def read(folder: object, name: str) -> bytes:
    return Path(str(folder), name).read_bytes()


def test_a_wrong_certificate_is_of_another_authority(tmp_path: Path) -> None:
    right = make_x509(tmp_path / "right")
    wrong = wrong_secrets(Fault.TLS_WRONG_CERTIFICATE, right, tmp_path)
    assert wrong.client == right.client
    theirs, ours = wrong.server["dir"], wrong.client["dir"]
    assert read(theirs, "ca-cert.pem") != read(ours, "ca-cert.pem")
    assert read(theirs, "server-cert.pem")
    assert read(theirs, "server-key.pem")


def test_a_wrong_host_has_a_certificate_for_itself(tmp_path: Path) -> None:
    from cryptography import x509

    right = make_x509(tmp_path / "right")
    wrong = wrong_secrets(Fault.TLS_WRONG_HOST, right, tmp_path)
    assert wrong.hostname == right.hostname
    assert wrong.server["dir"] == wrong.client["dir"]
    pem = read(wrong.server["dir"], "server-cert.pem")
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == [ELSEWHERE]


def test_without_a_client_certificate(tmp_path: Path) -> None:
    right = make_x509(tmp_path / "right")
    wrong = wrong_secrets(Fault.TLS_NO_CLIENT_CERTIFICATE, right, tmp_path)
    folder = Path(str(wrong.client["dir"]))
    names = {path.name for path in folder.iterdir()}
    assert {"ca-cert.pem", "server-cert.pem", "server-key.pem"} <= names
    assert not any(name.startswith("client-") for name in names)
    assert wrong.server["verify-peer"] is True


def test_a_wrong_key_is_of_the_same_user(tmp_path: Path) -> None:
    right = make_psk(tmp_path / "right")
    wrong = wrong_secrets(Fault.TLS_WRONG_PSK, right, tmp_path)
    ours, theirs = (read(side["dir"], "keys.psk") for side in (wrong.client, wrong.server))
    assert ours != theirs
    assert ours.split(b":")[0] == theirs.split(b":")[0]
    assert wrong.client["username"] == right.client["username"]


def test_other_faults_have_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no fault of TLS"):
        wrong_secrets(Fault.DISK_FULL, make_psk(tmp_path / "right"), tmp_path)
