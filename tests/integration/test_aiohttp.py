"""What aiohttp's client does in its own way: streams, and a pool of connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO

from twisted.internet import reactor
from twisted.internet.task import deferLater

from mynet.http import HTTPError, Request, Response
from tests.integration.clients import aiohttp_session
from tests.integration.serving import LARGE, Service, in_thread, integration

ROUNDS = 200


async def echo(request: Request) -> Response:
    """The body, as it comes in."""
    return Response(echoed(request))


async def echoed(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request:
        yield chunk


async def later(request: Request) -> Response:
    """The path, not at once."""
    await deferLater(reactor, 0)
    return Response.text(request.path)


@integration
async def test_conversation(serve):
    """A streamed response is read while the request is still written, word by word."""
    service = await serve(echo)

    async def talk() -> int:
        words: asyncio.Queue[bytes] = asyncio.Queue()
        await words.put(b"word 0")  # aiohttp keeps a request's head until there is some body
        rounds = 0

        async def body() -> AsyncIterator[bytes]:
            while word := await words.get():
                yield word

        async with (
            aiohttp_session(service) as session,
            session.post(service.url("/"), data=body()) as response,
        ):
            while rounds < ROUNDS:
                assert await response.content.readany() == b"word %d" % rounds
                rounds += 1
                await words.put(b"word %d" % rounds if rounds < ROUNDS else b"")
            assert await response.content.readany() == b""
        return rounds

    assert await in_thread(asyncio.run, talk()) == ROUNDS


@integration
async def test_pool(serve):
    """Many requests at once share as few connections as the client wants."""
    service = await serve(later)

    async def get_all() -> list[str]:
        async with aiohttp_session(service, limit=4) as session:

            async def get(path: str) -> str:
                async with session.get(service.url(path)) as response:
                    return await response.text()

            return await asyncio.gather(*(get(f"/{number}") for number in range(ROUNDS)))

    assert await in_thread(asyncio.run, get_all()) == [f"/{number}" for number in range(ROUNDS)]
    assert service.factory.stats.accepted <= 4


@integration
async def test_continue(serve):
    """Leave to send a body is given when the handler reads, and an answer without it else."""

    async def handler(request: Request) -> Response:
        if request.path == "/no":
            raise HTTPError(403)
        return Response.text(str(len(await request.read(None))))

    service = await serve(handler)

    async def post(service: Service) -> list[tuple[int, str]]:
        answers = []
        async with aiohttp_session(service) as session:
            for path in ("/no", "/yes"):
                url = service.url(path)
                async with session.post(url, data=BytesIO(LARGE), expect100=True) as response:
                    answers.append((response.status, await response.text()))
        return answers

    answers = await in_thread(asyncio.run, post(service))
    assert answers == [(403, "403 Forbidden\n"), (200, str(len(LARGE)))]
    assert service.factory.stats.bytes_received < 1.1 * len(LARGE)
