"""Opens what lies in a folder, and nothing else, whoever changes that folder meanwhile.

A path is never checked and then opened: in between it may become another. The folders on the way
are opened one in another, none of them through a symbolic link. Where one is met, the path is
resolved, and if the result is inside, walked in the same way. Only regular files and folders are
opened: to open a FIFO or a device may block, or do something.

Errors are those of the system: FileNotFoundError for what is outside or special as for what is
not there, NotADirectoryError, PermissionError, and OSError for all others.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

_TO_READ = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_TO_PASS = _TO_READ | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
"""For folders; with O_PATH also for those that may be passed, but not read."""

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)

_LINKS = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
"""What the system says of a symbolic link that it may not follow; of other things, too."""

CAN_WALK = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd
"""Whether the system opens one in another. Where it does not, as Windows, who may write in the
folder may have something else opened by being quick."""


class Opened(NamedTuple):
    """A regular file, open for reading; or a folder, in which others may be opened."""

    descriptor: int
    """To be closed by who has it. -1 for a folder where systems do not open those."""
    status: os.stat_result
    path: str
    """Where it was found. By now there may be something else."""

    @property
    def is_folder(self) -> bool:
        """Whether it is one."""
        return stat.S_ISDIR(self.status.st_mode)

    def reopen(self) -> int | str:
        """What to list a folder by: a descriptor of its own, or where there are none, its path."""
        if self.descriptor < 0:
            return self.path
        return os.open(".", _TO_READ, dir_fd=self.descriptor)

    def close(self) -> None:
        """Close its descriptor."""
        if self.descriptor >= 0:
            os.close(self.descriptor)


class Tree:
    """A folder with all that lies in it; or a single file."""

    def __init__(self, root: str, follow_symlinks: bool = False) -> None:
        """Nothing is looked up yet.

        Args:
            root: It may be a symbolic link, and another one later.
            follow_symlinks: Whether links may lead out of it.
        """
        self.root = root
        self._follows = follow_symlinks

    def path(self, names: Sequence[str]) -> str:
        """Where something is, if it is."""
        return os.path.join(self.root, *names)

    def open(self, names: Sequence[str]) -> Opened:
        """Open a file or folder. If the root is a file, it is that, whatever the names.

        Args:
            names: That have been found harmless, see `read_names`.
        """
        path = self.path(names)
        if stat.S_ISREG(os.stat(self.root).st_mode):
            path, names = self.root, ()
        if self._follows or not names:
            return _open(path, path)
        if CAN_WALK:
            try:
                return _walk(self.root, names, path)
            except OSError as error:
                if error.errno not in _LINKS:
                    raise
        return self._open_resolved(path)

    def _open_resolved(self, path: str) -> Opened:
        root = os.path.realpath(self.root, strict=True)
        real = os.path.realpath(path, strict=True)
        if not real.startswith(os.path.join(root, "")):
            raise FileNotFoundError(errno.ENOENT, "this leads out of the folder", path)
        if not CAN_WALK:
            return _open(real, path)
        return _walk(root, os.path.relpath(real, root).split(os.sep), path)


def _walk(root: str, names: Sequence[str], path: str) -> Opened:
    """Open what is there without following any link but the root."""
    folder = os.open(root, _TO_PASS)
    try:
        for name in names[:-1]:
            inner = os.open(name, _TO_PASS | _NO_LINKS, dir_fd=folder)
            os.close(folder)
            folder = inner
        return _open(names[-1], path, folder)
    finally:
        os.close(folder)


def _open(name: str, path: str, folder: int | None = None) -> Opened:
    """Open something by its name in a folder, without following it; or by its path."""
    in_place = folder is not None
    status = os.stat(name, dir_fd=folder, follow_symlinks=not in_place)
    _check_kind(status, path)
    if stat.S_ISDIR(status.st_mode):
        if not CAN_WALK:
            return Opened(-1, status, path)
        flags = _TO_PASS
    else:
        flags = _TO_READ
    descriptor = os.open(name, flags | _NO_LINKS if in_place else flags, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        _check_kind(status, path)
        return Opened(descriptor, status, path)
    except BaseException:
        os.close(descriptor)
        raise


def _check_kind(status: os.stat_result, path: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "neither a file nor a folder", path)
