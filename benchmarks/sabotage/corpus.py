"""The whole corpus, read half by half; what was read already is not read again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.record import data, record
from benchmarks.sabotage import clean, confounders, copies, findings, pipelines, records
from benchmarks.sabotage.account import figures
from benchmarks.sabotage.drafts import Half, Kind
from benchmarks.sabotage.running import Told, look, program

ROW = "sabotage"
KEPT = Path("runs/bench-sabotage")
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
    half: Half, keep: Path, names: Sequence[str] = (), levels: Sequence[int] = (0, 1, 2), *, advice: bool = False
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
    """
    data()
    home = keep / half / program()
    for old in (keep / half).glob("*"):
        if old != home:
            shutil.rmtree(old, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    kinds = [kind for kind in KINDS if not names or kind.name.startswith(tuple(names))]
    asked = [(kind, level) for kind in kinds for level in levels if level < len(kind.strengths)]
    told = []
    for number, (kind, level) in enumerate(asked, 1):
        told.append(look(kind, half, level, home))
        print(f"{number}/{len(asked)} {_line(told[-1])}", flush=True)
        for name, text in told[-1].said.items() if advice else ():
            print(f"    {name}: {text}", flush=True)
    return told


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
    """Read the half that is published, record it, and forget what was kept."""
    told = read_half("publish", KEPT)
    record(ROW, "python -m benchmarks.sabotage --half publish --record", figures(told, "publish"))
    shutil.rmtree(KEPT / "publish", ignore_errors=True)


ROWS: dict[str, Callable[[], None]] = {ROW: publish}
