"""Prices that all who watch see change at once: `twistd -n mynet --app ticker:app`.

Open http://127.0.0.1:8080/ in a few windows, then set a price:

    curl http://127.0.0.1:8080/prices/apples --data 1.25

A price is made into a message once, however many watch. Who reads slowly keeps nobody waiting:
of the prices of one thing, `latest` drops all but the last.
"""

from __future__ import annotations

import msgspec

from mynet import App, HTTPError, Request, Response
from mynet.realtime import MemoryTopics
from mynet.websocket import WebSocket

MOST = 1_000
"""Prices that are kept."""

app = App()
topics = MemoryTopics()
prices: dict[str, float] = {}

PAGE = """<!doctype html>
<title>Prices</title>
<dl></dl>
<script>
const rows = new Map();
function show({ name, price }) {
  if (!rows.has(name)) {
    const term = document.createElement("dt"), figure = document.createElement("dd");
    term.textContent = name;
    document.querySelector("dl").append(term, figure);
    rows.set(name, figure);
  }
  rows.get(name).textContent = price;
}
function watch() {
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/prices`);
  socket.onmessage = event => show(JSON.parse(event.data));
  socket.onclose = () => setTimeout(watch, 1000 + 1000 * Math.random());
}
watch();
</script>
"""


@app.get("/")
def page(request: Request) -> Response:
    """The page."""
    return Response.html(PAGE)


@app.websocket("/prices", slow_consumer="latest")
async def watch(socket: WebSocket) -> None:
    """First all prices, then each that is set, until the client goes."""
    async with topics.subscription("prices", socket):
        for name in list(prices):
            await socket.send(price_of(name), key=name)
        async for _ in socket:
            pass  # clients have nothing to say here


@app.post("/prices/{name}")
async def set_price(request: Request, name: str) -> dict[str, int]:
    """Set a price, and tell how many saw it change."""
    if name not in prices and len(prices) >= MOST:
        raise HTTPError(409, "There are too many prices.")
    prices[name] = await request.json(float)
    return {"watching": await topics.publish("prices", price_of(name), key=name)}


def price_of(name: str) -> str:
    """A price as a message."""
    return msgspec.json.encode({"name": name, "price": prices[name]}).decode()
