"""One file, one record: what an index remembers of it, as a line of JSON."""

from __future__ import annotations

import json
import zipfile
import zlib
from typing import Any

from semeion.cohort.limits import ReadLimits
from semeion.cohort.series.files import opened
from semeion.cohort.series.parse import parse
from semeion.cohort.series.walk import Entry

VERSION = 2
"""Of what a record says; a journal of another version is read anew."""
_UNREADABLE = (OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError)
"""What files, and Python's reader of zip archives with encrypted, damaged or unusual members, raise."""


def make_record(entry: Entry, limits: ReadLimits | None = None) -> dict[str, Any]:
    """Read one header; whatever the file holds or the system says, a record comes back.

    Returns
    -------
    dict
        ``path size mtime_ns kind``, a ``problem`` when it could not be read, the ``header`` of an image. Kinds are
        those of :class:`~semeion.cohort.series.parse.Parsed`, with ``archive`` for a zip and ``unreadable``.
    """
    record: dict[str, Any] = {"path": entry.path, "size": entry.size, "mtime_ns": entry.mtime_ns}
    try:
        with opened(entry) as (read, size):
            found = parse(read, size, limits)
            kind = found.kind
            if kind == "foreign" and read(0, 4) in (b"PK\x03\x04", b"PK\x05\x06"):
                kind = "archive"
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return {**record, "kind": "unreadable", "problem": reason.lower()}
    record["kind"] = kind
    if found.problem:
        record["problem"] = found.problem
    if kind == "image":
        record["header"] = {name: value for name, value in found.values.items() if value not in ("", [])}
    return record


def to_line(record: dict[str, Any]) -> str:
    """Return a record as one line; ASCII, so that names of any bytes survive."""
    return json.dumps(record, separators=(",", ":"))
