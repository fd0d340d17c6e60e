"""The interfaces: what twisted.web.websocket has, so that protocols fit both."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web import websocket as twisted_websocket

from mynet.websocket.connection import WebSocketConnection
from mynet.websocket.interfaces import WebSocketProtocol, WebSocketTransport

EVENTS: dict[str, tuple[Any, ...]] = {
    "negotiationStarted": (object(),),
    "negotiationFinished": (),
    "textMessageReceived": ("text",),
    "bytesMessageReceived": (b"bytes",),
    "pongReceived": (b"",),
    "connectionLost": (Failure(ConnectionDone()),),
}


def methods(interface: type) -> dict[str, list[inspect.Parameter]]:
    """Its own methods, with their parameters as far as a caller can tell."""
    return {
        name: [
            parameter.replace(annotation=inspect.Parameter.empty)
            for parameter in inspect.signature(method).parameters.values()
        ]
        for name, method in vars(interface).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }


def beyond(ours: type, theirs: type) -> Iterator[tuple[str, inspect.Parameter]]:
    """The parameters that ours have after all that theirs have, in the same order."""
    mine = methods(ours)
    for name, parameters in methods(theirs).items():
        assert mine[name][: len(parameters)] == parameters, name
        yield from ((name, parameter) for parameter in mine[name][len(parameters) :])


def test_protocol_is_that_of_twisted():
    """A protocol is told the same things by the same names, and nothing else."""
    assert list(beyond(WebSocketProtocol, twisted_websocket.WebSocketProtocol)) == []
    assert methods(WebSocketProtocol).keys() == EVENTS.keys()


@pytest.mark.parametrize("transport", [WebSocketTransport, WebSocketConnection])
def test_transport_is_that_of_twisted(transport):
    """What a protocol asks of Twisted's transport it can ask of ours; more it need not say."""
    more = list(beyond(transport, twisted_websocket.WebSocketTransport))
    assert [(name, parameter.name, parameter.default) for name, parameter in more] == [
        ("loseConnection", "reason", "")
    ]


def test_connection_has_the_whole_interface():
    """The transport that there is does all that its interface says."""
    assert list(beyond(WebSocketConnection, WebSocketTransport)) == []


@pytest.mark.parametrize("name", EVENTS)
def test_protocols_write_what_they_need(name):
    """Who derives from the protocol need not write what does not concern it."""

    class Silent(WebSocketProtocol): ...

    assert getattr(Silent(), name)(*EVENTS[name]) is None
