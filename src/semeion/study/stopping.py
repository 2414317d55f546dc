"""Ctrl-C and SIGTERM end learning after the step under way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stopping:
    """Whether the user asked to stop: call it.

    Attributes
    ----------
    at_once
        Whether the machine asked (SIGTERM), which leaves no time to weigh what was learned.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.at_once = False

    def __call__(self) -> bool:
        """Return whether anyone asked."""
        return self._asked.is_set()

    def ask(self, number: int, _frame: Any) -> None:
        """Take a signal; a second one interrupts."""
        if self._asked.is_set():
            raise KeyboardInterrupt
        self.at_once = number == signal.SIGTERM
        self._asked.set()


@contextmanager
def interruptible() -> Iterator[Stopping]:
    """Let Ctrl-C and SIGTERM end the learning after the step under way, with its checkpoint written.

    Elsewhere Ctrl-C may strike at once: every other stage writes whole files and is done again by a resume.
    """
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = {number: signal.signal(number, stopping.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
