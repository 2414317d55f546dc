"""A process that learns members: ``python -m semeion.study.members.worker``; one task a line of its input."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from importlib import import_module

from semeion.study.members.task import LearnTask
from semeion.study.members.telling import learn_telling


def main() -> None:
    """Learn what is asked until the input ends."""
    # Who asked hears of Ctrl-C, and tells; a stop from elsewhere must not leave a member half-told.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            tasks.put(line)
        # Who asked is gone: a member that went on would write beside the next run. Its files are whole or absent.
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    # Before the first task: it takes seconds.
    import_module("semeion.learn.member")
    while True:
        learn_telling(LearnTask.from_json(tasks.get()))


if __name__ == "__main__":
    main()
