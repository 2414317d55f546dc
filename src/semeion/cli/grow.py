"""The command that asks what more cases would bring: curve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from semeion.cli import options as o
from semeion.progress import for_terminal


@o.takes_cohort
def curve(
    context: typer.Context,
    table: o.Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; new or empty.")],
    target: o.Target = None,
    *,
    cohort: o.Cohort,
    budget: Annotated[
        str | None, typer.Option(help="Time for everything; 3m unless given, and 1h with --full.", show_default=False)
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Learn the whole plan of train for every set of patients: slow.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(help="Figure of the curve, for example auroc, auprc, brier; by default the task's first."),
    ] = None,
    want_width: Annotated[
        float | None,
        typer.Option(
            "--want-width", metavar="W", help="Width of a 95 % interval, end to end, whose cases are reckoned; 0.1."
        ),
    ] = None,
    seed: o.Seed = 0,
    skip_bad: o.SkipBad = False,
    accept: o.Accept = None,
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> int:
    """Draw a learning curve: how much better with more patients, and how many cases an interval needs.

    Patients are drawn in nested sets of growing size, each set is learned from, and always the same cases are scored:
    those of the split val, or of folds. Test cases are never read.

    Example: semeion curve cohort.csv --target finding --want-width 0.1 -o runs/curve
    """
    from semeion.study.curve import curve_source
    from semeion.study.options import RunOptions, parse_duration, source_path

    options = RunOptions(
        replace(cohort, target=target),
        parse_duration(budget),
        seed,
        skip_bad=skip_bad,
        accept=tuple(accept or ()),
        jobs=jobs,
    )
    progress = for_terminal(quiet=quiet)
    found = curve_source(
        source_path(table),
        options,
        output,
        progress,
        metric=metric,
        width=want_width,
        started=context.obj,
        full=full,
    )
    for sentence in found["sentences"]:
        print(sentence)
    for note in found["notes"]:
        print(f"note: {note}")
    print(f"Research use only. Intervals are 95 %.\n\nThe whole account: {output / 'curve.html'}")
    return int(bool(found["accepted"]))


COMMANDS = (curve,)
