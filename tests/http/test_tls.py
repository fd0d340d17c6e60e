"""What a handler learns of TLS, from handshakes in memory; tests/integration has real ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from OpenSSL.SSL import (
    TLS_CLIENT_METHOD,
    TLS_SERVER_METHOD,
    VERIFY_PEER,
    Connection,
    Context,
    WantReadError,
)
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from zope.interface import directlyProvides

from mynet.http.tls import TLS, is_tls, tls_of
from mynet.testing import MemoryTransport
from tests.integration.certificates import Certificates, Pair


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def context(method: int, pair: Pair | None) -> Context:
    made = Context(method)
    if pair is not None:
        made.use_certificate_file(str(pair.certificate))
        made.use_privatekey_file(str(pair.key))
    return made


def shake(server: Connection, client: Connection) -> None:
    """Carry bytes between the two until they agree."""
    server.set_accept_state()
    client.set_connect_state()
    for _ in range(10):
        for end, other in ((client, server), (server, client)):
            with suppress(WantReadError):
                end.do_handshake()
            with suppress(WantReadError):
                other.bio_write(end.bio_read(1 << 16))


class Transport:
    """A transport of Twisted's over TLS, as far as facts are asked of it."""

    def __init__(self, handle: Connection) -> None:
        directlyProvides(self, ISSLTransport)
        self.getHandle: Callable[[], Connection] = lambda: handle
        self.getPeerCertificate = handle.get_peer_certificate


def facts_of(server: Context, client: Context, server_name: bytes | None = None) -> TLS:
    at_server, at_client = Connection(server), Connection(client)
    if server_name is not None:
        at_client.set_tlsext_host_name(server_name)
    shake(at_server, at_client)
    transport: Any = Transport(at_server)
    assert is_tls(transport)
    facts = tls_of(transport)
    assert facts is not None
    return facts


def test_without_tls():
    """Without TLS there is nothing to learn."""
    transport: Any = MemoryTransport(Clock())
    assert not is_tls(transport)
    assert tls_of(transport) is None


def test_plain_handshake(certificates):
    """A handshake settles a version and a cipher, and perhaps nothing else."""
    facts = facts_of(
        context(TLS_SERVER_METHOD, certificates.server), context(TLS_CLIENT_METHOD, None)
    )
    assert facts.version == "TLSv1.3"
    assert facts.cipher.startswith("TLS_")
    assert (facts.server_name, facts.alpn, facts.client_certificate) == (None, None, None)


def test_full_handshake(certificates):
    """A client may name the server, agree upon a protocol, and show who it is."""
    server = context(TLS_SERVER_METHOD, certificates.server)
    server.set_alpn_select_callback(lambda connection, offered: b"http/1.1")
    server.load_verify_locations(str(certificates.authority))
    server.set_verify(VERIFY_PEER, lambda *_: True)
    client = context(TLS_CLIENT_METHOD, certificates.client)
    client.set_alpn_protos([b"h2", b"http/1.1"])
    facts = facts_of(server, client, b"localhost")
    assert (facts.server_name, facts.alpn) == ("localhost", "http/1.1")
    assert facts.client_certificate == certificates.client.der
    assert facts.server_certificate == certificates.server.der
    assert facts.client_chain == ()


def test_chain_of_a_client(certificates, tmp_path):
    """What a client sends beside its certificate is known, too, in order."""
    server = context(TLS_SERVER_METHOD, certificates.server)
    server.set_verify(VERIFY_PEER, lambda *_: True)
    client = context(TLS_CLIENT_METHOD, certificates.client)
    chain = tmp_path / "chain.pem"
    parts = (certificates.client.certificate, certificates.authority)
    chain.write_bytes(b"".join(part.read_bytes() for part in parts))
    client.use_certificate_chain_file(str(chain))
    facts = facts_of(server, client)
    assert facts.client_certificate == certificates.client.der
    authority = Pair(certificates.authority, certificates.client.key)
    assert facts.client_chain == (authority.der,)


def test_outcome_is_found_out_once(certificates):
    """Each connection has one outcome, however often it is asked for."""
    at_server = Connection(context(TLS_SERVER_METHOD, certificates.server))
    shake(at_server, Connection(context(TLS_CLIENT_METHOD, None)))
    transport: Any = Transport(at_server)
    assert tls_of(transport) is tls_of(transport)
