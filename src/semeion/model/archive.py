"""A model in one file: a zip whose every byte follows from what it holds, and which is read as hostile input.

Nothing in it is compressed. Weights hardly shrink, the bytes are the same whichever library wrote them, and a file can
never swell while it is read. There is one way to write each entry, and whatever is written in another way is refused:
so no two programs can see two different models in one file. Layout: PKWARE, "APPNOTE.TXT: .ZIP file format
specification", version 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from semeion.artefacts import whole_file
from semeion.errors import InputError, MachineError, ModelRefused
from semeion.model.manifest_parts import check_path

SUFFIX = ".semeion"
MAX_ARCHIVE = (1 << 32) - (1 << 20)
"""Largest archive in bytes: what is larger needs the extension zip64, which is not read."""
MAX_ENTRIES = 1010
MAX_NAME = 200

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION, _MADE_BY, _DATE = 20, (3 << 8) | 20, 0x21  # 1 January 1980, midnight: the earliest that the format knows
_MODE = (stat.S_IFREG | 0o644) << 16
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_PIECE = 1 << 20
_AGAIN = "get the file from its source again; `semeion pack` makes such files"


@dataclass(frozen=True)
class Entry:
    """One file of an archive: its name, the checksum that the archive states, its size and where its bytes begin."""

    name: str
    crc: int
    size: int
    start: int


@dataclass(frozen=True)
class Archive:
    """The directory of an archive; files are read from the disk when they are asked for."""

    path: Path
    entries: dict[str, Entry]

    def below(self, folder: str) -> Archive:
        """Return what lies in a folder of the archive, under names that begin there."""
        start = f"{folder}/"
        inside = {name: entry for name, entry in self.entries.items() if name.startswith(start)}
        return Archive(self.path, {name.removeprefix(start): entry for name, entry in inside.items()})

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of one file in pieces of at most 1 MiB.

        Raises
        ------
        ModelRefused
            When the file was changed since it was opened, or its checksum is not the one that is stated.
        MachineError
            When it cannot be read.
        """
        entry, crc = self.entries[name], 0
        with _opened(self.path) as file:
            file.seek(entry.start)
            left = entry.size
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise _refused("it was cut short while it was read", self.path)
                left -= len(piece)
                crc = zlib.crc32(piece, crc)
                yield piece
        if crc != entry.crc:
            raise _refused(f"{name!r} was changed or damaged: its checksum is another", self.path)


def write_archive(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write an archive, whole or not at all. The same names and contents give the same bytes.

    Parameters
    ----------
    path
        The file to make; an existing one is replaced at the end.
    files
        Names and contents, in the order of :func:`in_order`.

    Raises
    ------
    InputError
        When a name is none of a model, or all is too large for one file.
    MachineError
        When the file cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("wb") as file:
        directory: list[bytes] = []
        at = 0
        for name, data in files:
            _check_name(name, path)
            record = name.encode("ascii"), zlib.crc32(data), len(data)
            header = _local(*record)
            directory.append(_central(*record, at))
            at += len(header) + len(data)
            if at + sum(map(len, directory)) + _END.size > MAX_ARCHIVE or len(directory) > MAX_ENTRIES:
                raise InputError("the model is too large for one file", where=str(path), fix="ship the folder")
            file.write(header)
            file.write(data)
        listed = b"".join(directory)
        file.write(listed + _end(len(directory), len(listed), at))


def read_archive(path: Path) -> Archive:
    """Read the directory of an archive and check that the file holds what `write_archive` writes, and nothing else.

    Raises
    ------
    ModelRefused
        When it is no such archive: cut short, with data before, between or after the files, files that overlap, twice
        the same name (upper and lower case are the same), a file that is a folder of another, a name that could lead
        out of a folder, links, folders, encryption, compression, comments, or the extension zip64.
    MachineError
        When it cannot be read.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(4) != b"PK\x03\x04":
            raise ModelRefused(
                "a model is a folder or a .semeion file, and this is neither",
                where=str(path),
                fix="give the folder of model.json, or what `semeion pack` wrote",
            )
        count, listed, begins = _read_end(file, size, path)
        file.seek(begins)
        directory = file.read(listed)
        entries: dict[str, Entry] = {}
        at = position = 0
        for _ in range(count):
            entry, position = _read_entry(directory, position, at, path)
            file.seek(at)
            header = _local(entry.name.encode("ascii"), entry.crc, entry.size)
            if file.read(len(header)) != header:
                raise _refused(f"the directory and the file {entry.name!r} contradict each other", path)
            at = entry.start + entry.size
            if at > begins:
                raise _refused("files overlap or reach beyond the end", path)
            if entry.name in entries:
                raise _refused(f"{entry.name!r} is in it twice", path)
            entries[entry.name] = entry
    if at != begins or position != len(directory):
        raise _refused("it holds data that belongs to no file", path)
    if len({name.casefold() for name in entries}) != len(entries):
        raise _refused("two files in it have the same name but for upper and lower case", path)
    if any(name.rsplit("/", depth)[0] in entries for name in entries for depth in range(1, name.count("/") + 1)):
        raise _refused("one of its files is a folder of another", path)
    if list(entries) != in_order(entries):
        raise _refused("its files are not in the order in which they are packed", path)
    return Archive(path, entries)


def in_order(names: Iterable[str]) -> list[str]:
    """Return names in the order of an archive: ``model.`` files first, the rest by their bytes."""
    return sorted(names, key=lambda name: (not name.startswith("model."), name))


def _read_end(file: BinaryIO, size: int, path: Path) -> tuple[int, int, int]:
    """Return the number of files, and the size and the start of the directory."""
    if size > MAX_ARCHIVE:
        raise _refused(f"it is larger than {MAX_ARCHIVE >> 20} MiB", path)
    file.seek(max(0, size - _END.size))
    end = file.read(_END.size)
    if len(end) < _END.size or end[:4] != b"PK\x05\x06":
        raise _refused("it is cut short, was never written to its end, or has a comment or data behind its end", path)
    _, disk, first, here, count, listed, begins, comment = _END.unpack(end)
    if 0xFFFF in (disk, first, here, count) or 0xFFFFFFFF in (listed, begins):
        raise _refused("it uses the extension zip64", path)
    if disk or first or here != count or comment:
        raise _refused("it is spread over several disks, or has a comment", path)
    if not 0 < count <= MAX_ENTRIES or listed > count * (_CENTRAL.size + MAX_NAME):
        raise _refused(f"it states {count} files and a directory of {listed} bytes", path)
    if begins + listed != size - _END.size:
        raise _refused("its directory does not end where the file ends, or data stands before the first file", path)
    return count, listed, begins


def _read_entry(directory: bytes, position: int, at: int, path: Path) -> tuple[Entry, int]:
    """Return the file that a record of the directory describes, and where the next record begins."""
    if position + _CENTRAL.size > len(directory):
        raise _refused("its directory is cut short", path)
    record = _CENTRAL.unpack_from(directory, position)
    mark, _, _, flags, method, _, _, crc, packed, size, length, extra, comment, _, _, mode, start = record
    if mark != b"PK\x01\x02":
        raise _refused("its directory is damaged", path)
    stop = position + _CENTRAL.size + length
    name = _read_name(directory[position + _CENTRAL.size : stop], length, path)
    kind = stat.S_IFMT(mode >> 16)
    problem = None
    if flags & _ENCRYPTED:
        problem = "is encrypted"
    elif method or packed != size:
        problem = "is compressed, or lies about its size"
    elif kind == stat.S_IFLNK:
        problem = "is a link"
    elif kind != stat.S_IFREG:
        problem = "is not a regular file"
    elif extra or comment:
        problem = "has extra fields or a comment"
    elif start != at:
        problem = "overlaps another file, or data stands before it"
    elif directory[position:stop] != _central(name.encode("ascii"), crc, size, at):
        problem = "is not written as `semeion pack` writes it"
    if problem:
        raise _refused(f"{name!r} {problem}", path)
    return Entry(name, crc, size, at + _LOCAL.size + length), stop


def _read_name(raw: bytes, length: int, path: Path) -> str:
    try:
        name = raw.decode("ascii")
        if len(raw) != length:
            raise ValueError("its directory is cut short")
        return check_path(name)
    except ValueError as error:
        shown = "".join(letter if letter.isprintable() else "?" for letter in raw[:80].decode("ascii", "replace"))
        raise _refused(f"the name {shown!r} is no plain name inside a folder", path) from error


def _check_name(name: str, path: Path) -> None:
    try:
        check_path(name)
    except ValueError as error:
        raise InputError(str(error), where=str(path), fix="rename the file") from error


def _local(name: bytes, crc: int, size: int) -> bytes:
    """Return what stands before a file."""
    return _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, 0, 0, _DATE, crc, size, size, len(name), 0) + name


def _central(name: bytes, crc: int, size: int, at: int) -> bytes:
    """Return a file's record in the directory."""
    fixed = (b"PK\x01\x02", _MADE_BY, _VERSION, 0, 0, 0, _DATE)
    return _CENTRAL.pack(*fixed, crc, size, size, len(name), 0, 0, 0, 0, _MODE, at) + name


def _end(count: int, listed: int, begins: int) -> bytes:
    return _END.pack(b"PK\x05\x06", 0, 0, count, count, listed, begins, 0)


def _opened(path: Path) -> BinaryIO:
    try:
        if not path.is_file():  # to open a pipe would wait for somebody who writes
            raise _refused("this is not a regular file", path)
        return path.open("rb")
    except OSError as error:
        raise MachineError(f"the file cannot be read ({error.strerror})", where=str(path), fix="correct it") from error


def _refused(what: str, path: Path) -> ModelRefused:
    return ModelRefused(f"not an archive of a model that can be trusted: {what}", where=str(path), fix=_AGAIN)
