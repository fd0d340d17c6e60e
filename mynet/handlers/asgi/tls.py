"""ASGI's TLS extension, of what a handshake has settled."""

from __future__ import annotations

import ssl
from functools import cache, lru_cache

from mynet.http.tls import TLS

VERSIONS = {
    "SSLv3": 0x0300,
    "TLSv1": 0x0301,
    "TLSv1.1": 0x0302,
    "TLSv1.2": 0x0303,
    "TLSv1.3": 0x0304,
}
"""The numbers that the TLS specifications have, by OpenSSL's names."""


@lru_cache(1024)
def tls_extension(tls: TLS) -> dict[str, object]:
    """The extension; it is the same object for the same connection.

    `client_cert_error` is None: connections of clients whose certificate is not in order are not
    kept, unless whoever made the TLS context said so, and then nothing is known of why.
    """
    certificate = tls.client_certificate
    chain = () if certificate is None else (certificate, *tls.client_chain)
    own = tls.server_certificate
    return {
        "server_cert": None if own is None else _pem(own),
        "client_cert_chain": [_pem(each) for each in chain],
        "client_cert_name": None if certificate is None else _subject(certificate),
        "client_cert_error": None,
        "tls_version": VERSIONS.get(tls.version),
        "cipher_suite": cipher_suites().get(tls.cipher),
    }


def _pem(der: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(der)


def _subject(der: bytes) -> str:
    """The Distinguished Name of its subject (RFC 4514)."""
    from cryptography.x509 import load_der_x509_certificate  # slow to import

    return load_der_x509_certificate(der).subject.rfc4514_string()


@cache
def cipher_suites() -> dict[str, int]:
    """The numbers of cipher suites, by OpenSSL's names, as far as Python's own OpenSSL knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
