"""Semeion's own predictions: what they answer, from their columns alone or as their evidence says."""

from __future__ import annotations

import pandas as pd

from semeion.errors import InputError, nearest
from semeion.evidence.foreign.columns import Named, listed
from semeion.evidence.question import ABSENT, PRESENT, Question
from semeion.naming import decode_class

_YES = ("1", "yes", "true", PRESENT, "positive")


def own_predictions(
    table: pd.DataFrame, named: Named, known: Question | None, where: str
) -> tuple[pd.DataFrame, Question, str]:
    """Return the rows of one target, its question, and how that was known.

    Parameters
    ----------
    table
        The columns of ``predictions.parquet``.
    named
        ``target``, ``task`` and ``positive`` are used.
    known
        What the evidence beside the predictions says of the question.
    where
        The table's name.

    Raises
    ------
    InputError
        When there are several targets and none was named, when there are neither probabilities nor predicted values
        (the predictions of a segmentation), or when the positive class is not known.
    """
    columns = [str(name) for name in table.columns]
    if "fold" not in columns:
        table = table.assign(fold=-1)
    classes = tuple(decode_class(name.removeprefix("p_")) for name in columns if name.startswith("p_"))
    if not classes and "y_pred" not in columns:
        raise InputError(
            "holds neither probabilities (p_<class>) nor predicted values (y_pred)",
            where=where,
            fix="give predictions of classes or values; masks are weighed by `semeion evaluate`",
        )
    targets = [str(name) for name in table["target"].dropna().unique()]
    if known is not None and set(targets) >= set(known.targets) and _agree(named, known):
        kept = table[table["target"].astype(str).isin(known.targets)]
        return kept, known, "As the evidence beside the predictions says."
    if named.target is not None and named.target not in targets:
        raise InputError(
            f"no row for the target {named.target!r} (--target){nearest(named.target, targets)}",
            where=where,
            fix=f"the table holds {listed(targets)}",
        )
    several = set(classes) == {ABSENT, PRESENT} and (len(targets) > 1 or named.task == "multilabel")
    if several and named.target is None:
        return table, Question(",".join(targets), "multilabel", tuple(targets)), "Labels, each present or absent."
    if len(targets) > 1 and named.target is None:
        raise InputError(f"holds {len(targets)} targets ({listed(targets)})", where=where, fix="name one with --target")
    target = named.target or targets[0]
    kept = table[table["target"].astype(str) == target]
    if not classes or named.task == "regression":
        return kept, Question(target, "regression"), "A measured value: the table holds predicted values."
    task = named.task or ("binary" if len(classes) == 2 else "multiclass")
    if task != "binary":
        order = ", from lowest to highest as their columns stand" if task == "ordinal" else ""
        return kept, Question(target, task, classes), f"The classes are those of the columns{order}."
    positive = named.positive or next((name for name in classes if name.lower() in _YES), None)
    # The columns of our own binary predictions stand as (negative, positive): see Target.classes of the cohort.
    why = "as asked by --positive" if named.positive else "by its name" if positive else "the second of the columns"
    question = Question(target, "binary", classes, positive or classes[-1])
    return kept, question, f"{question.positive!r} is the positive class: {why}."


def _agree(named: Named, known: Question) -> bool:
    """Tell whether the user asks for nothing else than the evidence says."""
    pairs = ((named.target, known.target), (named.task, known.task), (named.positive, known.positive))
    return all(asked in (None, said) for asked, said in pairs)
