"""A reverse proxy, as a handler: `ReverseProxy("http://127.0.0.1:9000")`."""

from mynet.handlers.proxy.handler import ReverseProxy
from mynet.handlers.proxy.health import FailurePolicy, HealthCheck
from mynet.handlers.proxy.upstream import Upstream
from mynet.http.client_limits import ClientLimits

__all__ = ["ClientLimits", "FailurePolicy", "HealthCheck", "ReverseProxy", "Upstream"]
