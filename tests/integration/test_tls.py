"""What handlers are told of TLS, by real handshakes."""

from __future__ import annotations

import ssl

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    trustRootFromCertificates,
)

from mynet.http import TLS, Request, Response
from tests.integration import serving
from tests.integration.certificates import Certificates
from tests.integration.serving import TCP, Answer, Service, in_thread, integration, read_answer

GET = b"GET /path HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Handler:
    """It keeps what it is told."""

    def __init__(self) -> None:
        self.facts: list[TLS | None] = []

    def __call__(self, request: Request) -> Response:
        self.facts.append(request.tls)
        return Response.text(f"{request.scheme} {request.url.to_text()}")


def get(service: Service, context: ssl.SSLContext, server_name: str | None) -> Answer:
    """One answer over TLS."""
    with (
        TCP().connect(service.port) as below,
        context.wrap_socket(below, server_hostname=server_name) as client,
        client.makefile("rb") as answer,
    ):
        client.sendall(GET)
        return read_answer(answer)


@pytest.mark.parametrize("transport", ["tcp", "unix"], indirect=True)
@integration
async def test_without(serve):
    """Without TLS there are no facts of it."""
    handler = Handler()
    service = await serve(handler)

    def client() -> Answer:
        with service.connect() as client, client.makefile("rb") as answer:
            client.sendall(GET)
            return read_answer(answer)

    assert (await in_thread(client)).body == b"http http://localhost/path"
    assert handler.facts == [None]


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@integration
async def test_facts(serve, transport, version):
    """A handler finds out what the handshake settled, and that its URL is https."""
    handler = Handler()
    service = await serve(handler)
    context = transport.context()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    answer = await in_thread(get, service, context, "localhost")
    assert answer.body == b"https https://localhost/path"
    (facts,) = handler.facts
    assert facts is not None
    assert facts.version == version.name.replace("_", ".")
    assert facts.cipher in {cipher["name"] for cipher in context.get_ciphers()}
    assert (facts.server_name, facts.alpn) == ("localhost", "http/1.1")
    assert facts.client_certificate is None


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@integration
async def test_what_was_not_said(serve, transport):
    """What a client does not say, a handler is not told."""
    handler = Handler()
    service = await serve(handler)
    context = transport.context()
    context.check_hostname = False
    await in_thread(get, service, context, None)
    (facts,) = handler.facts
    assert facts is not None
    assert (facts.server_name, facts.alpn, facts.client_certificate) == (None, None, None)


class AsksForCertificate(serving.TLS):
    """TLS with a server that asks its clients for a certificate, and can do without."""

    def server(self) -> IStreamServerEndpoint:
        pair = self.certificates.server
        private = PrivateCertificate.loadPEM(pair.key.read_bytes() + pair.certificate.read_bytes())
        trusted = Certificate.loadPEM(self.certificates.authority.read_bytes())
        options = CertificateOptions(
            privateKey=private.privateKey.original,
            certificate=private.original,
            trustRoot=trustRootFromCertificates([trusted]),
        )
        options.requireCertificate = False
        return SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1")


@pytest.fixture
def mutual(certificates: Certificates) -> AsksForCertificate:
    """A transport that some clients have a certificate for."""
    return AsksForCertificate(certificates)


@pytest.mark.parametrize("transport", ["mutual"], indirect=True)
@integration
async def test_client_certificate(serve, transport, certificates):
    """A handler gets the client's certificate, if it has one that is trusted."""
    handler = Handler()
    service = await serve(handler)
    context = transport.context()
    await in_thread(get, service, context, "localhost")
    context.load_cert_chain(certificates.client.certificate, certificates.client.key)
    await in_thread(get, service, context, "localhost")
    assert [facts and facts.client_certificate for facts in handler.facts] == [
        None,
        certificates.client.der,
    ]
