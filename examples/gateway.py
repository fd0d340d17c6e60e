"""A server in front of others: `twistd -n mynet --app gateway:app`.

    BACKENDS="http://127.0.0.1:9000 http://127.0.0.1:9001" twistd -n mynet --app gateway:app

Whatever is asked goes to the one with the fewest requests, as long as it is well. What has gone
through is counted, and can be asked for at /gateway/counts.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable

from mynet import App, Handler, Request, Response
from mynet.handlers.proxy import ClientLimits, HealthCheck, ReverseProxy
from mynet.middleware.around import change_responses, with_life_of
from mynet.middleware.compression import compression

BACKENDS = os.environ.get("BACKENDS", "http://127.0.0.1:9000").split()

counts: Counter[str] = Counter()


def counted(handler: Handler) -> Handler:
    """Count requests, and responses by status."""

    def count(request: Request, response: Response) -> Response:
        counts[str(response.status)] += 1
        return response

    answering = change_responses(handler, count)

    def answer(request: Request) -> Response | Awaitable[Response]:
        counts["requests"] += 1
        return answering(request)

    return with_life_of(handler, answer)


app = App()
app.use(compression())


@app.get("/gateway/counts")
def show(request: Request) -> dict[str, int]:
    """What has been counted; errors of the gateway itself are requests without a response."""
    return dict(counts)


backends = ReverseProxy(
    *BACKENDS,
    check=HealthCheck(path="/", interval=2),
    limits=ClientLimits(response_timeout=20),
)
app.mount("/", counted(backends))
