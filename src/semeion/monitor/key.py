"""The key of a log, by which cases that come again and labels that come later are known: it lies beside it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from semeion.artefacts import machine_errors, sync_folder
from semeion.errors import InputError
from semeion.monitor.logfile import KEY, LOG


def own_key(folder: Path) -> bytes:
    """Return the key of a log, made where the log is new; nobody but its owner may read it.

    Raises
    ------
    InputError
        When the key of a log is gone, or is none.
    """
    path = folder / KEY
    if not path.exists():
        if (folder / LOG).exists():
            raise InputError(
                "the key of this log is missing, so cases that come again, and labels, could not be matched with it",
                where=str(path),
                fix="restore the file, or begin a log in a new folder",
            )
        # Whole or not at all, and never readable by others: :func:`whole_file` would make it readable.
        with machine_errors(path):
            part = folder / f".{KEY}.part"
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync_folder(folder)
    return read_key(folder)


def read_key(folder: Path) -> bytes:
    """Return the key that lies beside a log.

    Raises
    ------
    InputError
        When there is none.
    """
    path = folder / KEY
    try:
        with path.open("rb") as file:
            key = bytes.fromhex(file.read(200).decode("ascii").strip())
    except FileNotFoundError as error:
        raise InputError(
            "the key of this log is missing, and labels cannot be matched without it",
            where=str(path),
            fix="give the folder that `predict --log` wrote, with its file `key`",
        ) from error
    except (OSError, ValueError) as error:
        raise InputError("is no key of a log", where=str(path), fix="restore the file") from error
    if len(key) != 32:
        raise InputError("is no key of a log", where=str(path), fix="restore the file")
    return key
