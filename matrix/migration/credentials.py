"""What TLS migration needs: keys and certificates made for one chain, in QEMU's layout.

QEMU's ``tls-creds-x509`` reads ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem and
client-key.pem from a folder, ``tls-creds-psk`` reads keys.psk (its manual, "TLS setup for network
services").
"""

import base64
import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from matrix.errors import HostError

USER = "matrix"
HOSTNAME = "localhost"
PSK_BYTES = 32
DH_FILE = "dh-params.pem"


def dh_parameters() -> bytes:
    """The group ffdhe2048 of RFC 7919, as PEM: QEMU would make one of its own, which takes 1 s.

    Its prime is 2^2048 - 2^1984 + (floor(2^1918 e) + 560316) 2^64 - 1, its generator 2 (appendix
    A.1 there).
    """
    guard = 64  # bits, so that the errors of the series do not reach the last one
    term = total = 1 << (1918 + guard)
    for divisor in range(1, 400):
        term //= divisor
        total += term
    prime = 2**2048 - 2**1984 + ((total >> guard) + 560316) * 2**64 - 1
    body = _der(0x02, prime.to_bytes(257, "big")) + _der(0x02, b"\x02")
    text = base64.encodebytes(_der(0x30, body)).decode().replace("\n", "")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(
        ("-----BEGIN DH PARAMETERS-----", *lines, "-----END DH PARAMETERS-----", "")
    ).encode()


def _der(tag: int, content: bytes) -> bytes:
    """A value in DER (X.690), of less than 64 KiB."""
    size = len(content)
    length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


@dataclass(frozen=True, slots=True)
class Secrets:
    """What each side is given: the properties of its credentials object (``object-add``)."""

    server: dict[str, object]
    client: dict[str, object]
    hostname: str = HOSTNAME
    """What the server's certificate must be for (``tls-hostname``)."""


class CredentialsFolder:
    """Credentials in a private folder, each kind made once, when it is first asked for.

    Raises:
        HostError: they cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def psk(self) -> Secrets:
        """A pre-shared key that both sides have."""
        return make_psk(self.folder / "psk")

    @cached_property
    def x509(self) -> Secrets:
        """Certificates of one authority for both sides, the server's for :data:`HOSTNAME`."""
        return make_x509(self.folder / "x509")


def make_psk(folder: Path) -> Secrets:
    """A new pre-shared key in a new folder.

    Raises:
        HostError: it cannot be written.
    """
    line = f"{USER}:{secrets.token_hex(PSK_BYTES)}\n"
    _write(folder, {"keys.psk": line.encode(), DH_FILE: dh_parameters()})
    common: dict[str, object] = {"qom-type": "tls-creds-psk", "dir": str(folder)}
    client = {**common, "endpoint": "client", "username": USER}
    return Secrets({**common, "endpoint": "server"}, client)


def make_x509(folder: Path, *, hostname: str = HOSTNAME, client: bool = True) -> Secrets:
    """A new authority and the certificates that it has signed, in a new folder.

    Args:
        folder: must not exist.
        hostname: what the server's certificate is for.
        client: whether there is a certificate for the client.

    Raises:
        HostError: they cannot be written.
    """
    import trustme  # takes 0.1 s to load, and most chains need none of it

    authority = trustme.CA()
    server = authority.issue_cert(hostname)
    files = {
        "ca-cert.pem": authority.cert_pem.bytes(),
        "server-cert.pem": b"".join(blob.bytes() for blob in server.cert_chain_pems),
        "server-key.pem": server.private_key_pem.bytes(),
        DH_FILE: dh_parameters(),
    }
    if client:
        visitor = authority.issue_cert(f"{USER}@{HOSTNAME}")
        files["client-cert.pem"] = b"".join(blob.bytes() for blob in visitor.cert_chain_pems)
        files["client-key.pem"] = visitor.private_key_pem.bytes()
    _write(folder, files)
    common: dict[str, object] = {
        "qom-type": "tls-creds-x509",
        "dir": str(folder),
        "verify-peer": True,
    }
    return Secrets({**common, "endpoint": "server"}, {**common, "endpoint": "client"})


def _write(folder: Path, files: dict[str, bytes]) -> None:
    try:
        folder.mkdir(mode=0o700)
        for name, data in files.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(folder / name, flags, 0o600), "wb") as file:
                file.write(data)
    except OSError as error:
        raise HostError(f"cannot write credentials to {folder}: {error.strerror}") from error
