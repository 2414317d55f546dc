"""The folder of explanations: what the files of a case are called, and nothing that was there before is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semeion.artefacts import write_bytes, write_json
from semeion.errors import InputError
from semeion.model.masks import mask_name, mask_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from semeion.model.cases import Case

INDEX = "explain"
"""Name of what describes the whole folder (``.json``) and shows it (``.html``)."""
FINDINGS = "findings"
AHEAD, THREADS = 8, 3
"""Files that wait to be written, and threads that write them: most of the time they wait for the disk."""


def refuse_folder(folder: Path) -> None:
    """Refuse a folder that something would be lost in, or that cannot be told from what is written now.

    Raises
    ------
    InputError
        When it is a file, or holds anything.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file", where=str(folder), fix="give a new or empty folder for the explanations")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError("the folder holds other things already", where=str(folder), fix="give a new or empty folder")


def file_stem(case_id: str, part: str = "") -> str:
    """Return what the files of a case, or of a part of it, are called, without suffix: ``<case>`` or ``<case>.<part>``.

    Raises
    ------
    InputError
        When the id is empty or too long for a file name.
    """
    return mask_name(f"{case_id}.{part}" if part else case_id, "x").removesuffix(".x")


def refuse_names(folder: Path, cases: Sequence[Case], parts: Sequence[str]) -> None:
    """Refuse cases whose files cannot be told apart; call it before any work is done.

    Parameters
    ----------
    folder
        Of the explanations.
    cases
        What will be explained.
    parts
        What a case has several pictures of: labels, frames or views; see :func:`file_stem`.

    Raises
    ------
    InputError
        When a case's id cannot name a file, when two files would be one, or one would replace an image that is given.
    """
    for case in cases:
        if file_stem(case.case_id).casefold() in (INDEX, FINDINGS):
            raise InputError(
                f"the explanation of case {case.case_id!r} and the account of all cases would be one file",
                where="case_id",
                fix="rename the case",
            )
    mask_paths(folder, cases, ["", *(part for part in parts if part)], "png", what="explanation")


class Writer:
    """Makes and writes files on threads of its own while the next case is read.

    What goes wrong is raised by the next call, or by :meth:`close`.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS)
        self._waiting: list[Future[None]] = []

    def bytes(self, path: Path, made: Callable[[], bytes]) -> None:
        """Write what `made` returns, whole or not at all."""
        self.call(lambda: write_bytes(path, made()))

    def json(self, path: Path, value: Mapping[str, Any]) -> None:
        """Write JSON, whole or not at all."""
        self.call(lambda: write_json(path, dict(value)))

    def call(self, work: Callable[[], None]) -> None:
        """Do some work on a thread; wait where much is waiting."""
        while self._waiting and (len(self._waiting) >= AHEAD or self._waiting[0].done()):
            self._waiting.pop(0).result()
        self._waiting.append(self._threads.submit(work))

    def close(self) -> None:
        """Wait for everything, and raise what went wrong first."""
        try:
            while self._waiting:
                self._waiting.pop(0).result()
        finally:
            self._threads.shutdown(cancel_futures=True)
