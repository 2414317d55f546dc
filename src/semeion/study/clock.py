"""The budget's clock: time used in this process and in those before it."""

from __future__ import annotations

from pathlib import Path
from time import monotonic


class Clock:
    """Seconds used of a run; the time between a stop and a resume does not count.

    Parameters
    ----------
    budget
        Seconds for the whole run, or None.
    used_before
        Seconds that earlier processes used.
    started
        :func:`time.monotonic` at the start of this one.
    """

    def __init__(self, budget: float | None = None, used_before: float = 0.0, started: float | None = None) -> None:
        self.budget = budget
        self._before = used_before
        self._started = monotonic() if started is None else started

    def used(self) -> float:
        """Return seconds used so far."""
        return self._before + monotonic() - self._started

    def left(self) -> float | None:
        """Return seconds left, never below 0; None without a budget."""
        return None if self.budget is None else max(0.0, self.budget - self.used())


def process_start() -> float:
    """Return when this process started, on the scale of :func:`time.monotonic`; now where the system does not say."""
    stat, uptime = Path("/proc/self/stat"), Path("/proc/uptime")
    try:
        import os

        ticks = float(stat.read_text().rsplit(")", 1)[1].split()[19])
        age = float(uptime.read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return monotonic()
    return monotonic() - max(age, 0.0)
