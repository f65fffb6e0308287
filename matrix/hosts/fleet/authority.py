"""The certificate authority of a fleet, and the certificates that it signs.

Folders are laid out as QEMU's ``tls-creds-x509`` wants them (its manual, "TLS setup for network
services"), so that migrations between hosts and the workers use the same ones. A host is server
and client with one key, as each host may call each.
"""

import ipaddress
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from matrix.errors import HostError
from matrix.hosts.fleet.fleet_file import CA_CERTIFICATE, CERTIFICATE, KEY
from matrix.migration.credentials import DH_FILE, dh_parameters

CA_KEY = "ca-key.pem"
CA_DAYS = 3650
DAYS = 730
SKEW = timedelta(days=1)
"""By which a host's clock may be slow."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str) -> "Authority":
        """A new one, for whom nothing is written yet."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            _builder(subject, subject, key.public_key(), key.public_key(), CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """The one that :meth:`save` has written.

        Raises:
            HostError: it is not there, or is none.
        """
        try:
            certificate = x509.load_pem_x509_certificate((folder / CA_CERTIFICATE).read_bytes())
            key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), None)
        except OSError as error:
            raise HostError(f"{error.filename}: {error.strerror}") from None
        except (ValueError, TypeError) as error:
            raise HostError(f"{folder}: no certificate authority: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise HostError(f"{folder / CA_KEY}: not a key that matrix fleet init made")
        return cls(certificate, key)

    def save(self, folder: Path) -> None:
        """Write certificate and key in a new folder.

        Raises:
            HostError: it exists, or cannot be written.
        """
        write_private(folder, {CA_CERTIFICATE: _pem(self.certificate), CA_KEY: _key_pem(self.key)})

    def issue(self, names: Iterable[str], folder: Path) -> None:
        """Write a new key, and a certificate of it for ``names``, in a new folder.

        Args:
            names: host names and IP addresses; the first is the common name.
            folder: must not exist.

        Raises:
            HostError: it exists, or cannot be written.
        """
        names = list(dict.fromkeys(names))
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        public, ours = key.public_key(), self.key.public_key()
        builder = (
            _builder(subject, self.certificate.subject, public, ours, DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(x509.SubjectAlternativeName(map(_general, names)), critical=False)
        )
        certificate = _pem(builder.sign(self.key, hashes.SHA256()))
        files = {
            CA_CERTIFICATE: _pem(self.certificate),
            CERTIFICATE: certificate,
            KEY: _key_pem(key),
            "client-cert.pem": certificate,
            "client-key.pem": _key_pem(key),
            DH_FILE: dh_parameters(),
        }
        write_private(folder, files)


def write_private(folder: Path, files: dict[str, bytes]) -> None:
    """Write files that their owner alone can read, in a new folder: all of them, or none.

    Raises:
        HostError: the folder exists and is not empty, or cannot be written.
    """
    made = None
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        for name, data in files.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(made / name, flags, 0o600), "wb") as file:
                file.write(data)
        made.rename(folder)  # fails where the folder has anything in it
    except OSError as error:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        raise HostError(f"cannot write {folder}: {error.strerror}") from error


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuing: ec.EllipticCurvePublicKey,
    days: int,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What GnuTLS and QEMU's own check of certificates (crypto/tlscredsx509.c) ask for."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
