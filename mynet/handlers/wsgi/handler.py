"""The handler that hosts a WSGI application (PEP 3333), in threads of its own."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from io import BufferedReader, BytesIO
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger

from mynet.handlers.wsgi.call import Application, Call
from mynet.handlers.wsgi.environ import Environ, make_environ
from mynet.handlers.wsgi.errors import ErrorLog
from mynet.handlers.wsgi.files import FileWrapper
from mynet.handlers.wsgi.input import Input
from mynet.handlers.wsgi.workers import Pool, Threads, Workers
from mynet.http.errors import HTTPError
from mynet.http.limits import KIB
from mynet.http.message import Request, Response

log = Logger()

_INPUT_BUFFER = 64 * KIB


class WSGIHandler:
    """Serves a WSGI application.

    A request takes a thread when all of its body is here, if the client has declared it to be small
    (`Limits.body_buffer`); so who sends a form slowly keeps no thread. Other bodies are
    streamed: `wsgi.input` waits for what is still to come. A thread whose client takes a response
    slowly waits, too, for `Limits.send_timeout` at most. Where the client has gone, reading and
    writing raise a `ConnectionError`, and `close()` of what the application returned is called.

    The application runs in a copy of the request's context: it sees the context variables that
    middleware has set.
    """

    def __init__(
        self,
        app: Application,
        *,
        threads: int = 16,
        queue: int = 256,
        stop_timeout: float = 10.0,
        pool: Threads | None = None,
        reactor: Any = None,
    ) -> None:
        """No thread is started yet.

        Args:
            app: The application.
            threads: How many requests it gets at once. 1 is for one that cannot have several.
            queue: How many more may wait for a thread; the next is answered 503.
            stop_timeout: How many seconds `stop` waits for requests that run.
            pool: Threads that are yours to start and stop, and may serve others as well; an own
                pool unless given.
            reactor: The global reactor unless given.

        Raises:
            ValueError: There would be no thread, or fewer than none waiting for it.
        """
        if threads < 1 or queue < 0:
            raise ValueError(f"threads must be 1 at least, queue 0, not {threads} and {queue}")
        self._app = app
        self._threads = threads
        self._queue = queue
        self._stop_timeout = stop_timeout
        self._given_pool = pool
        self._reactor = reactor
        self._pool: Pool | None = None
        self._workers: Workers | None = None
        self._stopped = False
        self._base: Environ = {
            "SERVER_SOFTWARE": "mynet",
            "wsgi.version": (1, 0),
            "wsgi.multithread": threads > 1,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
        }

    def __repr__(self) -> str:
        return f"<WSGIHandler of {self._app!r}>"

    def start(self) -> None:
        """Begin to serve. Without it the first request does that.

        It may be called again after `stop`.
        """
        if self._workers is not None:
            return
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        self._stopped = False
        pool = self._given_pool
        if pool is None:
            pool = self._pool = Pool(0, self._threads, "mynet-wsgi")
            pool.start()
        self._workers = Workers(pool, self._threads, self._queue, self._reactor.callFromThread)

    async def stop(self) -> None:
        """Wait until what runs, and what waits for a thread, is done; for `stop_timeout` at most.

        Requests that come meanwhile, or have no thread by then, are answered 503. A thread that
        still runs then is left alone; it does not keep the process from ending.
        """
        self._stopped = True
        workers, self._workers = self._workers, None
        pool, self._pool = self._pool, None
        if workers is None:
            return
        idle = True
        try:
            await workers.when_idle().addTimeout(self._stop_timeout, self._reactor)
        except DeferredTimeout:
            idle = False
            log.warn("{app} does not come to its end: {workers}", app=self._app, workers=workers)
        for call in workers.end():
            call.refuse(_stopping())
        if pool is not None:
            _stop_pool(pool, idle)

    def __call__(self, request: Request) -> Deferred[Response]:
        """Answer a request.

        Raises:
            HTTPError: 503, there are too many.
        """
        if self._workers is None and not self._stopped:
            self.start()
        environ = make_environ(request, self._base)
        environ["wsgi.errors"] = ErrorLog(request)
        body = request.body
        if body is None:
            return self._enqueue(request, environ, b"")
        is_small = body.declared is not None and body.declared <= body.high_water
        if body.ended or (is_small and "HTTP_EXPECT" not in environ):
            enqueue = partial(self._enqueue, request, environ)
            context = copy_context()
            return body.read(None).addCallback(lambda whole: context.run(enqueue, whole))
        stream = Input(body, request.exchange.sweep.clock, self._reactor.callFromThread)
        return self._enqueue(request, environ, stream)

    def _enqueue(
        self, request: Request, environ: Environ, body: bytes | Input
    ) -> Deferred[Response]:
        workers = self._workers
        if workers is None:
            raise _stopping()
        call = Call(self._app, request, environ, self._reactor.callFromThread, workers.do)
        if isinstance(body, Input):
            call.stream = body
            environ["wsgi.input"] = BufferedReader(body, _INPUT_BUFFER)
        else:
            environ["wsgi.input"] = BytesIO(body)
        if not workers.add(call):
            raise HTTPError(503, "There are too many requests just now.", {"Retry-After": "1"})
        return call.answer


def _stopping() -> HTTPError:
    return HTTPError(503, "The server is about to stop.", close=True)


def _stop_pool(pool: Pool, idle: bool) -> None:
    """End its threads; without waiting for those of which nobody knows when they end."""
    if idle:
        pool.stop()
    else:
        Thread(target=pool.stop, daemon=True).start()
