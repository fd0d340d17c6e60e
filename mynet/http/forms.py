"""HTML forms, urlencoded or multipart (RFC 7578), read while they arrive.

Text fields are kept in memory. The files of a form lie one after another in one
temporary file, which is itself in memory until it outgrows a limit. One for all of
them, so that a form takes one file descriptor however many files it brings, and all
are gone with one `close`. Reading and writing it blocks.

Names and texts are UTF-8, whatever a `charset` says. What no browser sends is an
error: text in front of the first boundary, a part without a name.
"""

from __future__ import annotations

import dataclasses
import io
import os
import re
import shutil
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)
from twisted.internet.defer import Deferred

from mynet.http.body import RequestBody
from mynet.http.decoding import parse_urlencoded
from mynet.http.errors import HTTPError
from mynet.http.limits import GIB, KIB, MIB

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Form", "FormLimits", "UploadedFile", "read_form"]

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

PART_HEADER = 4 * KIB
"""The most bytes of one header field of a part: two names of 255 characters fit well."""

PART_HEADERS = 8
"""The most header fields of a part; RFC 7578 knows three."""

_BOUNDARY = re.compile("[ -~]{0,69}[!-~]")  # RFC 2046 section 5.1.1, in a wider alphabet
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FormLimits:
    """The limits of one form; 413 beyond each but `memory`. Sizes are in bytes."""

    size: int = 16 * MIB
    """Of its whole body: a few photographs. PHP takes 8 MiB, Spring 10, Django any size. It is
    also what each connection can put on the disk."""

    text: int = 1 * MIB
    """Of its names, texts and part headers, which are kept in memory, as they were sent.
    Django takes 2.5 MiB, werkzeug 500 kB."""

    fields: int = 1000
    """Text fields; PHP and Django take as many."""

    files: int = 100
    """Files; Django takes as many."""

    file_size: int = 1 * GIB
    """Of one file; so much that `size` alone decides, unless both are changed."""

    memory: int = 256 * KIB
    """Of all its files together; what is more goes to disk."""

    def __post_init__(self) -> None:
        """Raises ValueError for a limit that is out of its range, naming it."""
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if value is None or not value >= 0:
                raise ValueError(f"form limit {each.name} must be a number from 0 on, not {value}")


class _Spool:
    """The content of all files of a form: written first, then read, by any thread."""

    def __init__(self, memory: int) -> None:
        self._file = SpooledTemporaryFile[bytes](max_size=max(memory, 1))
        self._lock = Lock()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)

    def read(self, offset: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)

    def close(self) -> None:
        self._file.close()


class _Section(io.RawIOBase):
    """Some of a spool, as a file of its own."""

    def __init__(self, spool: _Spool, start: int, size: int) -> None:
        self._spool = spool
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._position = max(0, (0, self._position, self._size)[whence] + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        size = max(0, min(len(view), self._size - self._position))
        view[:size] = self._spool.read(self._start + self._position, size)
        self._position += size
        return size


class UploadedFile:
    """A file of a form. It is gone when the request is over."""

    __slots__ = ("_file", "_spool", "_start", "content_type", "filename", "headers", "size")

    def __init__(self, segment: MultipartSegment, spool: _Spool) -> None:
        self._spool = spool
        self._start = spool.size
        self._file: BinaryIO | None = None
        name = (segment.filename or "").replace("\\", "/").rpartition("/")[2]
        self.filename: str = "" if name in (".", "..") else name
        """The name its sender gave it, without directories. It may be empty, and hold any
        other character: it is something to show, hardly a name to store it under."""
        self.content_type: str = segment.content_type or ""
        """The media type its sender claims, in lower case, without parameters; may be empty."""
        self.headers: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict(segment.headerlist))
        """The header fields of its part."""
        self.size = 0
        """In bytes."""

    def __repr__(self) -> str:
        return f"<UploadedFile {self.filename!r}, {self.size} bytes>"

    @property
    def file(self) -> BinaryIO:
        """Its content as a binary file: always the same one, which begins at its beginning."""
        if self._file is None:
            self._file = io.BufferedReader(_Section(self._spool, self._start, self.size))
        return self._file

    def read(self) -> bytes:
        """All of its content, wherever `file` stands."""
        return self._spool.read(self._start, self.size)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Copy its content to a new file.

        Raises:
            FileExistsError: There is one, and it may not be overwritten.
        """
        with open(path, "wb" if overwrite else "xb") as target:
            shutil.copyfileobj(_Section(self._spool, self._start, self.size), target)


class Form(MultiDictProxy[str | UploadedFile]):
    """The fields of a form by name, in order: each a text or an `UploadedFile`.

    Of a repeated name, `form[name]` is the first; `getall(name)` gives them all.
    """

    def __init__(self) -> None:
        self._fields: MultiDict[str | UploadedFile] = MultiDict()
        self._spool: _Spool | None = None
        self.closed = False
        super().__init__(self._fields)

    def text(self, name: str, default: str | None = None) -> str:
        """The text of a field.

        Raises:
            HTTPError: 400, where it is missing and has no default, or is a file.
        """
        value = self.get(name, default)
        if not isinstance(value, str):
            raise HTTPError(400, f"The form has no text field {name!r}.")
        return value

    def file(self, name: str) -> UploadedFile:
        """The file of a field.

        Raises:
            HTTPError: 400, where it is missing, no file was chosen, or it is a text.
        """
        value = self.get(name)
        if not isinstance(value, UploadedFile):
            raise HTTPError(400, f"The form has no file {name!r}.")
        return value

    def close(self) -> None:
        """Delete its files. A form that is still being read is read no further."""
        self.closed = True
        if self._spool is not None:
            self._spool.close()

    # For what reads it

    def add(self, name: str, value: str | UploadedFile) -> None:
        """Append a field."""
        self._fields.add(name, value)

    def spool(self, memory: int) -> _Spool:
        """Where the content of its files goes."""
        if self._spool is None:
            self._spool = _Spool(memory)
        return self._spool


def read_form(
    form: Form, body: RequestBody, content_type: str, limits: FormLimits
) -> Deferred[Form]:
    """Read a body into a form, which may be closed at any time.

    A file field for which no file was chosen (no name, no content) is left out.

    Args:
        content_type: The whole Content-Type field of the request.

    Returns:
        A Deferred of the form. It fails with `HTTPError` (415 for another media type,
        400 for what cannot be parsed, 413 beyond a limit) or with the body's own error,
        and the form is then closed.
    """
    return Deferred.fromCoroutine(_read(form, body, content_type, limits))


async def _read(form: Form, body: RequestBody, content_type: str, limits: FormLimits) -> Form:
    try:
        reader = _reader(form, content_type, limits)
        size = 0
        _check(limits.size, body.declared or 0, "bytes")
        async for chunk in body:
            if form.closed:
                raise RuntimeError("the form was closed before all of it had arrived")
            size += len(chunk)
            _check(limits.size, size, "bytes")
            reader.feed(chunk)
        reader.end()
    except BaseException:
        form.close()
        raise
    return form


def _check(limit: int, value: int, what: str) -> None:
    if value > limit:
        raise HTTPError(413, f"The form has more than {limit} {what}.")


def _reader(form: Form, content_type: str, limits: FormLimits) -> _Urlencoded | _Multipart:
    media_type, options = parse_options_header(content_type)
    if media_type == URLENCODED:
        return _Urlencoded(form, limits)
    if media_type != MULTIPART:
        accept = {"Accept": f"{URLENCODED}, {MULTIPART}"}  # RFC 9110 section 15.5.16
        raise HTTPError(415, "The body is not a form.", accept)
    boundary = options.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("Its Content-Type has no boundary of 1 to 70 characters")
    return _Multipart(form, boundary.encode("ascii"), limits)


class _Urlencoded:
    """Puts the fields of an urlencoded body into a form."""

    def __init__(self, form: Form, limits: FormLimits) -> None:
        self._form = form
        self._limits = limits
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        self._data += data
        _check(self._limits.text, len(self._data), "bytes of text")

    def end(self) -> None:
        count = self._data.count(b"&") + 1 if self._data else 0
        _check(self._limits.fields, count, "text fields")
        for name, value in parse_urlencoded(bytes(self._data), count):
            self._form.add(name, value)


class _Multipart:
    """Puts the parts of a multipart body into a form."""

    def __init__(self, form: Form, boundary: bytes, limits: FormLimits) -> None:
        self._form = form
        self._limits = limits
        self._delimiter = b"--" + boundary
        self._opening: bytes | None = b""
        self._parser = PushMultipartParser(
            boundary, max_header_size=PART_HEADER, max_header_count=PART_HEADERS
        )
        self._name = ""
        self._filename: str | None = None
        self._value = bytearray()
        self._file: UploadedFile | None = None
        self._text = self._fields = self._files = 0

    def feed(self, data: bytes) -> None:
        if self._opening is not None:
            data = self._open(self._opening + data)
        if data:
            self._parse(data)

    def _open(self, data: bytes) -> bytes:
        # The parser alone would refuse a preamble or not, depending on how it is cut up.
        if len(data) < len(self._delimiter) + 2:
            self._opening = data
            return b""
        if not data.startswith((self._delimiter, b"\r\n" + self._delimiter)):
            raise _malformed("It does not start with its boundary")
        self._opening = None
        return data

    def _parse(self, data: bytes) -> None:
        try:
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    self._begin_part(event)
                elif event is None:
                    self._end_part()
                else:
                    self._add(event)
        except ParserLimitReached:
            raise HTTPError(
                413,
                f"A part of the form has more than {PART_HEADERS} header fields, "
                f"or one of more than {PART_HEADER} bytes.",
            ) from None
        except MultipartError as error:
            raise _malformed(error.args[0]) from None

    def end(self) -> None:
        try:
            self._parser.close()
        except MultipartError:
            raise _malformed("It ends before its final boundary") from None

    def _begin_part(self, segment: MultipartSegment) -> None:
        for name, value in segment.headerlist:
            if _CONTROL.search(value):
                raise _malformed(f"Control characters in the {name} of a part")
            self._add_text(len(name) + len(value))
        self._name, self._filename = segment.name or "", segment.filename
        if not self._name and not _has_name(segment):
            raise _malformed("A part has no name")
        if self._filename is None:
            self._file = None
            self._fields += 1
            _check(self._limits.fields, self._fields, "text fields")
        else:
            self._file = UploadedFile(segment, self._form.spool(self._limits.memory))
            self._files += 1
            _check(self._limits.files, self._files, "files")

    def _add_text(self, size: int) -> None:
        self._text += size
        _check(self._limits.text, self._text, "bytes of text")

    def _add(self, data: bytes) -> None:
        if self._file is None:
            self._add_text(len(data))
            self._value += data
        else:
            self._file.size += len(data)
            _check(self._limits.file_size, self._file.size, "bytes in one file")
            self._form.spool(self._limits.memory).write(data)

    def _end_part(self) -> None:
        if self._file is None:
            try:
                self._form.add(self._name, self._value.decode())
            except UnicodeDecodeError:
                raise _malformed("A text field is not UTF-8") from None
            self._value.clear()
        elif self._filename or self._file.size:
            self._form.add(self._name, self._file)


def _has_name(segment: MultipartSegment) -> bool:
    """The parser takes a part without a name as one whose name is empty."""
    return "name" in parse_options_header(segment.header("Content-Disposition", ""))[1]


def _malformed(what: str) -> HTTPError:
    return HTTPError(400, f"The form is malformed: {what}.")
