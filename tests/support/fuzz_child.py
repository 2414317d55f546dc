"""A process of its own that reads spoiled files, and what watches it.

What a reader does to such a process (a crash in native code, a hang, a burst of memory) is found, and the process that
tries the files lives on. A child reads files until it dies; another one then takes its place, so that thousands of
files a minute are read. No signal is taken in the process that watches: pytest-timeout needs SIGALRM there.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from semeion.errors import SemeionError
from support.fuzz_readers import Reader

READERS = "support.fuzz_readers:READERS"
LONGEST = 20.0
"""Seconds that one small file may take."""
MOST_MIB = 1024
"""Memory in MiB that a child may ever have held."""
MOST_ADDRESSES = 8 << 30
"""Addresses in bytes that a child may map, which keeps a burst from taking the machine down; libraries map 2 GiB."""
START = 120.0
"""Seconds that a child may take to start on a machine that is busy."""


class Child:
    """A process that reads files, one after another; it is started when a file comes in and none is alive.

    Parameters
    ----------
    table
        Where the readers stand, as ``module:name`` of a dictionary of them by name.
    longest
        Seconds that one file may take.

    Attributes
    ----------
    peak_mib
        The most memory that any child held.
    started
        How many children were started; a file that one of them died of is the last that it read.
    """

    def __init__(self, table: str = READERS, longest: float = LONGEST) -> None:
        self.table, self.longest = table, longest
        self.peak_mib, self.started = 0, 0
        self._process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._said.close()

    def trouble(self, name: str, path: Path) -> str | None:
        """Read one file; return what went wrong when the reader neither took it nor refused it by a typed error."""
        process = self._process or self._start()
        assert process.stdin is not None
        if process.poll() is None:
            self._empty()
        with contextlib.suppress(BrokenPipeError):  # dead since its last answer: there is no next one
            process.stdin.write(json.dumps([name, str(path)]).encode() + b"\n")
            process.stdin.flush()
        answer = self._answer(self.longest)
        if isinstance(answer, str):
            return answer
        before, self.peak_mib = self.peak_mib, max(self.peak_mib, answer["peak_mib"])
        if answer["peak_mib"] > MOST_MIB:
            self._stop()  # what it holds it may never give back
            return f"too much memory: {answer['peak_mib']} MiB, at most {before} MiB before; {MOST_MIB} are allowed"
        found: str | None = answer["trouble"]
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        # Threads of native libraries each map an arena of 64 MiB, which on a large machine would pass for a burst.
        few = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.fuzz_child", self.table],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **few},
        )
        self.started += 1
        ready = self._answer(START)
        if isinstance(ready, str):
            raise RuntimeError(f"no reader starts: {ready}")
        return self._process

    def _answer(self, seconds: float) -> dict[str, Any] | str:
        """Return the child's next line, or what became of the child, which is then no more."""
        assert self._process is not None
        assert self._process.stdout is not None
        watched = select.poll()
        watched.register(self._process.stdout, select.POLLIN)
        if not watched.poll(seconds * 1000):
            return f"{self._where()}\ntoo long: more than {seconds:g} s for one file"
        line = self._process.stdout.readline()
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        status = self._process.wait()
        self._stop()
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return f"{self._heard()}\ndead: the process ended by {how}"

    def _where(self) -> str:
        """Return where a child that hangs is, and end it."""
        assert self._process is not None
        self._empty()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 2
        while not self._heard() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.1)
        self._stop()
        return self._heard()

    def _heard(self) -> str:
        """Return the end of what the child said by standard error."""
        size = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), 20_000, max(0, size - 20_000)).decode(errors="replace").strip()

    def _empty(self) -> None:
        """Forget what the child said: native libraries warn of every file."""
        os.ftruncate(self._said.fileno(), 0)
        os.lseek(self._said.fileno(), 0, os.SEEK_SET)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def serve(table: str) -> None:
    """Read the files that standard input names; answer each by a line on what was standard output."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    # Whatever else writes to standard output must not be taken for an answer.
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers, os.fdopen(os.dup(0), "rb") as names:
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        module, _, attribute = table.partition(":")
        readers: dict[str, Reader] = getattr(importlib.import_module(module), attribute)
        answers.write(b"{}\n")
        for line in names:
            name, path = json.loads(line)
            answer = {"trouble": trouble(readers[name], Path(path)), "peak_mib": peak_mib()}
            answers.write(json.dumps(answer).encode() + b"\n")


def trouble(reader: Reader, path: Path) -> str | None:
    """Read one file here; return what went wrong when it was neither taken nor refused by a typed error."""
    try:
        reader.read(path)
    except SemeionError as error:
        return None if str(error) else "a refusal without a word"
    except BaseException:  # SystemExit too: no reader may end a process
        return traceback.format_exc(limit=-6)
    return None


def peak_mib() -> int:
    """Return the most memory that this process held; getrusage would count that of its parent before the exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


if __name__ == "__main__":
    serve(sys.argv[1])
