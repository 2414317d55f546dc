"""Reads pieces of a file on the disk or of a member of a zip archive, never more than it has."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from semeion.cohort.series.elements import Read
from semeion.cohort.series.walk import Entry, WalkLimits
from semeion.errors import ImageError


@contextmanager
def opened(entry: Entry) -> Iterator[tuple[Read, int]]:
    """Yield ``read(offset, count)`` of a file, and its size.

    Raises
    ------
    OSError
        When it cannot be read, or is no regular file any more.
    zipfile.BadZipFile
        When an archive is damaged.
    """
    if entry.archive:
        with _archive(entry.archive, entry.mtime_ns).open(entry.member) as file:
            yield _Growing(file, entry.size).read, entry.size
        return
    # Never wait for a writer, should a pipe have taken the file's place.
    handle = os.open(entry.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(0, "is no regular file")
        yield (lambda at, count: os.pread(handle, count, at)), info.st_size
    finally:
        os.close(handle)


@lru_cache(maxsize=1)
def _archive(path: str, mtime_ns: int) -> zipfile.ZipFile:  # noqa: ARG001 - of the key
    """Open an archive once for all members that are read one after the other; the file's time is part of the key."""
    return zipfile.ZipFile(path)


class _Growing:
    """A member, inflated as far as it was asked for."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.size, self.data = file, size, b""

    def read(self, at: int, count: int) -> bytes:
        end = min(at + count, self.size)
        if end > len(self.data):
            self.data += self.file.read(max(end - len(self.data), 1 << 16))[: self.size - len(self.data)]
        return self.data[at:end]


def split_member(path: str) -> tuple[str, str]:
    """Return archive and member of ``archive.zip!member``; of a file on the disk the path and ''."""
    if not os.path.lexists(path):
        at = path.find("!")
        while at >= 0:
            if zipfile.is_zipfile(path[:at]):
                return path[:at], path[at + 1 :]
            at = path.find("!", at + 1)
    return path, ""


def read_file(path: str, *, limits: WalkLimits | None = None) -> bytes:
    """Return the bytes of a file or of a member of an archive, as :attr:`Header.path` names it.

    Raises
    ------
    ImageError
        When it is gone, damaged, or larger than `limits` allow.
    """
    limits = limits or WalkLimits()
    archive, member = split_member(path)
    try:
        if not member:
            if Path(path).stat().st_size > limits.max_member_bytes:
                raise ImageError("is too large", where=path, fix="leave the case out with --skip-bad")
            return Path(path).read_bytes()
        with zipfile.ZipFile(archive) as holder:
            info = holder.getinfo(member)
            if info.file_size > limits.max_member_bytes:
                raise ImageError("is too large", where=path, fix="leave the case out with --skip-bad")
            with holder.open(info) as file:
                return file.read(info.file_size)
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"cannot be read ({reason})", where=path, fix="check the file and its permissions") from error
