"""Certificates for tests: an authority, and what it has signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)

SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class Pair(NamedTuple):
    """A certificate and its key, in files."""

    certificate: Path
    key: Path

    @property
    def der(self) -> bytes:
        """The certificate."""
        certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return certificate.public_bytes(Encoding.DER)


class Certificates:
    """An authority that signs one certificate for a server on this machine, one for a client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority_name = _name("authority")
        here = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        )
        self.authority = self._sign("authority", self._authority_key, None).certificate
        """The certificate to be trusted, in a file."""
        self.server = self._sign("server", ec.generate_private_key(ec.SECP256R1()), here)
        self.client = self._sign("client", ec.generate_private_key(ec.SECP256R1()), None)

    def _sign(
        self, name: str, key: ec.EllipticCurvePrivateKey, names: x509.SubjectAlternativeName | None
    ) -> Pair:
        now = datetime.now(UTC)
        by_key = x509.SubjectKeyIdentifier.from_public_key
        by_authority = x509.AuthorityKeyIdentifier.from_issuer_public_key
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._authority_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(by_key(key.public_key()), critical=False)
            .add_extension(by_authority(self._authority_key.public_key()), critical=False)
        )
        if key is self._authority_key:
            constraints = x509.BasicConstraints(ca=True, path_length=None)
            builder = builder.add_extension(constraints, critical=True)
            builder = builder.add_extension(SIGNS_CERTIFICATES, critical=True)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._authority_key, hashes.SHA256())
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
