"""One call of a WSGI application, for one request: the server's side of PEP 3333, in a thread.

A call ends in one of three ways, and the reactor is told of it once: with a response whose body is
all here (most are), with one whose body is an `Output` that the thread goes on writing, or with the
error for which there will be none. What goes wrong after the last of a response has been handed
over can only be logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.handlers.wsgi.environ import Environ
from mynet.handlers.wsgi.files import FileWrapper, SentFile, regular_file, rest_of
from mynet.handlers.wsgi.input import BodyError, Disconnected, Input
from mynet.handlers.wsgi.output import Output
from mynet.handlers.wsgi.rules import Head, WSGIError, check_chunk, check_head, check_length
from mynet.http.errors import HTTPError
from mynet.http.message import Body, Request, Response
from mynet.http.outgoing import BODILESS

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
Application = Callable[[Environ, Any], Iterable[bytes]]
"""A callable as PEP 3333 describes it."""

log = Logger()


class Call:
    """What becomes of one request. Its methods say in which thread they are called."""

    def __init__(
        self,
        app: Application,
        request: Request,
        environ: Environ,
        in_reactor: Callable[..., object],
        in_thread: Callable[..., object],
    ) -> None:
        """In the reactor.

        Args:
            app: The application.
            request: What it is called for.
            environ: Its environ.
            in_reactor: Calls a function with arguments in the reactor's thread, soon.
            in_thread: Calls a function with arguments in a worker thread, soon.
        """
        self._app = app
        self._request = request
        self._environ = environ
        self._in_reactor = in_reactor
        self._in_thread = in_thread
        self._context = copy_context()
        self.answer: Deferred[Response] = Deferred(self._cancelled)
        """What the client gets. Cancelled, the application is told where it reads or writes."""
        self.on_cancelled: Callable[[Call], object] | None = None
        """Called in the reactor when nobody waits for the answer any more."""
        self.stream: Input | None = None
        """What is behind `wsgi.input`, if it may have to wait."""
        self._cancelled_before_answer = False
        # The thread's
        self._head: Head | None = None
        self._is_bodiless = False
        self._begun = False
        self._output: Output | None = None
        self._size = 0
        self._closed_later = False

    # In the reactor

    def refuse(self, error: HTTPError) -> None:
        """Answer with this, since it will not run."""
        self.answer.errback(error)

    def _cancelled(self, _: object) -> None:
        self._cancelled_before_answer = True
        if self.stream is not None:
            self.stream.fail(Disconnected("the client has gone"))
        if self.on_cancelled is not None:
            self.on_cancelled(self)

    def _deliver(self, response: Response) -> None:
        body = response.body
        if isinstance(body, Output | SentFile):
            if self._cancelled_before_answer:
                body.close()
            else:
                self._request.on_finish(body.close)  # whatever becomes of the response
        if not self._cancelled_before_answer:
            self.answer.callback(response)

    def _fail(self, failure: Failure) -> None:
        if not self._cancelled_before_answer:
            self.answer.errback(failure)

    # In the thread: from the beginning to the end

    def run(self) -> None:
        """Call the application, and send what it returns. It raises nothing."""
        self._context.run(self._run)

    def _run(self) -> None:
        errors = self._environ["wsgi.errors"]  # the application may put others there
        self._run_app()
        errors.flush()

    def _run_app(self) -> None:
        try:
            result = self._app(self._environ, self._start_response)
        except BaseException as error:
            self._failed(error)
            return
        try:
            self._send(result)
        except BaseException as error:
            self._failed(error)
        if not self._closed_later:
            self._close(result)

    def _send(self, result: Iterable[bytes] | None) -> None:
        if result is None:
            raise WSGIError("the application must return an iterable, not None")
        if not self._begun:
            if type(result) is list or type(result) is tuple:
                self._send_whole(b"".join(map(check_chunk, result)))
                return
            if type(result) is FileWrapper and (file := regular_file(result.filelike)):
                self._send_file(result, file)
                return
        is_one = _has_one(result)
        for chunk in result:
            if check_chunk(chunk) and not self._send_chunk(chunk, is_one):
                break
        self._finish()

    def _close(self, result: object) -> None:
        close = getattr(result, "close", None)
        if close is not None:
            try:
                close()
            except BaseException:
                log.failure("close() failed after {request}", request=self._request)

    def _failed(self, error: BaseException) -> None:
        """The application has raised this, or broken a rule."""
        if self._cancelled_before_answer or (self._output is not None and self._output.gone):
            if not isinstance(error, Disconnected):
                log.failure("{request} failed after its client had gone", request=self._request)
        elif self._output is not None:
            self._output.finish(Failure(error))
        elif self._begun:
            log.failure("{request} failed after it was answered", request=self._request)
        else:
            reason = error.error if isinstance(error, BodyError) else error
            self._in_reactor(self._fail, Failure(reason))

    # In the thread: the head

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Write:
        try:
            if exc_info is not None:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            elif self._head is not None:
                raise WSGIError("start_response was called twice, without exc_info")
            self._head = head = check_head(status, headers)
        finally:
            exc_info = None  # which refers to a frame that refers to it
        self._is_bodiless = self._request.method == "HEAD" or head.status in BODILESS
        return self._write

    def _checked_head(self) -> Head:
        if self._head is None:
            raise WSGIError("start_response was not called before the body")
        return self._head

    def _begin(self, body: Body) -> None:
        """Hand over the response."""
        head = self._checked_head()
        self._begun = True
        self._in_reactor(self._deliver, Response.raw(body, head.status, head.fields))

    # In the thread: the body

    def _send_whole(self, body: bytes) -> None:
        length = self._checked_head().length
        if not self._is_bodiless:
            check_length(length, len(body), ended=True)
            self._begin(body)
        elif length is None and body:
            self._begin(body)  # which tells its length
        else:
            self._begin_bodiless(length)

    def _begin_bodiless(self, length: int | None) -> None:
        self._begin(b"" if length is not None else ())  # the latter is of an unknown length

    def _send_file(self, wrapper: FileWrapper, file: BinaryIO) -> None:
        length = self._checked_head().length
        offset, size = rest_of(file)
        if length is not None:
            size = min(size, length)
            if not self._is_bodiless:
                check_length(length, size, ended=True)
        context = self._context.copy()  # the other one may still be in use
        self._closed_later = True
        close = partial(self._in_thread, context.run, self._close, wrapper)
        self._begin(SentFile(file, offset, size, close))

    def _send_chunk(self, chunk: bytes, is_all: bool) -> bool:
        """Send a part of the body; false where the response has none."""
        length = self._checked_head().length
        if self._is_bodiless:
            if not self._begun:
                self._begin_bodiless(length)
            return False
        self._size += len(chunk)
        check_length(length, self._size, ended=is_all)
        if self._output is not None:
            self._output.write(chunk)
        elif self._begun:
            raise WSGIError("the iterable has a len() of 1, but gives more")
        elif is_all or self._size == length:
            self._begin(chunk)
        else:
            self._output = Output(length, self._in_reactor)
            self._begin(self._output)
            self._output.write(chunk)
        return True

    def _write(self, chunk: bytes) -> None:
        """The callable that `start_response` returns."""
        if not self._begun or check_chunk(chunk):
            self._send_chunk(check_chunk(chunk), False)

    def _finish(self) -> None:
        """The application has given all that it gives."""
        if not self._begun:
            self._send_whole(b"")
        elif self._output is not None:
            check_length(self._checked_head().length, self._size, ended=True)
            self._output.finish()


def _has_one(result: object) -> bool:
    """Whether an iterable says that it has one part."""
    return hasattr(type(result), "__len__") and len(result) == 1  # type: ignore[arg-type]
