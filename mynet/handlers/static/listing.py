"""The page that lists a folder. Reading the folder may block, and is for a thread."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import islice
from time import gmtime, strftime
from typing import NamedTuple
from urllib.parse import quote

from mynet.http.limits import KIB
from mynet.http.message import Response

LISTED = 10_000
"""The most entries of one page."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif }}
body {{ margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ padding: .2rem .5rem; text-align: left; overflow-wrap: anywhere }}
td + td, th + th {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }}
tr:hover td {{ background: color-mix(in srgb, currentColor 8%, transparent) }}
a {{ text-decoration: none }}
a:hover {{ text-decoration: underline }}
</style>
<h1>{title}</h1>
<table>
<thead><tr><th>Name<th>Size<th>Modified (UTC)</thead>
<tbody>
{rows}
</tbody>
</table>
{note}</html>
"""


class Entry(NamedTuple):
    """A file, or a folder."""

    name: str
    is_folder: bool
    size: int
    modified: float


def read_folder(
    folder: int | str, is_shown: Callable[[str], bool], resolve: Callable[[str], os.stat_result]
) -> tuple[list[Entry], bool]:
    """What to list, folders first, each by name.

    Args:
        folder: A descriptor of it, or its path.
        is_shown: Tells of a name whether it is.
        resolve: Tells what an entry is that is a symbolic link; OSError where it is nobody's
            business.

    Returns:
        The entries, and whether there are more than `LISTED`, which are left out.
    """
    with os.scandir(folder) as scan:
        found = list(islice((each for each in scan if is_shown(each.name)), LISTED + 1))
        entries = [entry for each in found[:LISTED] if (entry := _entry(each, resolve))]
    entries.sort(key=lambda entry: (not entry.is_folder, entry.name.casefold(), entry.name))
    return entries, len(found) > LISTED


def _entry(found: os.DirEntry[str], resolve: Callable[[str], os.stat_result]) -> Entry | None:
    try:
        status = resolve(found.name) if found.is_symlink() else found.stat(follow_symlinks=False)
    except OSError:  # gone meanwhile, or it leads out
        return None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return None
    return Entry(found.name, stat.S_ISDIR(status.st_mode), status.st_size, status.st_mtime)


def listing(names: Sequence[str], entries: Iterable[Entry], incomplete: bool) -> Response:
    """The page.

    Args:
        names: Of the folder and those that it is in, up to the root.
        entries: To be listed.
        incomplete: Whether there are more.
    """
    title = escape(_readable("/" + "".join(f"{name}/" for name in names)))
    rows = ['<tr><td><a href="../">../</a><td><td>'] if names else []
    rows += map(_row, entries)
    note = f"<p>There are more than these {LISTED}.\n" if incomplete else ""
    page = _PAGE.format(title=title, rows="\n".join(rows), note=note)
    response = Response.html(page)
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    response.headers["Cache-Control"] = "no-cache"
    return response


def _row(entry: Entry) -> str:
    slash = "/" if entry.is_folder else ""
    link = "./" + quote(os.fsencode(entry.name), safe="") + slash
    name = escape(_readable(entry.name)) + slash
    size = "" if entry.is_folder else _readable_size(entry.size)
    modified = _readable_time(entry.modified)
    return f'<tr><td><a href="{link}">{name}</a><td>{size}<td>{modified}'


def _readable(name: str) -> str:
    """A name, which may be no Unicode, as a page can have it."""
    return os.fsencode(name).decode(errors="replace")


def _readable_time(seconds: float) -> str:
    try:
        return strftime("%Y-%m-%d %H:%M", gmtime(max(0, seconds)))
    except (OSError, OverflowError):  # a file system may have times that no calendar has
        return ""


def _readable_size(size: float) -> str:
    if size < KIB:
        return f"{size} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= KIB
        if size < KIB:
            return f"{size:.1f} {unit}"
    return f"{size / KIB:.1f} TiB"
