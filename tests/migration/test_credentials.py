"""What TLS needs."""

import base64
import ssl
from pathlib import Path

import pytest

from matrix.errors import HostError
from matrix.migration.credentials import CredentialsFolder, dh_parameters, make_x509


def test_the_group_is_a_safe_prime() -> None:
    body = b"".join(dh_parameters().splitlines()[1:-1])
    der = base64.b64decode(body)
    assert der[:8] == b"\x30\x82\x01\x08\x02\x82\x01\x01"
    prime = int.from_bytes(der[8 : 8 + 257], "big")
    assert prime.bit_length() == 2048
    # RFC 7919, appendix A.1: how its hexadecimal digits begin and end.
    assert f"{prime:X}".startswith("FFFFFFFFFFFFFFFFADF85458A2BB4A9AAFDC5620273D3CF1")
    assert f"{prime:X}".endswith("886B423861285C97FFFFFFFFFFFFFFFF")
    for candidate in (prime, (prime - 1) // 2):
        assert pow(3, candidate - 1, candidate) == 1
    assert der.endswith(b"\x02\x01\x02")


def test_each_kind_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    folder = CredentialsFolder(tmp_path)
    assert folder.psk is folder.psk
    assert folder.x509 is folder.x509
    keys = tmp_path / "psk" / "keys.psk"
    assert keys.read_text().startswith("matrix:")
    assert keys.stat().st_mode & 0o077 == 0
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made = tmp_path / "x509"
    server.load_cert_chain(made / "server-cert.pem", made / "server-key.pem")


def test_no_certificate_for_the_client(tmp_path: Path) -> None:
    make_x509(tmp_path / "x", client=False)
    assert not (tmp_path / "x" / "client-cert.pem").exists()


def test_a_folder_that_exists(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot write credentials to .*: File exists"):
        make_x509(tmp_path)
