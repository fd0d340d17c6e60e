"""HTTP for Twisted: protocols below, handlers above, `Request` and `Response` between.

A handler is served by giving `HTTPFactory(handler)` to any Twisted endpoint.
"""

from mynet.http.body import RequestBody
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.exchange import Exchange
from mynet.http.factory import HTTPFactory
from mynet.http.forms import Form, FormLimits, UploadedFile
from mynet.http.limits import Limits
from mynet.http.message import Handler, Middleware, Request, Response, Upgrade
from mynet.http.shared import Access, Stats
from mynet.http.tls import TLS

__all__ = [
    "TLS",
    "Access",
    "ClientGone",
    "Exchange",
    "Form",
    "FormLimits",
    "HTTPError",
    "HTTPFactory",
    "Handler",
    "Limits",
    "Middleware",
    "Request",
    "RequestBody",
    "Response",
    "Stats",
    "Upgrade",
    "UploadedFile",
]
