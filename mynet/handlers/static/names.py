"""From the path of a URL to the names of folders and a file. Sans I/O.

Only names come through that can name nothing but what lies below where they are looked up: no
separators of any system, encoded or not, no `..`, nothing that ends a string early. Whatever is
refused is as if it did not exist.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

WINDOWS = os.name == "nt"

_FORBIDDEN = re.compile(rb"[/\\\0]")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
"""Names which Windows takes for devices, whatever extension they have, in every folder."""


class Names(NamedTuple):
    """Where a path leads."""

    names: tuple[str, ...]
    """Of folders, and of a file or folder in the last of them."""
    is_folder: bool
    """Whether it ends with a slash."""


def read_names(raw_path: bytes, dotfiles: bool | Collection[str] = False) -> Names | None:
    """What a path, percent-encoded, means below a folder; None if that is nothing.

    Args:
        raw_path: Of the request.
        dotfiles: Whether names may begin with a dot; or those that may.
    """
    head, *raw_names = raw_path.split(b"/")
    if head or not raw_names:
        return None
    is_folder = raw_names[-1] == b""
    if is_folder:
        raw_names.pop()
    names = []
    for raw_name in raw_names:
        name = _decode(unquote_to_bytes(raw_name) if b"%" in raw_name else raw_name)
        if not name:
            return None
        names.append(name)
    if all(is_allowed(name, dotfiles) for name in names):
        return Names(tuple(names), is_folder)
    return None


def _decode(name: bytes) -> str:
    """As the file system has it; nothing if it can have no such name."""
    if _FORBIDDEN.search(name):
        return ""
    try:
        return os.fsdecode(name)
    except UnicodeDecodeError:  # Windows has only names in Unicode
        return ""


def is_allowed(name: str, dotfiles: bool | Collection[str], windows: bool = WINDOWS) -> bool:
    """Whether a name, without separators, may be looked up at all."""
    if name in (".", ".."):
        return False
    if windows and is_windows_trap(name):
        return False
    if not name.startswith("."):
        return True
    return dotfiles if isinstance(dotfiles, bool) else name in dotfiles


def is_windows_trap(name: str) -> bool:
    """Whether Windows takes it for something else: a device, a stream, or another name."""
    if ":" in name or "~" in name or name.endswith((".", " ")):
        return True
    return _DEVICE.fullmatch(name.partition(".")[0].rstrip(" ")) is not None
