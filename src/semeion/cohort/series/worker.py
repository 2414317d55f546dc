"""A process that reads headers: entries come as lines of JSON, records go back; an empty line ends each batch.

Reading headers is work for the interpreter and not for the disk, so threads would wait for one another. A process of
its own is started by name, not forked: it needs no main guard in a user's script and copies no one's threads.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from semeion.cohort.series.records import make_record, to_line
from semeion.cohort.series.walk import Entry
from semeion.errors import MachineError


def serve() -> None:
    """Answer batches on standard input until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asked decides when to stop
    for line in sys.stdin:
        for values in json.loads(line):
            sys.stdout.write(to_line(make_record(Entry(*values))) + "\n")
        sys.stdout.write("\n")
        sys.stdout.flush()


class Worker:
    """The asking side of one such process."""

    def __init__(self) -> None:
        # -P keeps the current folder, which may hold anything, out of the search for modules.
        command = [sys.executable, "-P", "-m", "semeion.cohort.series.worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, entries: Sequence[Entry]) -> list[str]:
        """Return the records of `entries` as lines, in their order.

        Raises
        ------
        MachineError
            When the process has died.
        """
        values = [[e.path, e.size, e.mtime_ns, e.archive, e.member] for e in entries]
        sink, source = self._process.stdin, self._process.stdout
        lines: list[str] = []
        try:
            if sink is None or source is None:
                raise BrokenPipeError
            sink.write(json.dumps(values) + "\n")
            sink.flush()
            while (line := source.readline()) not in ("", "\n"):
                lines.append(line.rstrip("\n"))
        except BrokenPipeError:
            lines = []
        if len(lines) != len(entries):
            raise MachineError(
                "a process that reads headers ended before its work",
                where="semeion index",
                fix="run again: what was read is kept; with --jobs 1 no further process is started",
            )
        return lines

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process.terminate()
        self._process.wait()


if __name__ == "__main__":
    serve()
