"""A site of Django's with Channels: forms, uploads, and a chat over WebSockets.

Django's settings are global to a process.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    INSTALLED_APPS=["channels"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="it is not",
    USE_TZ=True,
)
django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import (  # noqa: E402
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path  # noqa: E402

from mynet.handlers.asgi import ASGIHandler  # noqa: E402

PAGE = """
<!doctype html>
<title>A chat</title>
<body>
<img src="/looked" alt="until it is here, the page is not">
<script>
const found = {heard: []};

function enter(name) {
    const socket = new WebSocket(`ws://${location.host}/chat/room`);
    const closed = new Promise(resolve => {
        socket.onclose = event => resolve([event.code, event.reason, event.wasClean]);
    });
    return new Promise(resolve => {
        socket.onopen = () => {
            socket.send(JSON.stringify({name}));
            resolve({socket, closed, say: text => socket.send(JSON.stringify({text}))});
        };
        socket.onmessage = ({data}) => found.heard.push(`${name} hears ${JSON.parse(data).says}`);
    });
}

const hears = async count => {
    while (found.heard.length < count) await new Promise(resolve => setTimeout(resolve, 5));
};

async function look() {
    const anna = await enter("Anna");
    await hears(1);
    const ben = await enter("Ben");
    await hears(3);
    anna.say("Grüße 🚀");
    await hears(5);
    ben.say("leave");
    found.closed = await ben.closed;
    found.heard.sort();
}

look().catch(error => { found.error = String(error); }).then(() => {
    document.body.append(Object.assign(document.createElement("pre"), {
        textContent: JSON.stringify(found),
    }));
    fetch("/looked", {method: "POST"});
});
</script>
"""

looked = asyncio.Event()


async def page(request: HttpRequest) -> HttpResponse:
    """The chat."""
    return HttpResponse(PAGE)


async def look(request: HttpRequest) -> HttpResponse:
    """Something that the page waits for until it has looked at all the rest."""
    if request.method == "POST":
        looked.set()
    await looked.wait()
    return HttpResponse(status=204)


def asked(request: HttpRequest, number: int) -> JsonResponse:
    """What Django knows of a request, in a thread."""
    return JsonResponse(
        {
            "number": number,
            "query": request.GET.getlist("tag"),
            "cookie": request.COOKIES.get("name"),
            "uri": request.build_absolute_uri(),
            "client": request.META["REMOTE_ADDR"],
        }
    )


async def upload(request: HttpRequest) -> JsonResponse:
    """A body as it comes."""
    return JsonResponse({"sha256": hashlib.sha256(request.body).hexdigest()})


def form(request: HttpRequest) -> JsonResponse:
    """A form with a file."""
    photo: Any = request.FILES["photo"]
    return JsonResponse({"name": photo.name, "size": photo.size})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """A body in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield b"%d\n" % number

    return StreamingHttpResponse(pieces())


def error(request: HttpRequest) -> HttpResponse:
    """A bug."""
    raise RuntimeError("a bug of the site")


urlpatterns = [
    path("", page),
    path("looked", look),
    path("asked/<int:number>", asked),
    path("upload", upload),
    path("form", form),
    path("stream", stream),
    path("error", error),
]


class Chat(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # Channels has no annotations
    """Whoever is in a room hears what is said there."""

    async def connect(self) -> None:
        self.name = "somebody"
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept("chat" if "chat" in self.scope["subprotocols"] else None)

    async def receive_json(self, content: Any, **options: Any) -> None:
        text = content.get("text", "hello")
        self.name = content.get("name", self.name)
        if text == "leave":
            await self.close(4001, "as you like")
        else:
            says = {"type": "said", "says": f"{self.name}: {text}"}
            await self.channel_layer.group_send(self.room, says)

    async def said(self, event: Any) -> None:
        """Somebody has said something."""
        await self.send_json({"says": event["says"]})

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)
        says = {"type": "said", "says": f"{self.name} has left with {code}"}
        await self.channel_layer.group_send(self.room, says)


class Echo(WebsocketConsumer):  # type: ignore[misc]  # Channels has no annotations
    """One of those consumers that run in threads."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)


class Closed(WebsocketConsumer):  # type: ignore[misc]  # Channels has no annotations
    """One that lets nobody in."""

    def connect(self) -> None:
        self.close()


app = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": AllowedHostsOriginValidator(
            URLRouter(
                [
                    path("chat/<str:room>", Chat.as_asgi()),
                    path("echo", Echo.as_asgi()),
                    path("closed", Closed.as_asgi()),
                ]
            )
        ),
    }
)

served = ASGIHandler(app)
