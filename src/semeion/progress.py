"""Progress of long work: a bar in a terminal, plain lines in a log, nothing in a program that imports Semeion."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any, Protocol


class Progress(Protocol):
    """What long work calls. One piece of work at a time; every method is cheap."""

    def start(self, work: str, total: float) -> None:
        """Begin `work`, which is done when `total` units were advanced."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Say that `amount` more units are done; `note` replaces the text at the end of the bar."""

    def finish(self) -> None:
        """End the piece of work that was started last."""

    def say(self, line: str) -> None:
        """Print one line of plain text above the bar."""


class Silent:
    """Says nothing: the default of the Python interface, and ``--quiet``."""

    def start(self, work: str, total: float) -> None: ...

    def advance(self, amount: float = 1.0, note: str = "") -> None: ...

    def finish(self) -> None: ...

    def say(self, line: str) -> None: ...


class Lines:
    """Plain lines on standard error, at most one every `every` seconds: for logs and pipes."""

    def __init__(self, every: float = 10.0) -> None:
        self.every = every
        self.work, self.total, self.done, self.began, self.last = "", 0.0, 0.0, 0.0, 0.0

    def start(self, work: str, total: float) -> None:
        self.work, self.total, self.done = work, total, 0.0
        self.began = self.last = time.monotonic()
        self.say(f"{work} ...")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.last >= self.every and self.total:
            self.last = now
            left = (now - self.began) * max(self.total - self.done, 0) / max(self.done, 1e-9)
            # What takes longer than was planned is done, not more than all.
            done = min(self.done / self.total, 1.0)
            self.say(f"{self.work}: {done:.0%}, about {left:.0f} s left. {note}".rstrip())

    def finish(self) -> None:
        self.say(f"{self.work}: done in {time.monotonic() - self.began:.1f} s")

    def say(self, line: str) -> None:
        # A reader that went away (`2>&1 | head`) must not end hours of work.
        with suppress(BrokenPipeError):
            print(line, file=sys.stderr, flush=True)


class Bar:
    """One rich progress bar with the time left, for a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def start(self, work: str, total: float) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bar = RichProgress(*columns, transient=True, console=Console(stderr=True))
        self._bar.start()
        self._task = self._bar.add_task(work, total=total, note="")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        if self._bar is not None:
            fields = {"note": note} if note else {}
            self._bar.update(self._task, advance=amount, **fields)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)


def for_terminal(*, quiet: bool = False) -> Progress:
    """Return what suits standard error: a bar in a terminal, lines elsewhere, nothing when `quiet`."""
    if quiet:
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines()
