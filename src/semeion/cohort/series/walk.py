"""Finds every file below a folder, and every member of an archive, whatever their names."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from semeion.cohort.arrays import DAMAGED
from semeion.cohort.series.parse import DIRECTORY, media_class
from semeion.errors import InputError


@dataclass(frozen=True)
class WalkLimits:
    """Bounds on archives, which may claim anything.

    Attributes
    ----------
    max_members
        Files of one archive.
    max_member_bytes
        Of one member once inflated.
    max_bytes
        Of all members of one archive together.
    max_ratio
        Of inflated to stored bytes over one archive, counted from 64 MiB on: blank images compress a thousandfold.
    """

    max_members: int = 200_000
    max_member_bytes: int = 1 << 30
    max_bytes: int = 256 << 30
    max_ratio: float = 200.0


@dataclass(frozen=True)
class Entry:
    """A file to be read: on the disk, or the `member` of an archive; `path` names it in messages and tables."""

    path: str
    size: int
    mtime_ns: int
    archive: str = ""
    member: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells whether it is still the file that was read before."""
        return self.path, self.size, self.mtime_ns


@dataclass
class Walk:
    """What was found.

    Attributes
    ----------
    entries
        Sorted by path.
    problems
        Path and reason of what cannot be looked at.
    hidden
        How many hidden files and folders were passed over.
    """

    entries: list[Entry] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    hidden: int = 0


def walk(source: Path, *, skip: Collection[Path] = ()) -> Walk:
    """Find every regular file below a folder, at any depth.

    Symbolic links are followed; a folder that is reached twice is entered once, so loops end. Hidden files and folders
    (a leading dot) are counted and passed over. What may not be read is a problem of its own and no error.

    Parameters
    ----------
    source
        A folder, one file (an archive, an image), or a DICOMDIR, which stands for its folder.
    skip
        Files that are no part of the data, such as the table that is being written.

    Raises
    ------
    InputError
        When `source` does not exist or cannot be listed.
    """
    found = Walk()
    try:
        info = source.stat()
        if stat.S_ISREG(info.st_mode) and not is_directory_file(source):
            found.entries.append(Entry(_absolute(source), info.st_size, info.st_mtime_ns))
            return found
        home = source if stat.S_ISDIR(info.st_mode) else source.parent
        os.scandir(home).close()
    except FileNotFoundError as error:
        raise InputError("does not exist", where=str(source), fix="correct the path") from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(source), fix="check permissions") from error
    except ValueError as error:
        raise InputError(f"is no path ({error})", where=repr(str(source)), fix="correct the path") from error
    left = {_absolute(path) for path in skip}
    entered: set[tuple[int, int]] = set()
    folders = [_absolute(home)]
    while folders:
        _list(folders.pop(), found, folders, entered, left)
    found.entries.sort(key=lambda entry: entry.path)
    found.problems.sort()
    return found


def _list(folder: str, found: Walk, folders: list[str], entered: set[tuple[int, int]], left: set[str]) -> None:
    """List one folder: files into `found`, folders into `folders`."""
    try:
        info = Path(folder).stat()
        if (info.st_dev, info.st_ino) in entered:
            return
        entered.add((info.st_dev, info.st_ino))
        with os.scandir(folder) as listing:
            for item in listing:
                if item.name.startswith("."):
                    found.hidden += item.path not in left
                    continue
                if item.path in left:
                    continue
                try:
                    if item.is_dir():
                        folders.append(item.path)
                        continue
                    info = item.stat()
                    if stat.S_ISREG(info.st_mode):
                        found.entries.append(Entry(item.path, info.st_size, info.st_mtime_ns))
                    else:
                        found.problems.append((item.path, "is no regular file"))
                except OSError as error:
                    found.problems.append((item.path, _reason(error)))
    except OSError as error:
        found.problems.append((folder, _reason(error)))


def _absolute(path: Path) -> str:
    """Return a path without ``..`` whose links are not followed: the user's own names stay."""
    return os.path.normpath(path.absolute())


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def is_directory_file(path: Path) -> bool:
    """Tell whether a file is a DICOMDIR, by its content."""
    with path.open("rb") as file:
        head = file.read(1024)
    return head[128:132] == b"DICM" and media_class(head) == DIRECTORY


def archive_members(archive: Entry, limits: WalkLimits) -> Walk:
    """List the files of a zip archive within bounds; what exceeds them is a problem and is not opened.

    A member's name is only ever a name: no path on the disk is made of it.
    """
    found = Walk()

    def refuse(text: str, path: str = archive.path) -> None:
        found.problems.append((path, text))

    try:
        if _directory_bytes(archive.path) > limits.max_members * 512:
            refuse(f"the archive's directory is too large for {limits.max_members:,} files")
            return found
        with zipfile.ZipFile(archive.path) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
    except DAMAGED as error:
        refuse(f"the archive cannot be opened ({error})")
        return found
    total = sum(member.file_size for member in members)
    if len(members) > limits.max_members:
        refuse(f"the archive holds {len(members):,} files, more than {limits.max_members:,}")
    elif total > limits.max_bytes or total > max(64 << 20, limits.max_ratio * archive.size):
        refuse(f"the archive inflates from {archive.size:,} to {total:,} bytes, which is not trusted")
    else:
        names: set[str] = set()
        for member in reversed(members):
            path = f"{archive.path}!{member.filename}"
            if member.filename in names:
                refuse("an earlier member of the same name was passed over", path)
            elif any(part.strip(".") and part.startswith(".") for part in member.filename.split("/")):
                found.hidden += 1
            elif member.flag_bits & 1:
                refuse("is encrypted", path)
            elif member.file_size > limits.max_member_bytes:
                refuse(f"has {member.file_size:,} bytes, more than the {limits.max_member_bytes:,} that are read", path)
            else:
                entry = Entry(path, member.file_size, archive.mtime_ns, archive.path, member.filename)
                found.entries.append(entry)
            names.add(member.filename)
    found.entries.sort(key=lambda entry: entry.path)
    return found


def _directory_bytes(path: str) -> int:
    """Return the size of a zip archive's central directory as its end records say (APPNOTE 4.3.14 and 4.3.16)."""
    with Path(path).open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 70_000, 0))
        tail = file.read(70_000)
    end, wide = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    if end < 0:
        return 0
    if wide >= 0:
        return int.from_bytes(tail[wide + 40 : wide + 48], "little")
    return int.from_bytes(tail[end + 12 : end + 16], "little")
