"""Indexes a tree of DICOM files: which patients, studies, series and volumes it holds, and what is wrong with them."""

from __future__ import annotations

import json
import os
import queue
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from semeion.artefacts import machine_errors
from semeion.cohort.series.copies import without_copies
from semeion.cohort.series.group import SeriesVolume, group_headers
from semeion.cohort.series.header import Header
from semeion.cohort.series.records import VERSION, make_record, to_line
from semeion.cohort.series.table import files_path, write_index
from semeion.cohort.series.walk import Entry, Walk, WalkLimits, archive_members, walk
from semeion.cohort.series.worker import Worker
from semeion.errors import InputError
from semeion.parallel import ordered_map, usable_cores
from semeion.progress import Progress, Silent

BATCH = 128
ALONE = 512
"""Up to so many files a process of its own would take longer to start than to read them."""


@dataclass(frozen=True)
class Index:
    """What was found and written.

    Attributes
    ----------
    table
        ``series.parquet``.
    volumes
        Its rows.
    kinds
        How many files of each kind: ``image other directory foreign damaged unreadable archive``.
    copies
        How many image files repeat another byte for byte.
    hidden
        How many hidden files and folders were passed over.
    unread
        Path and reason of what could not be read.
    reused
        How many headers an interrupted run had left.
    """

    table: Path
    volumes: tuple[SeriesVolume, ...]
    kinds: dict[str, int]
    copies: int
    hidden: int
    unread: tuple[tuple[str, str], ...]
    reused: int


def index_folder(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    limits: WalkLimits | None = None,
    progress: Progress | None = None,
) -> Index:
    """Index every DICOM file below a folder, in a zip archive, or of a DICOMDIR.

    Headers that were read are kept beside the output until it is written, so an interrupted run goes on.

    Parameters
    ----------
    source
        Folder, archive, DICOMDIR or one file.
    output
        ``series.parquet``; ``series.files.parquet`` is written beside it.
    jobs
        Processes that read headers; all cores when None. With 1 everything is read in this process.

    Raises
    ------
    InputError
        When the source does not exist or holds no DICOM image; nothing is written.
    MachineError
        When the output cannot be written.
    """
    source, output = Path(source), Path(output)
    if output.suffix.lower() != ".parquet":
        raise InputError("does not end in .parquet", where=str(output), fix="write for example -o series.parquet")
    progress = progress or Silent()
    journal = Journal(output.with_name(f"{output.name}.partial"))
    found = walk(source, skip=(output, files_path(output), journal.path))
    with closing(journal):
        records = journal.complete(found.entries, jobs or usable_cores(), progress)
        archives = [record for record in records if record["kind"] == "archive"]
        members = _members(archives, limits or WalkLimits(), found)
        if members:
            inner = journal.complete(members, jobs or usable_cores(), progress)
            for record in inner:
                if record["kind"] == "archive":
                    record["problem"] = "is an archive within an archive and was not opened"
            records += inner
        headers = [header_of(record) for record in records if record["kind"] == "image"]
        if not headers:
            raise _nothing(source, records, found)
        kept, copies = without_copies(headers)
        volumes = group_headers(kept)
        write_index(output, volumes, _others(records, copies, found))
        journal.remove()
    unread = [*found.problems, *((record["path"], record["problem"]) for record in records if "problem" in record)]
    kinds = dict(Counter(record["kind"] for record in records))
    return Index(output, tuple(volumes), kinds, len(copies), found.hidden, tuple(unread), journal.reused)


def header_of(record: dict[str, Any]) -> Header:
    """Return the header of an image's record."""
    place = {name: record[name] for name in ("path", "size", "mtime_ns")}
    return Header.from_values({**place, **record["header"]})


def _members(archives: Sequence[dict[str, Any]], limits: WalkLimits, found: Walk) -> list[Entry]:
    entries: list[Entry] = []
    for record in archives:
        inside = archive_members(Entry(record["path"], record["size"], record["mtime_ns"]), limits)
        entries += inside.entries
        found.problems += inside.problems
        found.hidden += inside.hidden
    return entries


def _others(records: Iterable[dict[str, Any]], copies: dict[str, str], found: Walk) -> list[dict[str, Any]]:
    """Return the rows of files that belong to no volume, by path."""
    rows = [record for record in records if record["kind"] != "image"]
    rows += [
        {**record, "kind": "copy", "problem": f"repeats {copies[record['path']]}"}
        for record in records
        if record["path"] in copies
    ]
    rows += [
        {"path": path, "size": 0, "mtime_ns": 0, "kind": "unreadable", "problem": problem}
        for path, problem in found.problems
    ]
    return sorted(rows, key=lambda row: str(row["path"]))


def _nothing(source: Path, records: Sequence[dict[str, Any]], found: Walk) -> InputError:
    kinds = Counter(record["kind"] for record in records)
    seen = ", ".join(f"{count} {WORDS.get(kind, kind)}" for kind, count in kinds.most_common()) or "no files"
    unread = [*found.problems, *((record["path"], record["problem"]) for record in records if "problem" in record)]
    return InputError(
        f"holds no DICOM image ({seen})",
        where=str(source),
        fix="give the folder that holds the DICOM files",
        details=[f"{path}: {problem}" for path, problem in unread[:10]],
    )


WORDS = {
    "other": "DICOM files without an image",
    "directory": "DICOMDIR files",
    "foreign": "files that are no DICOM",
    "damaged": "damaged DICOM files",
    "unreadable": "files that cannot be read",
    "archive": "archives",
}
"""How kinds are told to a reader."""


class Journal:
    """Records that were made, kept in a file beside the output until the index is whole.

    Each line is one record; the last of a killed run may be cut and is then left out. A record counts only for a file
    whose path, size and time of change are the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reused = 0
        self._known: dict[tuple[str, int, int], dict[str, Any]] | None = None
        self._file: IO[str] | None = None

    def complete(self, entries: Sequence[Entry], jobs: int, progress: Progress) -> list[dict[str, Any]]:
        """Return the record of each entry, in their order: kept ones, and others that are read now."""
        if self._known is None:
            self._known = self._read()
        known = self._known
        missing = [entry for entry in entries if entry.key not in known]
        self.reused += len(entries) - len(missing)
        progress.start("Reading headers", max(len(missing), 1))
        for lines in _read_batches(missing, jobs):
            self._append(lines)
            for line in lines:
                record = json.loads(line)
                known[_key(record)] = record
            progress.advance(len(lines))
        progress.finish()
        return [known[entry.key] for entry in entries]

    def _read(self) -> dict[tuple[str, int, int], dict[str, Any]]:
        known: dict[tuple[str, int, int], dict[str, Any]] = {}
        try:
            lines = self.path.read_text(encoding="ascii").split("\n")
        except (OSError, ValueError):
            return known
        if lines[0] != _first_line():
            return known
        for line in lines[1:-1]:
            try:
                record = json.loads(line)
                # What could not be read may be readable by now.
                if record["kind"] != "unreadable":
                    known[_key(record)] = record
            except (ValueError, KeyError, TypeError):
                continue
        return known

    def _append(self, lines: Sequence[str]) -> None:
        with machine_errors(self.path):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                fresh = not self._known
                # It names patients: for its owner only.
                mode = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if fresh else os.O_APPEND)
                self._file = os.fdopen(os.open(self.path, mode, 0o600), "w", encoding="ascii")
                self._file.write(f"{_first_line()}\n" if fresh else "\n")
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file and keep it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Remove it: the index is whole."""
        self.close()
        self.path.unlink(missing_ok=True)


def _first_line() -> str:
    return json.dumps({"headers of an index that is not finished": VERSION})


def _key(record: dict[str, Any]) -> tuple[str, int, int]:
    return record["path"], record["size"], record["mtime_ns"]


def _read_batches(entries: Sequence[Entry], jobs: int) -> Iterator[list[str]]:
    """Yield records as lines, batch by batch, read by this process or by several."""
    batches = [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)]
    if jobs <= 1 or len(entries) <= ALONE:
        for batch in batches:
            yield [to_line(make_record(entry)) for entry in batch]
        return
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    with ExitStack() as stack:
        for _ in range(min(jobs, len(batches))):
            worker = Worker()
            stack.callback(worker.close)
            idle.put(worker)
        yield from ordered_map(_asking(idle), batches, jobs=jobs)


def _asking(idle: queue.SimpleQueue[Worker]) -> Callable[[Sequence[Entry]], list[str]]:
    def ask(batch: Sequence[Entry]) -> list[str]:
        worker = idle.get()
        try:
            return worker.ask(batch)
        finally:
            idle.put(worker)

    return ask
