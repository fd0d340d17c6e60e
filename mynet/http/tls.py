"""What a handler may know of the TLS connection its request came over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.interfaces import ISSLTransport, ITransport


@dataclass(frozen=True, slots=True)
class TLS:
    """The outcome of a TLS handshake."""

    version: str
    """As OpenSSL names it: `TLSv1.2`, `TLSv1.3`."""

    cipher: str
    """The cipher suite, as OpenSSL names it."""

    server_name: str | None
    """What the client asked for (SNI)."""

    alpn: str | None
    """The protocol agreed upon, such as `http/1.1`."""

    client_certificate: bytes | None
    """The client's certificate in DER, if it sent one."""

    client_chain: tuple[bytes, ...] = ()
    """What else the client sent, in DER: each certificate has signed the one before."""

    server_certificate: bytes | None = None
    """Our own certificate in DER."""


_known: WeakKeyDictionary[Any, TLS] = WeakKeyDictionary()
"""What has been asked for already, by OpenSSL's connections: it takes its time, and stays."""


def is_tls(transport: ITransport) -> bool:
    """Whether bytes on this transport are encrypted."""
    return bool(ISSLTransport.providedBy(transport))


def tls_of(transport: Any) -> TLS | None:
    """The outcome of the handshake on a transport of Twisted's; None without TLS.

    To be called after data has arrived: before that nothing is settled.
    """
    if not is_tls(transport):
        return None
    handle = transport.getHandle()  # an OpenSSL.SSL.Connection
    tls = _known.get(handle)
    if tls is None:
        tls = _known[handle] = _outcome(handle)
    return tls


def _outcome(handle: Any) -> TLS:
    peer, own = handle.get_peer_certificate(), handle.get_certificate()
    server_name = handle.get_servername()
    alpn = handle.get_alpn_proto_negotiated()
    return TLS(
        version=handle.get_protocol_version_name(),
        cipher=handle.get_cipher_name() or "",
        server_name=server_name.decode("ascii", "replace") if server_name else None,
        alpn=alpn.decode("ascii", "replace") if alpn else None,
        client_certificate=_der(peer) if peer else None,
        client_chain=tuple(map(_der, handle.get_peer_cert_chain() or ())) if peer else (),
        server_certificate=_der(own) if own else None,
    )


def _der(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # slow to import

    der: bytes = certificate.to_cryptography().public_bytes(Encoding.DER)
    return der
