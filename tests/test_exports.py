"""The public names: what other programs may import and count on."""

from __future__ import annotations

import importlib
import types

import pytest

NAMES = {
    "mynet": (
        "App ClientGone FormLimits HTTPError Handler Middleware Request Response Upgrade "
        "WebSocket WebSocketClosed WebSocketError"
    ),
    "mynet.handlers.asgi": "ASGIHandler NoLoop StartupFailed",
    "mynet.handlers.proxy": "ClientLimits FailurePolicy HealthCheck ReverseProxy Upstream",
    "mynet.handlers.resource": "ResourceHandler",
    "mynet.handlers.static": "EXTENSIONS IMMUTABLE StaticFiles",
    "mynet.handlers.wsgi": "Application WSGIError WSGIHandler",
    "mynet.http": (
        "Access BadResponse CannotConnect ClientError ClientGone ClientLimits ClientResponse "
        "Exchange FileBody Form FormLimits HTTPError HTTPFactory Handler Limits Middleware "
        "NotAnswered Pool PoolFull Request RequestBody Response ResponseBody ResponseCut Stats "
        "TLS Upgrade UploadedFile UpstreamTimeout"
    ),
    "mynet.realtime": "MemoryTopics Subscriber TopicError TopicLimits TopicStats Topics",
    "mynet.uvreactor": "UVReactor install",
    "mynet.websocket": (
        "Accepted ClientWebSocket Deflate HandshakeError HandshakeRefused Message Opening "
        "Policy SlowConsumer Stats WebSocket WebSocketClosed WebSocketConnection WebSocketDone "
        "WebSocketEndpoint WebSocketError WebSocketFactory WebSocketHandler WebSocketLost "
        "WebSocketProtocol WebSocketTransport connect connect_protocol"
    ),
}
"""Taking one away, or adding one, is a change that users are told of (CHANGELOG.md)."""

MEANS = {"TYPE_CHECKING", "annotations", "import_late"}
"""What a package uses to have its names."""


@pytest.mark.parametrize("module", NAMES)
def test_public_names(module):
    """These names, and no others, are what the package promises."""
    assert sorted(importlib.import_module(module).__all__) == NAMES[module].split()


@pytest.mark.parametrize("module", NAMES)
def test_each_is_there(module):
    """Each public name can be imported."""
    package = importlib.import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(package, name)] == []


@pytest.mark.parametrize("module", NAMES)
def test_nothing_else_looks_public(module):
    """A name that is promised to nobody does not look as if it were."""
    stray = {
        name
        for name, value in vars(importlib.import_module(module)).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert stray - set(NAMES[module].split()) - MEANS == set()
