"""``python -m benchmarks.sabotage``: have a half of the corpus read, or write the table of what was recorded."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.record import newest
from benchmarks.sabotage.account import figures, markdown
from benchmarks.sabotage.corpus import KEPT, KINDS, ROW, publish, read_half
from benchmarks.sabotage.drafts import HALVES, LEVELS
from benchmarks.sabotage.running import build
from benchmarks.sabotage.writing import write


def main() -> None:
    """Do what the words ask for."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.sabotage", description=__doc__)
    words.add_argument("--half", choices=HALVES, default="set", help="set is for setting limits (default)")
    words.add_argument("--keep", type=Path, default=KEPT, help="where results are kept, and gone on from")
    words.add_argument("--kind", nargs="*", default=[], help="beginnings of the names of kinds; all without one")
    words.add_argument("--level", nargs="*", choices=LEVELS, default=LEVELS, help="strengths; all without one")
    words.add_argument("--list", action="store_true", help="list the kinds")
    words.add_argument("--write", type=Path, metavar="FOLDER", help="write the cohorts there and have nothing read")
    words.add_argument("--jobs", type=int, help="cohorts read at a time; by default one a core, two at most")
    words.add_argument("--advice", action="store_true", help="print what the audits say, too")
    words.add_argument("--table", action="store_true", help="print the table of the newest recorded reading")
    words.add_argument("--record", action="store_true", help="read and record the published half, whole")
    asked = words.parse_args()
    levels = [LEVELS.index(level) for level in asked.level]
    if asked.record and (asked.half != "publish" or asked.kind or len(levels) < len(LEVELS)):
        sys.exit("only the whole half `publish` is recorded")
    kinds = [kind for kind in KINDS if not asked.kind or kind.name.startswith(tuple(asked.kind))]
    if not kinds:
        sys.exit(f"no kind begins so; kinds: {', '.join(kind.name for kind in KINDS)}")
    if asked.table:
        recorded = newest(ROW)
        print(markdown(recorded) if recorded else sys.exit(f"the row {ROW!r} was never read"))
    elif asked.list:
        for kind in kinds:
            print(f"{kind.name} ({kind.road}, {kind.audit or 'clean'}): {kind.how}")
    elif asked.write:
        for kind in kinds:
            for level in levels[: len(kind.strengths)]:
                place = write(build(kind, asked.half, level), asked.write / f"{kind.name}.{LEVELS[level]}")
                print(place, flush=True)
    elif asked.record:
        publish()
    else:
        told = read_half(asked.half, asked.keep, asked.kind, levels, advice=asked.advice, jobs=asked.jobs)
        print(markdown(figures(told, asked.half)))


if __name__ == "__main__":
    main()
