"""TLS to upstreams: whom to believe that it is the upstream."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from OpenSSL.SSL import Connection
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from zope.interface import implementer

_CERTIFICATE = re.compile(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def client_options(name: str, verify: bool = True, authority: str | Path | None = None) -> Any:
    """How to begin TLS with a server.

    Args:
        name: The name or the address that it has to prove.
        verify: Whether it has to.
        authority: A file of trusted certificates; those that the platform trusts unless given.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has no certificates.
    """
    if not verify:
        return _Unverified(name)
    trusted = platformTrust() if authority is None else _trust(Path(authority))
    return optionsForClientTLS(name, trustRoot=trusted)


def _trust(file: Path) -> Any:
    found = _CERTIFICATE.findall(file.read_bytes())
    if not found:
        raise ValueError(f"there is no certificate in {file}")
    return trustRootFromCertificates([Certificate.loadPEM(each) for each in found])


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """Whoever answers is believed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._context = CertificateOptions().getContext()

    def clientConnectionForTLS(self, tlsProtocol: object) -> Connection:
        connection = Connection(self._context, None)
        try:
            ip_address(self._name)
        except ValueError:  # an address is not asked for by name
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        return connection
