"""HTTP for Twisted: protocols below, handlers above, `Request` and `Response` between.

A handler is served by giving `HTTPFactory(handler)` to any Twisted endpoint. A `Pool` is the
other side: it asks another server.
"""

from typing import TYPE_CHECKING

from mynet.http.body import RequestBody
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.exchange import Exchange
from mynet.http.factory import HTTPFactory
from mynet.http.file import FileBody
from mynet.http.forms import Form, FormLimits, UploadedFile
from mynet.http.limits import Limits
from mynet.http.message import Handler, Middleware, Request, Response, Upgrade
from mynet.http.shared import Access, Stats
from mynet.http.tls import TLS
from mynet.late import import_late

if TYPE_CHECKING:
    from mynet.http.client_errors import (
        BadResponse,
        CannotConnect,
        ClientError,
        NotAnswered,
        PoolFull,
        ResponseCut,
        UpstreamTimeout,
    )
    from mynet.http.client_limits import ClientLimits
    from mynet.http.client_response import ClientResponse, ResponseBody
    from mynet.http.pool import Pool

__all__ = [
    "TLS",
    "Access",
    "BadResponse",
    "CannotConnect",
    "ClientError",
    "ClientGone",
    "ClientLimits",
    "ClientResponse",
    "Exchange",
    "FileBody",
    "Form",
    "FormLimits",
    "HTTPError",
    "HTTPFactory",
    "Handler",
    "Limits",
    "Middleware",
    "NotAnswered",
    "Pool",
    "PoolFull",
    "Request",
    "RequestBody",
    "Response",
    "ResponseBody",
    "ResponseCut",
    "Stats",
    "Upgrade",
    "UploadedFile",
    "UpstreamTimeout",
]

_ERRORS = [
    "BadResponse",
    "CannotConnect",
    "ClientError",
    "NotAnswered",
    "PoolFull",
    "ResponseCut",
    "UpstreamTimeout",
]

__getattr__ = import_late(
    __name__,
    {
        **dict.fromkeys(_ERRORS, "mynet.http.client_errors"),
        "ClientLimits": "mynet.http.client_limits",
        "ClientResponse": "mynet.http.client_response",
        "ResponseBody": "mynet.http.client_response",
        "Pool": "mynet.http.pool",
    },
)
