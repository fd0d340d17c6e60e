"""A request as the `environ` of PEP 3333. Sans I/O; nothing here is called in a thread.

Text in it is Latin-1 in the guise of str, as the PEP has it. A field whose name has an underscore
is left out, since it could not be told from one with a hyphen, which a proxy in front may have set.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IAddress

from mynet.http.message import Request
from mynet.http.tls import TLS

Environ = dict[str, Any]

_APART = {"CONTENT_TYPE", "CONTENT_LENGTH"}
_DROPPED = {b"proxy"}
"""What many programs would take for the setting HTTP_PROXY (CVE-2016-5385); it is no field."""

_PORTS = {"http": "80", "https": "443"}


def make_environ(request: Request, base: Environ) -> Environ:
    """A new environ.

    Args:
        request: What it is about.
        base: What is the same for all requests; it is copied.
    """
    environ = base | {
        "REQUEST_METHOD": request.method,
        "REQUEST_URI": request.target.decode("latin-1"),
        "SCRIPT_NAME": _unquote(request.root_path.encode("ascii")),
        "PATH_INFO": "" if request.raw_path == b"*" else _unquote(request.raw_path),
        "QUERY_STRING": request.query_string.decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "wsgi.url_scheme": request.scheme,
    }
    _add_fields(environ, request.peek_raw_headers())
    if not request.target.startswith(b"/") and request.host:
        environ["HTTP_HOST"] = request.host  # the target's overrides it (RFC 9112 section 3.2.2)
    if (body := request.body) is not None:
        _add_length(environ, body.declared)
    _add_addresses(environ, request)
    if request.scheme == "https":
        environ["HTTPS"] = "on"
        if request.tls is not None:
            _add_tls(environ, request.tls)
    return environ


def _unquote(path: bytes) -> str:
    return (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1")


@lru_cache(1024)
def _key_of(name: bytes) -> str | None:
    """The key of a field; None where it has none."""
    if b"_" in name or name in _DROPPED:
        return None
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in _APART else f"HTTP_{key}"


def _add_fields(environ: Environ, fields: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in fields:
        key = _key_of(name)
        if key is None:
            continue
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text


def _add_length(environ: Environ, declared: int | None) -> None:
    """Of a chunked body nobody knows it: `wsgi.input_terminated` says that its end can be seen."""
    if declared is None:
        environ.pop("CONTENT_LENGTH", None)
    else:
        environ["CONTENT_LENGTH"] = str(declared)


def _add_addresses(environ: Environ, request: Request) -> None:
    client, port = _address(request.client)
    environ["REMOTE_ADDR"] = client
    if port:
        environ["REMOTE_PORT"] = port
    server, port = _address(request.server)
    if ":" in server:
        server = f"[{server}]"  # RFC 3875 section 4.1.14
    environ["SERVER_NAME"] = server or "localhost"
    environ["SERVER_PORT"] = port or _PORTS[request.scheme]


def _address(address: IAddress) -> tuple[str, str]:
    """Host and port; empty where there are none, as on UNIX sockets."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    return (str(host), str(port)) if host else ("", "")


def _add_tls(environ: Environ, tls: TLS) -> None:
    """By the names of Apache's mod_ssl, as the PEP advises."""
    environ["SSL_PROTOCOL"] = tls.version
    environ["SSL_CIPHER"] = tls.cipher
    if tls.server_name is not None:
        environ["SSL_TLS_SNI"] = tls.server_name
    if tls.client_certificate is not None:
        environ["SSL_CLIENT_CERT"] = ssl.DER_cert_to_PEM_cert(tls.client_certificate)
