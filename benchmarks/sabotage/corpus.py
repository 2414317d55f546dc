"""The whole corpus, read half by half; what was read already is not read again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from benchmarks.record import RESULTS, data, record
from benchmarks.sabotage import clean, confounders, copies, findings, pipelines, records
from benchmarks.sabotage.account import figures, markdown
from benchmarks.sabotage.drafts import Half, Kind
from benchmarks.sabotage.running import Told, look, program

ROW = "sabotage"
KEPT = Path("runs/bench-sabotage")
AT_A_TIME = 2
"""Cohorts that are read at a time at most: a command has much to do on one core, and a training needs 1 GiB."""
KINDS: tuple[Kind, ...] = (
    *clean.KINDS,
    *copies.KINDS,
    *confounders.KINDS,
    *records.KINDS,
    *findings.KINDS,
    *pipelines.KINDS,
    *clean.FOUND,
)


def read_half(
    half: Half,
    keep: Path,
    names: Sequence[str] = (),
    levels: Sequence[int] = (0, 1, 2),
    *,
    advice: bool = False,
    jobs: int | None = None,
) -> list[Told]:
    """Have every cohort of a half read, and print a line for each.

    Parameters
    ----------
    half
        ``set`` or ``publish``.
    keep
        Where results are kept; an interrupted call goes on from there while nothing changes in ``src`` or here.
    names
        Beginnings of the names of kinds; all kinds without one.
    levels
        Strengths, 0 the strongest.
    advice
        Whether to print what the named audit and those that warn advise.
    jobs
        Cohorts that are read at a time; by default one a core, two at most. What is told does not depend on it.
    """
    data()
    home = keep / half / program()
    for old in (keep / half).glob("*"):
        if old != home:
            shutil.rmtree(old, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    kinds = [kind for kind in KINDS if not names or kind.name.startswith(tuple(names))]
    asked = [(kind, level) for kind in kinds for level in levels if level < len(kind.strengths)]
    printing, done = Lock(), iter(range(1, len(asked) + 1))

    def read(one: tuple[Kind, int]) -> Told:
        told = look(one[0], half, one[1], home)
        with printing:
            print(f"{next(done)}/{len(asked)} {_line(told)}", flush=True)
            for name, text in told.said.items() if advice else ():
                print(f"    {name}: {text}", flush=True)
        return told

    pool = ThreadPoolExecutor(jobs or min(AT_A_TIME, len(os.sched_getaffinity(0))))
    try:
        return list(pool.map(read, asked))
    finally:
        pool.shutdown(cancel_futures=True)


def _line(one: Told) -> str:
    others = [name for name in (*one.void, *one.warn) if name != one.audit]
    beside = f"; also {', '.join(others)}" if others else ""
    if one.audit is None:
        said = f"void {', '.join(one.void) or 'none'}, warn {', '.join(one.warn) or 'none'}"
        return f"{one.kind}: {said} ({one.seconds:.0f} s) {one.message}"
    mark = "caught" if one.caught else "MISSED"
    found = f", {one.found} of {one.planted} cases" if one.planted else ""
    return (
        f"{mark} {one.kind}, {one.strength}: {one.audit} is {one.verdict} (must be {one.must}){found}{beside} "
        f"({one.seconds:.0f} s) {one.message}"
    )


def publish() -> None:
    """Read the half that is published, record it with its tables, and forget what was kept.

    About 40 minutes of one core, 20 of two. What is interrupted goes on when it is called again.
    """
    told = read_half("publish", KEPT)
    found = figures(told, "publish")
    record(ROW, "python -m benchmarks.sabotage --half publish --record", found)
    (RESULTS / f"{ROW}.md").write_text(markdown(found) + "\n")
    shutil.rmtree(KEPT / "publish", ignore_errors=True)


ROWS: dict[str, Callable[[], None]] = {ROW: publish}
