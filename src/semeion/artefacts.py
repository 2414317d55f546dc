"""Files that are whole or absent, written under a temporary name, synced, then renamed; folders of one writer."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semeion.errors import InputError, MachineError


@contextmanager
def machine_errors(path: Path) -> Iterator[None]:
    """Turn what keeps a machine from writing into a :class:`MachineError` that names `path`.

    A full disk, a missing permission, a read-only medium, a file where a folder is needed.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError("the disk is full", where=str(path), fix="free some space and run again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise MachineError(
                "no permission to write here", where=str(path), fix="choose another folder with -o"
            ) from error
        if error.errno == errno.ENOTDIR:
            raise MachineError(
                "a file stands where a folder is needed", where=str(path), fix="choose another folder with -o"
            ) from error
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable (POSIX needs the directory itself synced)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def only_writer(folder: Path, refusal: InputError) -> Iterator[None]:
    """Hold `folder`, made where it is not there, against a second process: by ``.lock`` in it, which stays.

    The system frees the lock when the process ends, however it ends. Windows has no such locks, and nothing is held.

    Parameters
    ----------
    folder
        What one process at a time may write.
    refusal
        Raised when another process holds it.

    Raises
    ------
    MachineError
        When the folder cannot be written, or its file system has no locks.
    """
    with machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows: a file that is open for writing is not replaced there
            pass
        except BlockingIOError:
            raise refusal from None
        except OSError as error:
            raise MachineError(
                f"its file system locks no files ({error.strerror}), so two processes could write here at once",
                where=str(folder),
                fix="choose a folder on a local disk",
            ) from error
        yield
    finally:
        os.close(handle)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`, on failure removed.

    Raises
    ------
    MachineError
        When the disk is full or the folder cannot be written.
    """
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as done:
                os.fsync(done.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Remove what a killed process left of unfinished files in `folder`; the caller must be its only writer."""
    for part in folder.glob(".*.part"):
        if part.is_file():
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that replaces `path` on success and is removed on failure."""
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as done:
                        os.fsync(done.fileno())
            temporary.chmod(0o755)
            if path.exists():
                old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
                path.replace(old / path.name)
                try:
                    temporary.replace(path)
                except OSError:
                    (old / path.name).replace(path)
                    raise
                finally:
                    shutil.rmtree(old, ignore_errors=True)
            else:
                temporary.replace(path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; a NaN or infinity becomes null, since JSON knows neither."""
    write_text(path, json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read one UTF-8 JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def finite(value: Any) -> Any:
    """Return `value` as plain JSON types: numpy scalars unwrapped, NaN and infinities as None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
