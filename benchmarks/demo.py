"""Wall time of `make demo` in a fresh clone with a warm package cache."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from benchmarks.record import data, record


def demo() -> None:
    """Clone the committed tree, set it up and run the demonstration."""
    source = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", source.stdout.strip(), str(clone)], check=True)
        began = perf_counter()
        done = subprocess.run(["make", "demo", f"SEMEION_DATA={data()}"], cwd=clone, check=False)
        seconds = perf_counter() - began
        if done.returncode or not (clone / "runs" / "demo" / "report.html").exists():
            sys.exit("make demo failed")
    record("demo", "git clone . CLONE && make -C CLONE demo", {"wall_seconds": round(seconds, 1)})


ROWS: dict[str, Callable[[], None]] = {"demo": demo}
