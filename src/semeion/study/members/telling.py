"""What a member that learns elsewhere tells, and how it is stopped: by files beside its own, which all machines see."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from semeion import errors
from semeion.errors import SemeionError
from semeion.study.members.task import LearnTask, MemoryRanOut, learn_in_place, refuse_unseen

TOLD, STOP = "told.jsonl", "stop"
EVERY = 0.5
"""Seconds between two lines of progress, and between two looks whether to stop."""
ENDED, PEAK = "ended", "peak_gib"

KINDS: dict[str, type[SemeionError]] = {
    kind.__name__: kind
    for kind in (
        *(errors.InputError, errors.MachineError, errors.TrainingFailed, errors.Interrupted),
        MemoryRanOut,
    )
}


def learn_telling(task: LearnTask) -> dict[str, Any]:
    """Learn a member, tell of it in its folder, and return how it ended, as :func:`error_of` reads it."""
    folder = task.folder
    looked, said = monotonic(), 0.0
    stopping = False

    def tell(line: dict[str, Any]) -> None:
        with (folder / TOLD).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def stop() -> bool:
        nonlocal looked, stopping
        if not stopping and monotonic() - looked > EVERY:
            stopping, looked = (folder / STOP).exists(), monotonic()
        return stopping

    def stepped(step: int, total: int, value: float) -> None:
        nonlocal said
        if monotonic() - said > EVERY or step == total:
            said = monotonic()
            tell({"stepped": [step, total, value]})

    try:
        refuse_unseen(task)
        folder.mkdir(parents=True, exist_ok=True)
        learn_in_place(task, stop, stepped, lambda line: tell({"log": line}))
        ended: dict[str, Any] = {ENDED: None}
    except SemeionError as error:
        kind = type(error).__name__
        parts = {"what": error.what, "where": error.where, "fix": error.fix, "details": list(error.details)}
        ended = {ENDED: {"kind": kind if kind in KINDS else "TrainingFailed", **parts}}
    except Exception as error:
        # Whoever asked raises it again: a mistake in the code must not look like a member that cannot learn.
        ended = {ENDED: {"kind": "", "what": f"{type(error).__name__}: {error}", "details": [traceback.format_exc()]}}
    from semeion.learn.throughput import peak_gib

    ended[PEAK] = peak_gib()
    if folder.is_dir():
        tell(ended)
    return ended


def error_of(ended: dict[str, Any]) -> Exception | None:
    """Return the error of ``{"ended": ...}``, None where the member has finished."""
    raw = ended[ENDED]
    if raw is None:
        return None
    if raw["kind"] in KINDS:
        return KINDS[raw["kind"]](raw["what"], where=raw["where"], fix=raw["fix"], details=raw["details"])
    return RuntimeError("\n".join([raw["what"], *raw["details"]]))


class Listening:
    """Reads on what a member tells, and asks it to stop.

    Parameters
    ----------
    folder
        Of the member; what an earlier attempt told is removed.
    stepped, log
        Called with what :class:`semeion.learn.standing.Hooks` would be told.
    """

    def __init__(
        self, folder: Path, stepped: Callable[[int, int, float], None], log: Callable[[dict[str, Any]], None]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._stepped, self._log, self._read = folder, stepped, log, 0
        self.tidy()

    def hear(self) -> dict[str, Any] | None:
        """Pass on what was told since; return how it ended, None while it goes on."""
        file = self.folder / TOLD
        if not file.exists():
            return None
        with file.open("rb") as told:
            told.seek(self._read)
            found = told.read()
        # A line is whole when its end is there.
        whole = found[: found.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            one: dict[str, Any] = json.loads(line)
            if ENDED in one:
                return one
            if "log" in one:
                self._log(one["log"])
            else:
                step, total, value = one["stepped"]
                self._stepped(step, total, value)
        return None

    def ask_to_stop(self) -> None:
        """Let the member stop after its step, with its checkpoint."""
        if self.folder.is_dir():
            (self.folder / STOP).touch()

    def tidy(self) -> None:
        """Remove both files."""
        for name in (TOLD, STOP):
            (self.folder / name).unlink(missing_ok=True)
