"""Compare two models on the cases that both have predicted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from semeion import __version__
from semeion.errors import InputError
from semeion.evidence.foreign.columns import Named
from semeion.evidence.pairs.compare import compare
from semeion.evidence.pairs.pairing import Side
from semeion.evidence.table import ENSEMBLE, SPLITS
from semeion.report.compare_page import write_comparison
from semeion.study.folder import refuse_taken
from semeion.study.predictions_file import Loaded, load_predictions
from semeion.study.statements import NO_PATIENTS, SCHEMA

_ORDER = ("test", "external", "oof", "val")
"""Which split is compared unasked: the most trustworthy that both have."""


def compare_files(
    a: Path,
    b: Path,
    output: Path,
    *,
    split: str | None = None,
    seed: int = 0,
    resamples: int = 2000,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Compare two sets of predictions and write ``compare.json`` and ``compare.html``.

    Parameters
    ----------
    a, b
        Each a run folder, the folder of ``evaluate`` or ``weigh``, or a file of predictions.
    output
        A new or empty folder.
    split
        Whose cases are compared; by default test, else external, else oof, else val.
    seed, resamples, jobs
        Of the bootstrap.

    Returns
    -------
    dict
        The content of ``compare.json``.

    Raises
    ------
    InputError
        When a file cannot be understood, when both do not answer one question on some cases in common, or when truths
        or patients disagree; nothing is written.
    """
    refuse_taken(output)
    comparison = comparison_of(a, b, split=split, seed=seed, resamples=resamples, jobs=jobs)
    write_comparison(output, comparison)
    return comparison


def comparison_of(
    a: Path, b: Path, *, split: str | None = None, seed: int = 0, resamples: int = 2000, jobs: int | None = None
) -> dict[str, Any]:
    """Return the content of ``compare.json`` but for its sentences; parameters as in :func:`compare_files`.

    Raises
    ------
    InputError
        As :func:`compare_files`.
    """
    if split is not None and split not in SPLITS[1:]:
        raise InputError(f"unknown split {split!r}", where="--split", fix=f"use one of {', '.join(SPLITS[1:])}")
    paths, loaded = (a, b), [load_predictions(path, Named()) for path in (a, b)]
    for path, one in zip(paths, loaded, strict=True):
        if not one.has_cases:
            raise InputError(
                "no column says which case a row is, and rows of two files cannot be paired by their number",
                where=str(path),
                fix="name the column: `semeion weigh FILE --case COLUMN -o DIR`, then compare the folder",
            )
    splits, notes = _splits(loaded, paths, split)
    sides = [
        Side(str(path), one.found.predictions, one.question, one.points, chosen, one.has_patients)
        for path, one, chosen in zip(paths, loaded, splits, strict=True)
    ]
    found = compare(sides[0], sides[1], seed=seed, resamples=resamples, jobs=jobs)
    return _comparison(loaded, splits, notes, found)


def _splits(loaded: list[Loaded], paths: tuple[Path, Path], asked: str | None) -> tuple[tuple[str, str], list[str]]:
    """Return the split of each side, and sentences.

    A file whose only split is ``external``, as one that names none, stands for whatever split the other has.
    """
    there = [_labelled(one) for one in loaded]
    chosen: list[str] = []
    common = next((name for name in _ORDER if name in there[0] and name in there[1]), None)
    for path, found in zip(paths, there, strict=True):
        own = asked or common or next((name for name in _ORDER if name in found), None)
        if own is not None and own not in found and found == {"external"}:
            own = "external"
        if own is None or own not in found:
            has = ", ".join(name for name in SPLITS if name in found) or "none"
            raise InputError(
                f"has no cases of the split {own or 'test'!r} (its splits: {has})",
                where=str(path),
                fix="name a split that both have with --split",
            )
        chosen.append(own)
    notes = []
    if chosen[0] != chosen[1]:
        notes.append(f"The split is called {chosen[0]} in A and {chosen[1]} in B; cases are paired by their ids.")
    if "val" in chosen:
        notes.append("Validation cases chose the operating points of one or both models: the figures are optimistic.")
    return (chosen[0], chosen[1]), notes


def _labelled(one: Loaded) -> set[str]:
    """Return the splits of which the ensemble has predicted labelled cases."""
    rows = one.found.predictions
    mine = rows["member"].astype(str).eq(ENSEMBLE) & rows["y_true"].notna()
    mine &= rows["target"].astype(str).isin(one.question.targets)
    return set(rows.loc[mine, "split"].astype(str))


def _comparison(
    loaded: list[Loaded], splits: tuple[str, str], notes: list[str], found: dict[str, Any]
) -> dict[str, Any]:
    """Return the content of ``compare.json``."""
    question = loaded[0].question
    left = found["left_out"]
    for side, other in (("a", "b"), ("b", "a")):
        if left[side]:
            one = "case" if left[side] == 1 else "cases"
            notes.append(f"{left[side]} {one} of {side.upper()} left out: {other.upper()} has no prediction of them.")
    if found["absent"]:
        notes.append(_absent_words(found["absent"], question.task))
    for side, each in zip("AB", loaded, strict=True):
        notes += [f"{side}: {text}" for text in each.notes]
    if not found["has_patients"]:
        notes.append(NO_PATIENTS)
    elif not all(each.has_patients for each in loaded):
        notes.append("Only one of the files names patients; its patients are taken for both.")
    models = {
        side: {
            "source": each.source,
            "split": split,
            "operating_point": each.point,
            "left_out": left[side],
        }
        for side, each, split in zip(("a", "b"), loaded, splits, strict=True)
    }
    return {
        "schema": SCHEMA,
        "semeion": __version__,
        "created": datetime.now(UTC).date().isoformat(),
        "target": question.target,
        "task": question.task,
        "positive": question.positive,
        "classes": list(question.classes),
        "synthetic": any(each.synthetic for each in loaded),
        **models,
        **{name: value for name, value in found.items() if name != "left_out"},
        "notes": notes,
    }


def _absent_words(absent: list[str], task: str) -> str:
    """Return what is not told where a class, or a label's class, has no case that both models predicted."""
    names = ", ".join(repr(name) for name in absent)
    if task == "multilabel":
        return f"All cases that are compared, or none, have {names}: means over labels leave out what that undefines."
    lost = "figures that need both classes are undefined"
    if task != "binary":
        lost = "its figures are undefined, and means are over the others"
    return f"No case that is compared is of the class {names}: {lost}."
