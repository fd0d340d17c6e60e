"""Whom a proxy believes that it is the upstream; tests/integration has handshakes."""

from __future__ import annotations

from typing import Any

import pytest
from OpenSSL.SSL import VERIFY_NONE
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory

from mynet.handlers.proxy import Upstream
from mynet.handlers.proxy.tls import client_options
from tests.integration.certificates import Certificates

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


def connection_of(options):
    assert IOpenSSLClientConnectionCreator.providedBy(options)
    protocol: Any = TLSMemoryBIOFactory(options, True, Factory.forProtocol(Protocol)).buildProtocol(
        None
    )
    return options.clientConnectionForTLS(protocol)


@pytest.mark.parametrize("name", ["backend.example", "127.0.0.1", "::1"])
def test_unverified(name):
    """Whoever answers is believed, if that is what was asked for; a name is asked for."""
    connection = connection_of(client_options(name, verify=False))
    assert connection.get_context().get_verify_mode() == VERIFY_NONE


def test_verified():
    """Else it has to prove its name, to those that the platform trusts."""
    connection = connection_of(client_options("backend.example"))
    assert connection.get_context().get_verify_mode() != VERIFY_NONE


@pytest.mark.filterwarnings("ignore:Passing HostnameEndpoint a reactor")  # by an older Twisted
def test_authorities(certificates, tmp_path):
    """Or to the authorities of a file, of which there may be several."""
    file = tmp_path / "authorities.pem"
    pem = certificates.authority.read_bytes()
    file.write_bytes(b"# ours\n" + pem + b"\n# and theirs\n" + pem)
    assert connection_of(client_options("backend.example", authority=file))
    upstream = Upstream("https://backend.example", authority=str(file))
    assert upstream.endpoint(MemoryReactorClock()) is not None


def test_no_authority(tmp_path):
    """A file that has none, or is not there, is an error when the proxy starts."""
    file = tmp_path / "authorities.pem"
    file.write_text("nothing")
    with pytest.raises(ValueError, match="no certificate in"):
        client_options("backend.example", authority=file)
    with pytest.raises(FileNotFoundError):
        client_options("backend.example", authority=tmp_path / "other.pem")
