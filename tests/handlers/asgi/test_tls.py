"""What ASGI's TLS extension says of a connection, clause by clause."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import Any

import pytest

from mynet.handlers.asgi import ASGIHandler
from mynet.handlers.asgi.tls import cipher_suites, tls_extension
from mynet.http.tls import TLS
from mynet.testing import MemoryExchange, make_request
from tests.handlers.asgi.driving import in_a_loop
from tests.handlers.asgi.hosting import Asked
from tests.integration.certificates import Certificates, Pair

PLAIN = TLS("TLSv1.3", "TLS_AES_128_GCM_SHA256", None, None, None)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_without_certificates():
    """What is not known is None or empty; version and cipher are the numbers of the RFCs."""
    assert tls_extension(PLAIN) == {
        "server_cert": None,
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": 0x1301,
    }


def test_certificates(certificates):
    """Certificates are PEM, the client's first; its name is as in RFC 4514."""
    authority = Pair(certificates.authority, certificates.client.key)
    tls = replace(
        PLAIN,
        client_certificate=certificates.client.der,
        client_chain=(authority.der,),
        server_certificate=certificates.server.der,
    )
    extension: Any = tls_extension(tls)
    pems = extension["client_cert_chain"]
    assert [ssl.PEM_cert_to_DER_cert(pem) for pem in pems] == [
        tls.client_certificate,
        authority.der,
    ]
    assert ssl.PEM_cert_to_DER_cert(extension["server_cert"]) == tls.server_certificate
    assert extension["client_cert_name"] == "CN=client"


@pytest.mark.parametrize(
    ("version", "number"), [("TLSv1.2", 0x0303), ("TLSv1", 0x0301), ("DTLSv1.2", None)]
)
def test_versions(version, number):
    """Versions are numbers; None if there is none."""
    assert tls_extension(replace(PLAIN, version=version))["tls_version"] == number


@pytest.mark.parametrize(
    ("cipher", "number"),
    [
        ("TLS_CHACHA20_POLY1305_SHA256", 0x1303),
        ("ECDHE-RSA-AES256-GCM-SHA384", 0xC030),
        ("NO-SUCH-CIPHER", None),
    ],
)
def test_cipher_suites(cipher, number):
    """So are cipher suites."""
    assert tls_extension(replace(PLAIN, cipher=cipher))["cipher_suite"] == number
    assert len(cipher_suites()) > 20


@in_a_loop
async def test_scope():
    """The extension is in the scope over TLS, and the scheme is https."""
    app = Asked()
    exchange = MemoryExchange()
    exchange.scheme = "https"
    exchange.tls = PLAIN
    ASGIHandler(app, lifespan="off")(make_request(exchange=exchange))
    assert app.scope["scheme"] == "https"
    assert app.scope["extensions"]["tls"] == tls_extension(PLAIN)
