"""The Handler of a folder's files: finds what a request means, and answers with it.

Looking up and opening is done at once, as all servers do; what is read is read without waiting
for a disk (`FileBody`), or is in memory already (`Memory`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from time import time
from typing import BinaryIO

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mynet.handlers.static.listing import Entry, listing, read_folder
from mynet.handlers.static.media_types import content_type
from mynet.handlers.static.memory import FILE, TOTAL, Kept, Memory
from mynet.handlers.static.names import Names, is_allowed, read_names
from mynet.handlers.static.reply import asked_ranges, partial, precondition_reply
from mynet.handlers.static.representation import Representation, mark_of, represent
from mynet.handlers.static.tree import Opened, Tree
from mynet.handlers.static.wishes import Wishes, read_wishes
from mynet.http.accept import choose_encoding
from mynet.http.errors import HTTPError
from mynet.http.exchange import RawHeaders
from mynet.http.file import FileBody, read_resident
from mynet.http.message import Request, Response
from mynet.http.writing import encode_fields, field_lines

log = Logger()

IMMUTABLE = "public, max-age=31536000, immutable"
"""A Cache-Control for files whose names change with what is in them."""

EXTENSIONS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""What is behind the name of a file in that of its compressed form, the best first."""

_STATUSES = {
    errno.ENOENT: 404,
    errno.ENOTDIR: 404,
    errno.ELOOP: 404,
    errno.ENAMETOOLONG: 404,
    errno.EILSEQ: 404,
    errno.EINVAL: 404,
    errno.EACCES: 403,
    errno.EPERM: 403,
    errno.EMFILE: 503,
    errno.ENFILE: 503,
}
_NOT_THERE = (FileNotFoundError, NotADirectoryError)


class StaticFiles:
    """Answers with the files in a folder, or with one file. See `mynet.handlers.static`."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        index: str | Sequence[str] = "index.html",
        listing: bool = False,
        fallback: str | None = None,
        follow_symlinks: bool = False,
        dotfiles: bool | str | Collection[str] = False,
        precompressed: bool = True,
        cache_control: str | Mapping[str, str] | None = None,
        content_types: Mapping[str, str] | None = None,
        memory: int = TOTAL,
    ) -> None:
        """Nothing is looked up yet.

        Args:
            root: A folder; or a file, which is then the answer whatever the path. It may be a
                symbolic link, and may be replaced at any time.
            index: The name of the file that stands for the folder it is in; or several, of which
                the first counts that there is.
            listing: Whether a folder without any of them is answered with a list of what is in
                it, instead of 404.
            fallback: The path below the root of a page that is the answer where there is nothing,
                and the last name has no dot: for applications that do their routing in the
                browser.
            follow_symlinks: Whether symbolic links may lead out of the root. Those that stay
                inside are always followed.
            dotfiles: Whether names that begin with a dot are served, or which of them, such as
                `".well-known"`.
            precompressed: Whether `name.br`, `name.zst` and `name.gz` are sent instead of `name`
                to clients that like them. They count if they are not older than that.
            cache_control: The Cache-Control of all files; or by patterns (as in `fnmatch`, of
                the path below the root, `*` also for slashes), the first that fits:
                `{"assets/*": IMMUTABLE, "*": "no-cache"}`.
            content_types: By extension with its dot, instead of those that are usual. For text
                of which nothing else is said, UTF-8 is added.
            memory: How much of it may be used for small files, in bytes.

        Raises:
            ValueError: What is to be sent in a field cannot be.
        """
        self._tree = Tree(os.path.abspath(root), follow_symlinks)
        self._index = _several(index)
        self._lists = listing
        self._fallback = None if fallback is None else tuple(fallback.strip("/").split("/"))
        self._dotfiles = dotfiles if isinstance(dotfiles, bool) else frozenset(_several(dotfiles))
        self._precompressed = precompressed
        one_for_all = {"*": cache_control} if isinstance(cache_control, str) else cache_control
        self._cache_control = dict(one_for_all or {})
        self._content_types = {key.lower(): value for key, value in (content_types or {}).items()}
        values = [*self._cache_control.values(), *self._content_types.values()]
        field_lines(encode_fields(("Any", value) for value in values))
        self._memory = Memory(memory)

    def __repr__(self) -> str:
        return f"<StaticFiles {self._tree.root}>"

    def start(self) -> None:
        """See that there is something to serve.

        Raises:
            OSError: There is not.
        """
        status = os.stat(self._tree.root)
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "neither a folder nor a file", self._tree.root)

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        if request.method not in ("GET", "HEAD"):
            raise HTTPError(405, headers={"Allow": "GET, HEAD"})
        wishes = read_wishes(request)
        if wishes.range is None:
            now = request.exchange.sweep.now
            kept = self._memory.find(request.raw_path, wishes.encodings, now)
            if kept is not None:
                found = kept.representation
                reply = precondition_reply(found, wishes, request.method)
                return reply or Response.raw(kept.body, 200, found.fields)
        with _answering_errors(request):
            return self._look_up(request, wishes)

    # What a path means

    def _look_up(self, request: Request, wishes: Wishes) -> Response | Awaitable[Response]:
        found = read_names(request.raw_path, self._dotfiles)
        if found is None:
            raise HTTPError(404)
        try:
            return self._answer(request, wishes, found)
        except _NOT_THERE:
            fallback = self._fallback_for(found)
            if fallback is None:
                raise
        return self._answer(request, wishes, Names(fallback, False))

    def _fallback_for(self, found: Names) -> tuple[str, ...] | None:
        is_page = not found.names or "." not in found.names[-1]
        return self._fallback if is_page else None

    def _answer(
        self, request: Request, wishes: Wishes, found: Names
    ) -> Response | Awaitable[Response]:
        names, with_slash = found
        opened = self._tree.open(names)
        if not opened.is_folder:
            if with_slash and opened.path != self._tree.root:
                opened.close()
                raise NotADirectoryError(errno.ENOTDIR, "a file with a slash", opened.path)
            return self._answer_file(request, wishes, names, opened)
        try:
            if names and not with_slash:
                return _redirect(request)
            return self._answer_folder(request, wishes, names, opened)
        finally:
            opened.close()

    def _answer_folder(
        self, request: Request, wishes: Wishes, names: tuple[str, ...], folder: Opened
    ) -> Response | Awaitable[Response]:
        for each in self._index:
            inside = (*names, each)
            try:
                opened = self._tree.open(inside)
            except _NOT_THERE:
                continue
            if not opened.is_folder:
                return self._answer_file(request, wishes, inside, opened)
            opened.close()
        if self._lists:
            return self._list(request, names, folder.reopen())
        raise FileNotFoundError(errno.ENOENT, "a folder without an index", folder.path)

    # Files

    def _answer_file(
        self, request: Request, wishes: Wishes, names: tuple[str, ...], opened: Opened
    ) -> Response:
        chosen, coding, codings = self._choose(wishes, names, opened)
        name = names[-1] if names else os.path.basename(opened.path)
        file = open(chosen.descriptor, "rb", buffering=0)  # noqa: SIM115  (closed by its sender)
        try:
            body = None
            if wishes.range is None and chosen.status.st_size <= FILE:
                body = read_resident(file, 0, chosen.status.st_size)
            # Looked at afterwards, so that what changed while it was read is seen to have changed.
            status = os.fstat(file.fileno())
            more = self._more_fields("/".join(names) or name, bool(codings))
            kind = content_type(name, self._content_types)
            found = represent(status, time(), kind, coding, more)
            response = _reply(file, body, found, wishes, request.method)
        except BaseException:
            file.close()
            raise
        if isinstance(response.body, bytes):
            file.close()
        if body is not None and len(body) == found.size and found.settled:
            now = request.exchange.sweep.now
            kept = Kept(chosen.path, mark_of(status), body, found)
            self._memory.keep(request.raw_path, codings, coding, kept, now)
        return response

    def _choose(
        self, wishes: Wishes, names: tuple[str, ...], opened: Opened
    ) -> tuple[Opened, str | None, tuple[str, ...]]:
        """The form of a file that the client gets, its coding, and all codings that there are."""
        if not self._precompressed or opened.path == self._tree.root:
            return opened, None, ()
        path, status = opened.path, opened.status
        codings = tuple(each for each in EXTENSIONS if _is_form_of(path + EXTENSIONS[each], status))
        coding = choose_encoding((wishes.encodings,), codings)
        if coding is None:
            return opened, None, codings
        try:
            compressed = self._tree.open((*names[:-1], names[-1] + EXTENSIONS[coding]))
        except OSError:  # it leads out of the root, or may not be read; the other may
            return opened, None, codings
        if compressed.is_folder:  # by now
            compressed.close()
            return opened, None, codings
        opened.close()
        return compressed, coding, codings

    def _more_fields(self, path: str, varies: bool) -> RawHeaders:
        fields = [(b"Vary", b"Accept-Encoding")] if varies else []
        for pattern, value in self._cache_control.items():
            if fnmatchcase(path, pattern):
                return [*fields, (b"Cache-Control", value.encode("latin-1"))]
        return fields

    # Folders

    async def _list(self, request: Request, names: tuple[str, ...], folder: int | str) -> Response:
        with _answering_errors(request):
            entries, incomplete = await deferToThread(self._read_folder, names, folder)
        return listing(names, entries, incomplete)

    def _read_folder(self, names: tuple[str, ...], folder: int | str) -> tuple[list[Entry], bool]:
        try:
            return read_folder(folder, self._is_shown, lambda name: self._resolve((*names, name)))
        finally:
            if isinstance(folder, int):
                os.close(folder)

    def _is_shown(self, name: str) -> bool:
        return "\\" not in name and is_allowed(name, self._dotfiles)

    def _resolve(self, names: tuple[str, ...]) -> os.stat_result:
        opened = self._tree.open(names)
        opened.close()
        return opened.status


@contextmanager
def _answering_errors(request: Request) -> Iterator[None]:
    """What the system says of a file is an answer, as far as it is about that file."""
    try:
        yield
    except OSError as error:
        status = _STATUSES.get(error.errno or 0)
        if status is None:
            raise
        if status == 503:
            log.error("{request} failed: {error}", request=request, error=error)
        raise HTTPError(status) from error


def _several(names: str | Collection[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _reply(
    file: BinaryIO, body: bytes | None, found: Representation, wishes: Wishes, method: str
) -> Response:
    reply = precondition_reply(found, wishes, method)
    if reply is not None:
        return reply
    parts = asked_ranges(found, wishes, method)
    if parts is not None:
        return partial(file, found, parts)
    if body is not None and len(body) == found.size:
        return Response.raw(body, 200, found.fields)
    return Response.raw(FileBody(file, 0, found.size), 200, found.fields)


def _redirect(request: Request) -> Response:
    """To the same with a slash behind it, on the same host whatever the path begins with."""
    query = f"?{request.query_string.decode('ascii')}" if request.query_string else ""
    path = (request.root_path + request.raw_path.decode("ascii")).lstrip("/")
    return Response.redirect(f"/{path}/{query}", 307)


def _is_form_of(path: str, original: os.stat_result) -> bool:
    """Whether there is a file that may be a compressed form of another, as it is now."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and int(status.st_mtime) >= int(original.st_mtime)
