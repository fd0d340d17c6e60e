"""What a page finds in Chromium where middleware stands between it and what it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html import unescape

import pytest
from twisted.internet.defer import Deferred

from mynet import App, HTTPError, Request, Response
from mynet.middleware.compression import compression
from mynet.middleware.cors import cors
from mynet.middleware.security_headers import security_headers
from tests.integration.serving import in_thread, integration
from tests.integration.test_chromium import page_in

TEXT = "some text, and more of it\n" * 10_000

PAGE = """
<!doctype html>
<title>What a page finds</title>
<img src="/loaded" alt="until it is here, the page is not">
<script>
const found = {};
const [open, closed] = new URLSearchParams(location.search).getAll("api");

async function ask(url, options) {
    try {
        const answer = await fetch(url, options);
        const text = await answer.text();
        return [answer.status, text, answer.headers.get("x-total"), answer.headers.get("x-secret")];
    } catch (error) {
        return error.name;
    }
}

async function look() {
    const text = await fetch("/text");
    found.coding = text.headers.get("content-encoding");
    found.length = (await text.text()).length;

    found.events = [];
    const source = new EventSource("/events");
    await new Promise(resolve => {
        source.onmessage = event => {
            if (found.events.push(event.data) === 1) fetch("/go_on", {method: "POST"});
        };
        source.addEventListener("end", resolve);
    });
    source.close();

    const put = {method: "PUT", credentials: "include", headers: {"X-Token": "1"}};
    found.simple = await ask(open + "/");
    found.put = await ask(open + "/", put);
    found.other_header = await ask(open + "/", {...put, headers: {"X-Other": "1"}});
    found.other_method = await ask(open + "/", {...put, method: "DELETE"});
    found.error = await ask(open + "/error", {credentials: "include"});
    found.missing = await ask(open + "/missing");
    found.closed = await ask(closed + "/");
    found.closed_put = await ask(closed + "/", put);
}

look().catch(error => { found.failed = String(error); }).then(() => {
    document.body.append(Object.assign(document.createElement("pre"), {
        textContent: JSON.stringify(found),
    }));
    fetch("/looked_at", {method: "POST"});
});
</script>
"""


def make_site() -> App:
    """Where the page comes from, and what is compressed."""
    app = App()
    app.use(security_headers(csp="default-src * 'unsafe-inline'"))
    app.use(compression())
    looked: Deferred[None] = Deferred()
    goes_on: Deferred[None] = Deferred()

    @app.get("/")
    def page(request: Request) -> Response:
        return Response.html(PAGE)

    @app.get("/loaded")
    async def loaded(request: Request) -> None:
        await looked

    @app.post("/looked_at")
    def looked_at(request: Request) -> None:
        looked.callback(None)

    @app.get("/text")
    def text(request: Request) -> str:
        return TEXT

    @app.get("/events")
    def events(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"data: first\n\n"
            await goes_on
            yield b"data: second\n\nevent: end\ndata:\n\n"

        return Response(body(), content_type="text/event-stream")

    @app.post("/go_on")
    def go_on(request: Request) -> None:
        goes_on.callback(None)

    return app


def make_api(origin: str) -> App:
    """Another origin, which this one may read."""
    app = App()
    app.use(cors(origin, methods=["GET", "PUT"], headers=["X-Token"], expose=["X-Total"],
                 credentials=True))  # fmt: skip

    @app.route("/", methods=["GET", "PUT", "DELETE"])
    def index(request: Request) -> Response:
        return Response(b"hello", 200, {"X-Total": "3", "X-Secret": "7"})

    @app.get("/error")
    def error(request: Request) -> Response:
        raise HTTPError(403, "No.")

    return app


@pytest.mark.parametrize("transport", ["tcp"], indirect=True)
@integration
async def test_page(serve, chromium, tmp_path):
    """A page reads what is compressed as it comes, and of other origins what they allow."""
    site = await serve(make_site())
    origin = site.url("").rstrip("/")
    apis = [await serve(make_api(each)) for each in (origin, "https://else.example")]
    query = "&".join(f"api={api.url('').rstrip('/')}" for api in apis)
    dom = await in_thread(page_in, chromium, site.url(f"/?{query}"), tmp_path, "--disable-sync")
    found = re.search("<pre>(.*)</pre>", dom)
    assert found, dom
    assert json.loads(unescape(found[1])) == {
        "coding": "zstd",
        "length": len(TEXT),
        "events": ["first", "second"],
        "simple": [200, "hello", "3", None],
        "put": [200, "hello", "3", None],
        "other_header": "TypeError",
        "other_method": "TypeError",
        "error": [403, "403 Forbidden\nNo.\n", None, None],
        "missing": [404, "404 Not Found\n", None, None],
        "closed": "TypeError",
        "closed_put": "TypeError",
    }
