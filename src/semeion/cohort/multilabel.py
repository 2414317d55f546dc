"""Several labels a case: columns of 0 and 1, or one column of delimited names."""

from __future__ import annotations

import numpy as np
import pandas as pd

from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.problems import Problems, listed
from semeion.cohort.question import Question, in_order, place
from semeion.cohort.words import near_misses, presence, says_nothing_found


def indicator_columns(
    texts: dict[str, pd.Series[str]], options: CohortOptions, problems: Problems, expected: Target | None = None
) -> Question | None:
    """Make a multi-label target of several 0/1 columns."""
    if expected is None and options.task not in (None, "multilabel"):
        problems.add(
            f"--task {options.task} needs one target column, and {len(texts)} are named",
            "name one, or --task multilabel",
        )
        return None
    truth: dict[str, pd.Series[float]] = {}
    for name, column in texts.items():
        label = options.labels.get(name, name)
        values = column.map(presence, na_action="ignore")
        wrong = column[values.isna() & column.notna()]
        if len(wrong):
            shown = listed(f"{text!r} ({place(column)} {row})" for row, text in wrong.items())
            own = expected is None and len(texts) > 1
            alone = f"; where it is a target of its own, say --task {name}=TASK" if own else ""
            problems.add(f"{name} is neither 0 nor 1: {shown}", f"write 0, 1 or nothing (not known){alone}")
            continue
        truth[label] = values.astype(np.float64)
    if expected is not None:
        lacking = [label for label in expected.classes if label not in truth]
        if lacking:
            problems.add(
                f"the table has no column for {listed(map(repr, lacking), 'label')} of the model",
                "name every label's column with --target, or give columns the labels' names with --labels",
            )
            return None
        truth = {label: truth[label] for label in expected.classes}
    why = f"The task is multi-label: {len(texts)} columns of 0 and 1 are named."
    return _multilabel(",".join(texts), truth, why, problems, varied=expected is None)


def delimited_column(
    texts: pd.Series[str], options: CohortOptions, problems: Problems, expected: Target | None = None
) -> Question | None:
    """Make a multi-label target of one column with several labels a cell; an empty cell is not known."""
    name = str(texts.name)
    known = texts.dropna()
    sets = known.map(
        lambda text: frozenset(
            options.labels.get(part.strip(), part.strip())
            for part in ([] if says_nothing_found(text) else text.split(options.delimiter))
            if part.strip()
        )
    )
    every = [label for labels in sets for label in labels]
    counts = pd.Series(every, dtype="str").value_counts()
    tally = {str(label): int(count) for label, count in counts.items()}
    for wrong, right in near_misses(tally, tuple(options.labels.values())):
        rows = listed([row for row, labels in sets.items() if wrong in labels], place(texts))
        problems.add(
            f"{name} {wrong!r} in {rows} is probably {right!r} misspelt",
            f"correct it, or say what it means with --labels {wrong!r}=NAME",
        )
    labels = in_order(list(tally))
    if expected is not None:
        unknown = [label for label in labels if label not in expected.classes]
        if unknown:
            problems.add(
                f"{name} holds {listed(map(repr, unknown), 'label')}, unknown to the model "
                f"({listed(map(repr, expected.classes))})",
                "rename them with --labels, or remove them",
            )
            return None
        labels = list(expected.classes)
    truth = {
        label: sets.map(lambda labels, label=label: float(label in labels)).astype(np.float64).reindex(texts.index)
        for label in labels
    }
    why = f"The task is multi-label: cells of {name!r} hold labels delimited by {options.delimiter!r}."
    return _multilabel(name, truth, why, problems, varied=expected is None)


def _multilabel(
    name: str, truth: dict[str, pd.Series[float]], why: str, problems: Problems, *, varied: bool
) -> Question | None:
    """Check that every label is present and absent somewhere, when it must be."""
    single = [label for label, values in truth.items() if values.dropna().nunique() < 2]
    if (single and varied) or not truth:
        problems.add(
            f"{listed(map(repr, single), 'label')} of {name} {'has' if len(single) == 1 else 'have'} one class only",
            "leave such labels out of --target, or add cases",
        )
        return None
    frame = pd.DataFrame({f"y.{label}": values for label, values in truth.items()})
    unknown = int(frame.isna().to_numpy().sum())
    notes = (f"{unknown} of {frame.size} labels are not known and count as neither.",) if unknown else ()
    return Question(Target(name, "multilabel", tuple(truth), why=why), frame, notes)
