"""A handler that waits for another server, with Deferreds: `twistd -n mynet --app deferred:app`.

    curl http://127.0.0.1:8080/title

It tells the title of the page at `SOURCE`, an environment variable. It needs treq. When the
client goes away the Deferred is cancelled, and treq's request with it.
"""

from __future__ import annotations

import os
import re
from html import unescape

import treq
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed

from mynet import App, HTTPError, Request

app = App()

SOURCE = os.environ.get("SOURCE", "https://example.com/")
TITLE = re.compile("<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)


@app.get("/title")
def title(request: Request) -> Deferred[str]:
    """The title of the page, as text."""
    answer: Deferred[str] = treq.get(SOURCE, timeout=10).addCallback(treq.text_content)
    return answer.addCallbacks(find_title, no_answer)


def find_title(page: str) -> str:
    """The title of a page."""
    found = TITLE.search(page)
    if not found:
        raise HTTPError(502, "The page has no title.")
    return unescape(found[1]).strip() + "\n"


def no_answer(failure: Failure) -> str:
    """Blame the other server, if it is that which failed."""
    failure.trap(ConnectError, ConnectingCancelledError, DNSLookupError, ResponseFailed)
    raise HTTPError(502, "The page cannot be had.")
