"""HTML forms: what browsers and libraries send, what attackers send, and what is left behind."""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from treq.multipart import MultiPartProducer
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock, Cooperator
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer

from mynet.http.body import RequestBody
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.forms import PART_HEADER, PART_HEADERS, Form, FormLimits, UploadedFile, read_form
from tests.conversation import Source

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=frontier"


class Upload:
    """A form on its way from a client."""

    def __init__(
        self, content_type: str = MULTIPART, declared: int | None = None, **limits: int
    ) -> None:
        self.source = Source()
        self.body = RequestBody(self.source, declared, 64)
        self.form = Form()
        self.read = read_form(self.form, self.body, content_type, FormLimits(**limits))

    def send(self, chunks: Iterable[bytes]) -> Upload:
        for chunk in chunks:
            self.body.feed(chunk)
        return self

    def result(self) -> Form:
        results: list[Form] = []
        failures: list[Failure] = []
        self.read.addCallbacks(results.append, failures.append)
        if failures:
            failures[0].raiseException()
        assert results, "it is still being read"
        return results[0]


def receive(chunks: Iterable[bytes], content_type: str = MULTIPART, **limits: int) -> Form:
    """The form that arrives in these chunks."""
    upload = Upload(content_type, **limits).send(chunks)
    upload.body.end()
    return upload.result()


def whole(data: bytes) -> list[bytes]:
    return [data] if data else []


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


Cut = Callable[[bytes], list[bytes]]


@pytest.fixture(params=[whole, byte_by_byte])
def cut(request: pytest.FixtureRequest) -> Cut:
    """How a form is cut up on its way, which must make no difference."""
    how: Cut = request.param
    return how


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The temporary files that a test makes on the disk; it must have closed them all."""
    files: list[Any] = []
    make = tempfile.TemporaryFile

    def note(*args: Any, **kwargs: Any) -> Any:
        files.append(make(*args, **kwargs))
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", note)
    yield files
    assert [file for file in files if not file.closed] == []


class Part(NamedTuple):
    """What a test sends as a part of a form."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str | None = None


def quoted(text: str) -> str:
    """As the HTML standard has names escaped."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def encode(parts: Iterable[Part], boundary: str = "frontier") -> bytes:
    """As browsers do it."""
    data = b""
    for part in parts:
        header = f'Content-Disposition: form-data; name="{quoted(part.name)}"'
        if part.filename is not None:
            header += f'; filename="{quoted(part.filename)}"'
        if part.content_type is not None:
            header += f"\r\nContent-Type: {part.content_type}"
        data += f"--{boundary}\r\n{header}\r\n\r\n".encode() + part.content + b"\r\n"
    return data + f"--{boundary}--\r\n".encode()


def raw(header: str | bytes, content: bytes = b"x") -> bytes:
    """A form of one part with that header section."""
    header = header if isinstance(header, bytes) else header.encode()
    return b"--frontier\r\n" + header + b"\r\n\r\n" + content + b"\r\n--frontier--\r\n"


NAMED = 'Content-Disposition: form-data; name="a"'
CAT = Part("photo", b"\x00cat\r\n--frontie\xff", "cat.jpg", "image/jpeg")


def shown(form: Form) -> list[Part]:
    """All of a form, which is closed."""
    parts = [
        Part(name, value.encode())
        if isinstance(value, str)
        else Part(name, value.read(), value.filename, value.content_type)
        for name, value in form.items()
    ]
    form.close()
    return parts


# Urlencoded forms


def test_urlencoded(cut):
    """Fields come in order with all values of a repeated name, decoded."""
    form = receive(cut(b"name=Zo%C3%AB+K&tag=a&tag=&name=2&raw=\xc3\xa9"), URLENCODED)
    assert list(form.items()) == [
        ("name", "Zoë K"), ("tag", "a"), ("tag", ""), ("name", "2"), ("raw", "é"),
    ]  # fmt: skip
    assert form["name"] == "Zoë K"
    assert form.getall("tag") == ["a", ""]


def test_empty_urlencoded():
    """A form without fields is one."""
    assert len(receive([], URLENCODED, fields=0, text=0, size=0)) == 0


@pytest.mark.parametrize("data", [b"a=%ff", b"%C3=a", b"a=\xff"])
def test_urlencoded_that_is_not_utf8(data, cut):
    """A form in another encoding is refused, and told why."""
    with pytest.raises(HTTPError, match=r"400.*not UTF-8"):
        receive(cut(data), URLENCODED)


@pytest.mark.parametrize(
    "content_type",
    [URLENCODED, URLENCODED.upper(), f"{URLENCODED}; charset=utf-8", f" {URLENCODED} ;x"],
)
def test_urlencoded_media_type(content_type):
    """Case, space and parameters of the Content-Type make no difference."""
    assert receive([b"a=1"], content_type)["a"] == "1"


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/json", "multipart/mixed; boundary=frontier", ";", "form-data"],
)
def test_other_media_types(content_type):
    """What is no form is refused unread, and the client told what would be one."""
    upload = Upload(content_type)
    with pytest.raises(HTTPError, match="415") as caught:
        upload.result()
    assert "multipart/form-data" in caught.value.headers["Accept"]
    assert upload.source.calls == []


# Multipart forms


def test_multipart(cut):
    """Texts and files come in order, with all values of a repeated name."""
    parts = [
        Part("title", "Zoë\r\nin the garden".encode()),
        CAT,
        Part("title", b""),
        Part("photo", b"", "empty.txt", "text/plain"),
        Part("photo", b"dog" * 1000, "dog.png", "image/png"),
    ]
    form = receive(cut(encode(parts)))
    assert form["title"] == "Zoë\r\nin the garden"
    assert form.text("title") == form["title"]
    assert form.file("photo") is form["photo"]
    photos = [file for file in form.getall("photo") if isinstance(file, UploadedFile)]
    assert [photo.size for photo in photos] == [16, 0, 3000]
    assert shown(form) == parts


def test_headers_of_a_part(cut):
    """What the client says of a file can be looked up."""
    header = f'{NAMED}; filename="a"\r\nContent-TYPE: Text/HTML; charset=x\r\nX-Own: é'
    form = receive(cut(raw(header)))
    file = form.file("a")
    form.close()
    assert file.content_type == "text/html"
    assert file.headers["content-type"] == "Text/HTML; charset=x"
    assert file.headers["x-own"] == "é"
    assert repr(file) == "<UploadedFile 'a', 1 bytes>"


def test_file_without_content_type(cut):
    """A file need not have a media type."""
    assert shown(receive(cut(raw(f"{NAMED}; filename=a")))) == [Part("a", b"x", "a", "")]


@pytest.mark.parametrize(
    ("sent", "filename"),
    [
        ("cat.jpg", "cat.jpg"),
        ("/etc/passwd", "passwd"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\zoe\\cat.jpg", "cat.jpg"),
        ("\\\\host\\share\\cat.jpg", "cat.jpg"),
        ("a/b\\c/d", "d"),
        ("..\\cat.jpg", "cat.jpg"),
        ("..", ""),
        ("a/..", ""),
        (".", ""),
        ("a/", ""),
        (".hidden", ".hidden"),
        ("Zoë %22x%22.txt", 'Zoë "x".txt'),
        ("%2e%2e%2fa", "%2e%2e%2fa"),
    ],
)
def test_file_name_has_no_directories(sent, filename, cut):
    """A file's name names no place, whatever its sender meant by it."""
    for content in b"x", b"":
        form = receive(cut(encode([Part("f", content, sent)])))
        assert shown(form) == [Part("f", content, filename, "")]


def test_file_that_was_not_chosen(cut):
    """An empty file field, which browsers send as a file without a name, is left out."""
    parts = [Part("f", b"", "", "application/octet-stream"), Part("a", b"1")]
    assert shown(receive(cut(encode(parts)))) == [Part("a", b"1")]
    part = Part("f", b"x", "", "")
    assert shown(receive(cut(encode([part])))) == [part]


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b""), (b"\r\n", b"\r\n"), (b"", b"\r\nepilogue" * 30)]
)
def test_around_the_parts(before, after, cut):
    """An empty line before, and anything after a form make no difference."""
    data = encode([Part("a", b"1")]).removesuffix(b"\r\n")
    assert shown(receive(cut(before + data + after))) == [Part("a", b"1")]


def test_empty_multipart(cut):
    """A form without parts, as browsers send it, is one."""
    assert len(receive(cut(b"--frontier--\r\n"), fields=0, files=0, text=0)) == 0


@pytest.mark.parametrize(
    "boundary", ["x", "x" * 70, "-", "--", "a b", "'()+_,-./:=?", "--frontier", "frontier*#"]
)
def test_boundary(boundary, cut):
    """Any boundary that RFC 2046 allows is found, quoted."""
    content_type = f'Multipart/Form-Data; charset=utf-8; boundary="{boundary}"'
    assert shown(receive(cut(encode([CAT], boundary)), content_type)) == [CAT]


@pytest.mark.parametrize(
    "parameters",
    ["", "; boundary", "; boundary=", '; boundary=""', "; boundary=" + "x" * 71, '; boundary="x "',
     '; boundary="é"', '; boundary="a\tb"', '; boundary="a\nb"', "; x=boundary=y"],
)  # fmt: skip
def test_no_boundary(parameters):
    """A form that cannot be taken apart is refused unread."""
    upload = Upload("multipart/form-data" + parameters)
    with pytest.raises(HTTPError, match=r"400.*no boundary of 1 to 70"):
        upload.result()
    assert upload.source.calls == []


def test_nested_multipart_is_a_file_like_any_other(cut):
    """Several files in one part, long deprecated, arrive as they were sent."""
    nested = b"--inner\r\nContent-Disposition: file\r\n\r\nx\r\n--inner--\r\n"
    part = Part("f", nested, "f", "multipart/mixed")
    assert shown(receive(cut(encode([part])))) == [part]
    text = Part("f", nested)
    assert shown(receive(cut(encode([text._replace(content_type="multipart/mixed")])))) == [text]


TRUNCATED = "ends before its final boundary"


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", TRUNCATED),
        (b"--front", TRUNCATED),
        (b"--frontier\r\n", TRUNCATED),
        (raw(NAMED)[:-4], TRUNCATED),
        (raw(NAMED).replace(b"--frontier--", b"--frontier"), TRUNCATED),
        (raw(NAMED).replace(b"--frontier--", b""), TRUNCATED),
        (b"preamble\r\n" + raw(NAMED), "does not start with its boundary"),
        (b"a" * 20, "does not start with its boundary"),
        (raw(NAMED).replace(b"--frontier\r\n", b"--frontier\n"), ""),
        (raw(NAMED).replace(b"--frontier\r\n", b"--frontierX\r\n"), ""),
        (raw(NAMED).replace(b"\r\n--frontier--", b"\r\n--frontier-!"), ""),
        (raw(NAMED).replace(b"\r\n", b"\n"), ""),
        (b"--frontier\r\n\r\nx\r\n--frontier--\r\n", "Content-Disposition"),
        (raw("Content-Type: text/plain"), "Content-Disposition"),
        (raw('Content-Disposition: attachment; name="a"'), "Content-Disposition"),
        (raw("Content-Disposition: form-data"), "no name"),
        (raw('Content-Disposition: form-data; filename="a"'), "no name"),
        (raw("no colon here"), ""),
        (raw("Bad Name: x\r\n" + NAMED), ""),
        (raw(b'Content-Disposition: form-data; name="\xff"'), ""),
        (raw(b'Content-Disposition: form-data; name="a"; filename="\xff"'), ""),
        (raw(NAMED, b"\xff"), "not UTF-8"),
        (raw(NAMED, b"\xed\xa0\x80"), "not UTF-8"),
        (raw('Content-Disposition: form-data; name="a\0"'), "Control characters"),
        (raw('Content-Disposition: form-data; name="a\rb"'), "Control characters"),
        (raw(NAMED + "\r\nContent-Length: 5"), ""),
    ],
)
def test_malformed_multipart(data, detail, cut):
    """What is not a form is the client's mistake, told in plain words."""
    with pytest.raises(HTTPError, match=f"(?s)^400 Bad Request: The form is malformed.*{detail}"):
        receive(cut(data))


def test_line_feed_in_a_header(cut):
    """No line end of any kind gets into a name."""
    with pytest.raises(HTTPError, match="400"):
        receive(cut(raw('Content-Disposition: form-data; name="a\nb"')))


def test_preamble_is_refused_at_once():
    """What does not begin like a form is not read to its end, which may never come."""
    upload = Upload().send([b"x" * 12])
    with pytest.raises(HTTPError, match="does not start with its boundary"):
        upload.result()


def test_part_with_an_empty_name(cut):
    """A name may be empty, as long as there is one."""
    assert shown(receive(cut(encode([Part("", b"1")])))) == [Part("", b"1")]
    assert receive(cut(b"=1"), URLENCODED)[""] == "1"


# What other programs send


async def written(payload: Any) -> bytes:
    """What aiohttp's client would send."""

    class Writer:
        def __init__(self) -> None:
            self.data = b""

        async def write(self, data: bytes) -> None:
            self.data += data

    writer = Writer()
    await payload.write(writer)
    return writer.data


def test_aiohttp(cut):
    """A form from aiohttp's client arrives."""
    data = aiohttp.FormData()
    data.add_field("title", 'Zoë "K"')
    data.add_field("photo", b"\0cat", filename="cät.jpg", content_type="image/jpeg")
    payload = data()
    coroutine = written(payload)
    with pytest.raises(StopIteration) as finished:
        coroutine.send(None)
    form = receive(cut(finished.value.value), payload.content_type)
    assert form.text("title") == 'Zoë "K"'
    assert form.file("photo").read() == b"\0cat"
    form.close()


def test_treq(cut):
    """A form from treq arrives."""
    clock = Clock()
    cooperator = Cooperator(scheduler=lambda call: clock.callLater(0, call))
    file = FileBodyProducer(io.BytesIO(b"\0cat"), cooperator)
    producer = MultiPartProducer(
        [("title", "Zoë"), ("photo", ("cat.jpg", "image/jpeg", file))], b"frontier", cooperator
    )
    transport = StringTransport()
    producer.startProducing(transport)
    clock.advance(0)
    form = receive(cut(transport.value()))
    assert shown(form) == [Part("title", "Zoë".encode()),
                           Part("photo", b"\0cat", "cat.jpg", "image/jpeg")]  # fmt: skip


TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="%/\\"))
CONTENTS = st.binary() | st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--", b"frontie", b"x", b"r"])
).map(b"".join)
FILENAMES = TEXTS.filter(lambda name: name not in ("", ".", ".."))
PARTS = st.builds(Part, TEXTS, TEXTS.map(str.encode), st.none(), st.none()) | st.builds(
    Part, TEXTS, CONTENTS, FILENAMES, st.sampled_from(["", "text/plain", "image/png"])
)
CUTS = st.lists(st.integers(0, 500), max_size=20)


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in pairwise(bounds)]


@given(st.lists(PARTS, max_size=6), CUTS)
def test_any_form_comes_back(parts, places):
    """Whatever a browser puts into a form, the handler gets it, however it was cut up."""
    data = encode(parts)
    if data.count(b"frontier") == len(parts) + 1:  # else it is no boundary
        assert shown(receive(cut_at(data, places))) == parts


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20), CUTS)
def test_any_urlencoded_form_comes_back(fields, places):
    """The same of urlencoded forms."""
    form = receive(cut_at(urlencode(fields).encode(), places), URLENCODED)
    assert list(form.items()) == fields


MUTATED = st.tuples(
    st.integers(0, 200), st.integers(0, 20), st.binary(max_size=9) | st.sampled_from(
        [b"\r\n", b"--frontier", b"\r\n--frontier\r\n", b"\r\n\r\n", b"--", b'"', b"; name=b", b":"]
    )
)  # fmt: skip


@given(st.lists(MUTATED, max_size=5), CUTS)
def test_spoilt_form_is_read_or_refused(mutations, places):
    """No bytes make anything but a form or an HTTPError of the 400s."""
    data = encode([Part("a", b"1"), CAT])
    for at, length, new in mutations:
        data = data[:at] + new + data[at + length :]
    with suppress(HTTPError):
        receive(cut_at(data, places)).close()


# Its fields


def test_missing_fields():
    """What the client left out is its mistake, unless the handler has a default."""
    form = receive([encode([Part("title", b"x"), CAT])])
    assert form.text("missing", "default") == "default"
    assert form.get("missing") is None
    for look_up, name in (form.text, "missing"), (form.file, "missing"):
        with pytest.raises(HTTPError, match=f"400.*'{name}'"):
            look_up(name)
    with pytest.raises(KeyError):
        form["missing"]
    form.close()


def test_fields_of_the_other_kind():
    """A text where a file belongs, or the reverse, is the client's mistake, too."""
    form = receive([encode([Part("title", b"x"), CAT])])
    for look_up, name in (form.text, "photo"), (form.file, "title"):
        with pytest.raises(HTTPError, match=f"400.*'{name}'"):
            look_up(name)
    with pytest.raises(HTTPError, match="400"):
        form.text("photo", "default")
    form.close()


# Its files


@pytest.fixture(params=[0, 10**6], ids=["on disk", "in memory"])
def files(request: pytest.FixtureRequest) -> Iterator[list[UploadedFile]]:
    """Two uploaded files, `abcdefghij` and a thousand lines."""
    lines = b"".join(b"%d,line\n" % n for n in range(1000))
    form = receive(
        [encode([Part("f", b"abcdefghij", "a"), Part("f", lines, "b")])], memory=request.param
    )
    yield [value for value in form.getall("f") if isinstance(value, UploadedFile)]
    form.close()


def test_file_is_a_file(files):
    """What takes a binary file takes an upload."""
    file = files[0].file
    assert file is files[0].file
    assert file.readable()
    assert file.seekable()
    assert not file.writable()
    assert file.read(3) == b"abc"
    assert file.tell() == 3
    assert file.read() == b"defghij"
    assert file.read() == b""
    assert [file.seek(2), file.read(1)] == [2, b"c"]
    assert [file.seek(3, io.SEEK_CUR), file.read(1)] == [6, b"g"]
    assert [file.seek(-1, io.SEEK_END), file.read(5)] == [9, b"j"]
    assert [file.seek(100), file.read(5)] == [100, b""]
    assert [file.seek(-100, io.SEEK_END), file.read(1)] == [0, b"a"]
    assert files[0].read() == b"abcdefghij"


def test_file_of_lines(files):
    """A table is read line by line."""
    rows = list(csv.reader(io.TextIOWrapper(files[1].file, "utf-8")))
    assert rows == [[str(n), "line"] for n in range(1000)]


def test_files_are_read_side_by_side(files):
    """Reading one file does not move another."""
    first, second = files
    assert first.file.read(1) == b"a"
    assert second.file.readline() == b"0,line\n"
    assert first.file.read(1) == b"b"
    assert second.read().startswith(b"0,line")
    assert second.file.readline() == b"1,line\n"
    assert first.file.read() == b"cdefghij"


def test_archive():
    """An uploaded archive is opened where it is."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("cat.txt", "meow")
    form = receive([encode([CAT, Part("f", data.getvalue(), "a.zip"), CAT])])
    with zipfile.ZipFile(form.file("f").file) as archive:
        assert archive.read("cat.txt") == b"meow"
    not_an_archive = form.file("photo").file
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(not_an_archive)
    form.close()


def test_saving_a_file(files, tmp_path):
    """A file is kept by saving it, which overwrites another only where that is meant."""
    path = tmp_path / "saved"
    files[1].file.read(10)
    files[1].save(path)
    assert path.read_bytes() == files[1].read()
    with pytest.raises(FileExistsError):
        files[0].save(path)
    files[0].save(str(path), overwrite=True)
    assert path.read_bytes() == b"abcdefghij"


def test_small_files_stay_in_memory(disk):
    """Files that all together are within the limit cost no disk; one byte more does."""
    parts = [Part("f", b"x" * 50, "a"), Part("f", b"y" * 50, "b")]
    receive([encode(parts)], memory=100).close()
    assert disk == []
    form = receive([encode(parts)], memory=99)
    assert len(disk) == 1
    assert shown(form) == [part._replace(content_type="") for part in parts]


def test_many_files_take_one_descriptor(disk):
    """However many files a form has, it costs one open file."""
    parts = [Part("f", b"x", str(n), "text/plain") for n in range(100)]
    form = receive([encode(parts)], memory=0)
    assert shown(form) == parts
    assert len(disk) == 1


# What is left behind


BIG = Part("f", b"x" * 1000, "f")


def test_closed_form_has_no_files(disk):
    """When the request is over its files are gone; closing twice is nothing new."""
    form = receive([encode([BIG])], memory=10)
    file = form.file("f")
    form.close()
    form.close()
    assert disk[0].closed
    with pytest.raises(ValueError, match="closed"):
        file.read()
    with pytest.raises(ValueError, match="closed"):
        file.file.read()


def test_spoilt_form_has_no_files(disk):
    """Of a form that is refused in the end, nothing is left from its beginning."""
    with pytest.raises(HTTPError):
        receive([encode([BIG])[:-4]], memory=10)
    assert disk[0].closed


def test_client_gone_midway(disk):
    """Of a client that breaks off, nothing is left."""
    upload = Upload(memory=10).send([encode([BIG])[:500]])
    assert not disk[0].closed
    upload.body.fail(ClientGone())
    with pytest.raises(ClientGone):
        upload.result()
    assert disk[0].closed


def test_cancelled_midway(disk):
    """Who waits no longer for a form leaves nothing of it."""
    upload = Upload(memory=10).send([encode([BIG])[:500]])
    upload.read.cancel()
    with pytest.raises(CancelledError):
        upload.result()
    assert disk[0].closed
    upload.send([b"x"])


@pytest.mark.parametrize("at", [0, 20, 500])
def test_closed_midway(disk, at):
    """A form that is closed while it arrives stores nothing of what comes later."""
    data = encode([BIG])
    upload = Upload(memory=10).send(whole(data[:at]))
    upload.form.close()
    upload.send([data[at:]])
    with pytest.raises(RuntimeError, match="closed before all of it had arrived"):
        upload.result()
    assert len(disk) == (at == 500)


# Its limits


def test_sizes_of_the_whole(cut):
    """A form may be just as large as it is allowed to be."""
    for data, content_type in (b"a=12345", URLENCODED), (encode([CAT]), MULTIPART):
        receive(cut(data), content_type, size=len(data)).close()
        with pytest.raises(HTTPError, match=f"413.*more than {len(data) - 1} bytes"):
            receive(cut(data), content_type, size=len(data) - 1)


@pytest.mark.parametrize("content_type", [URLENCODED, MULTIPART])
def test_declared_size(content_type):
    """A form declared too large is refused before the client is asked to send it."""
    upload = Upload(content_type, declared=101, size=100)
    with pytest.raises(HTTPError, match=r"413.*more than 100 bytes\."):
        upload.result()
    assert upload.source.calls == []
    assert Upload(content_type, declared=100, size=100).source.calls == ["want"]


def test_text_of_an_urlencoded_form(cut):
    """An urlencoded form, which is all text, is limited as that."""
    assert receive(cut(b"a=12345"), URLENCODED, text=7)["a"] == "12345"
    with pytest.raises(HTTPError, match=r"413.*more than 6 bytes of text"):
        receive(cut(b"a=12345"), URLENCODED, text=6)


def test_text_of_a_multipart_form(cut):
    """All that is kept of a form as text counts: headers and contents, not those of files."""
    header = len("Content-Disposition") + len('form-data; name="a"')
    data = encode([Part("a", b"12345"), Part("a", b"6")])
    assert len(receive(cut(data), text=2 * header + 6)) == 2
    with pytest.raises(HTTPError, match=f"413.*more than {2 * header + 5} bytes of text"):
        receive(cut(data), text=2 * header + 5)
    file = encode([Part("a", b"x" * 1000, "a")])
    receive(cut(file), text=header + len('; filename="a"')).close()
    with pytest.raises(HTTPError, match="413"):
        receive(cut(file), text=header)


def test_number_of_fields(cut):
    """Text fields are counted; files are not among them."""
    assert len(receive(cut(b"a&b"), URLENCODED, fields=2)) == 2
    with pytest.raises(HTTPError, match=r"413.*more than 2 text fields"):
        receive(cut(b"a&b&c"), URLENCODED, fields=2)
    assert len(receive(cut(b"a&" * 1500), URLENCODED, fields=1501)) == 1500
    parts = [Part("a", b""), CAT, Part("a", b"")]
    receive(cut(encode(parts)), fields=2).close()
    with pytest.raises(HTTPError, match=r"413.*more than 1 text fields"):
        receive(cut(encode(parts)), fields=1)


def test_number_of_files(cut):
    """Files are counted, also those that were not chosen."""
    parts = [CAT, Part("a", b""), Part("f", b"", "")]
    receive(cut(encode(parts)), files=2).close()
    with pytest.raises(HTTPError, match=r"413.*more than 1 files"):
        receive(cut(encode(parts)), files=1)


def test_size_of_a_file(cut):
    """Each file has a limit of its own."""
    parts = [Part("f", b"x" * 10, "a"), Part("f", b"x" * 10, "b")]
    receive(cut(encode(parts)), file_size=10).close()
    with pytest.raises(HTTPError, match=r"413.*more than 9 bytes in one file"):
        receive(cut(encode(parts)), file_size=9)


def test_headers_of_a_part_are_limited(cut):
    """A part cannot have endless headers, neither in length nor in number."""
    for header in "X-Long: " + "x" * (PART_HEADER + 2), "\r\n".join(["X: y"] * (PART_HEADERS + 1)):
        with pytest.raises(HTTPError, match=f"413.*{PART_HEADERS} header fields, or one of more"):
            receive(cut(raw(header)))
    upload = Upload().send([b"--frontier\r\n", b"X-Endless: ", b"x" * PART_HEADER])
    with pytest.raises(HTTPError, match="413"):
        upload.result()


def test_thousands_of_tiny_parts():
    """A flood of parts ends at the limit, wherever the form ends."""
    part = encode([Part("a", b"")]).removesuffix(b"--frontier--\r\n")
    upload = Upload().send([part] * 1001)
    with pytest.raises(HTTPError, match=r"413.*more than 1000 text fields"):
        upload.result()


def test_no_more_is_taken_than_can_be_stored():
    """The client sends as fast as its form is stored, and is never held back for longer."""
    upload = Upload(memory=10).send(byte_by_byte(encode([BIG])))
    assert upload.source.calls == ["want"]
    assert upload.body.buffered == 0
    upload.body.end()
    upload.result().close()


@pytest.mark.parametrize("name", ["size", "text", "fields", "files", "file_size", "memory"])
@pytest.mark.parametrize("value", [-1, None])
def test_limit_out_of_range(name, value):
    """A limit that cannot be kept is an error that names it, when it is set."""
    values: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=re.escape(f"form limit {name} ")):
        FormLimits(**values)
