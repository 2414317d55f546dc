"""The predictions table comes in here: checked row by row, then arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semeion.errors import InputError, nearest
from semeion.evidence.question import ABSENT, PRESENT, Question
from semeion.naming import encode_class

SPLITS = ("train", "val", "calibration", "test", "oof", "external")
UNWEIGHED = ("train", "calibration")
"""Splits without figures: what was learned from, and what calibrates sets of classes and serves nothing else."""
ENSEMBLE = "ensemble"
CLASSIC = "classic"
"""The rows of the classic small network, a baseline: no member, and no part of the ensemble."""
IMAGES, COVARIATES = "images", "covariates"
"""The rows of images alone and of covariates alone, where members of both kinds make the ensemble."""
TEACHER = "teacher"
"""The rows of the ensemble that taught, where the ``ensemble`` rows are those of the one network that ships."""
OUTSIDE = (ENSEMBLE, CLASSIC, IMAGES, COVARIATES, TEACHER)
"""Values of the column ``member`` that are no members."""
SHARE = "share"
"""Column that tells what a member counts in the ensemble of its row's split; without it all count the same."""
KEY = ["case_id", "target", "split", "member"]
SUM_TOLERANCE = 1e-6
"""How far from 1 the probabilities of a case may sum."""
_WHERE = "predictions"


@dataclass(frozen=True)
class Cases:
    """The ensemble's predictions for one target in one split; `patient` counts from 0 to ``n_patients - 1``.

    `y` is the class index (int64) or the measured value (float64); `p` has shape ``(cases, classes)``, or ``(cases,)``
    for a measured value. The universe of patients is that of the split, so that labels of one split can be resampled
    together.
    """

    split: str
    target: str
    case_id: NDArray[np.object_]
    patient: NDArray[np.int64]
    n_patients: int
    fold: NDArray[np.int64]
    y: NDArray[np.int64] | NDArray[np.float64]
    p: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.y)


def probability_columns(question: Question) -> tuple[str, ...]:
    """Return the columns that hold the calibrated probabilities, in the order of the classes."""
    names = (ABSENT, PRESENT) if question.task == "multilabel" else question.classes
    return tuple(f"p_{encode_class(name)}" for name in names)


def validate_predictions(predictions: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Return the rows that answer `question`, with plain types, or refuse the table.

    Probabilities beyond 0 or 1 by rounding are put back. ``y_true`` becomes the class index (NaN where a multi-label
    label is unknown) or the measured value.

    Parameters
    ----------
    predictions
        Columns ``case_id patient_id split fold member target y_true`` and ``p_<class>`` (``y_pred`` for regression);
        others are ignored.

    Raises
    ------
    InputError
        For an empty table, a missing column, a repeated key, an unknown split, target or class, a probability that is
        no number, outside 0 to 1 or does not sum to 1 within 1e-6, and a missing patient or truth. Rows are counted
        from 1 in the order of the table.
    """
    if len(predictions) == 0:
        raise InputError("the table has no rows", where=_WHERE, fix="predict at least one labelled case")
    values = ("y_pred",) if question.task == "regression" else probability_columns(question)
    _need_columns(predictions, ("case_id", "patient_id", "split", "member", "target", "y_true", *values))
    table = predictions.reset_index(drop=True)
    plain = pd.DataFrame({name: table[name] for name in (*KEY, "patient_id")})
    for name in plain:
        _refuse_rows(plain[name].isna(), f"no {name}", f"fill the column {name}")
    plain = plain.astype(str)
    _refuse_rows(
        plain.duplicated(KEY),
        "the same case, target, split and member as in an earlier row",
        "keep one row for each",
    )
    _refuse_values(plain["split"], SPLITS, "split")
    if question.task == "multilabel":
        _refuse_values(plain["target"], question.targets, "target")
    elif not (plain["target"] == question.target).any():
        found = ", ".join(sorted(plain["target"].unique())[:5])
        raise InputError(f"no row for the target {question.target!r}", where=_WHERE, fix=f"the table holds {found}")
    plain["fold"] = _folds(table)
    plain["y_true"] = _truth(table["y_true"], plain["target"].isin(question.targets), question)
    mine = plain["target"].isin(question.targets)
    plain = plain.join(_checked_numbers(table.loc[mine, list(values)], question), how="inner")
    if not (plain["member"] == ENSEMBLE).any():
        raise InputError(
            f"no row with the member {ENSEMBLE!r}", where=_WHERE, fix="average the members and add those rows"
        )
    return plain


def split_cases(table: pd.DataFrame, question: Question) -> Iterator[list[Cases]]:
    """Yield, split by split, the ensemble's cases of each target that has any; unknown labels are left out."""
    values = ["y_pred"] if question.task == "regression" else list(probability_columns(question))
    ensemble = table[table["member"] == ENSEMBLE]
    for split in SPLITS:
        rows = ensemble[(ensemble["split"] == split) & ensemble["y_true"].notna()]
        if len(rows) == 0:
            continue
        codes, patients = pd.factorize(rows["patient_id"])
        cases = []
        for target in question.targets:
            mine = (rows["target"] == target).to_numpy()
            if not mine.any():
                continue
            part = rows[mine]
            y = part["y_true"].to_numpy(np.float64)
            p = part[values].to_numpy(np.float64)
            cases.append(
                Cases(
                    split=split,
                    target=target,
                    case_id=part["case_id"].to_numpy(object),
                    patient=codes[mine].astype(np.int64),
                    n_patients=len(patients),
                    fold=part["fold"].to_numpy(np.int64),
                    y=y if question.task == "regression" else y.astype(np.int64),
                    p=p[:, 0] if question.task == "regression" else p,
                )
            )
        yield cases


def _need_columns(table: pd.DataFrame, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in table.columns:
            close = nearest(name, [str(column) for column in table.columns])
            raise InputError(f"no column {name!r}{close}", where=_WHERE, fix="name the columns as INTERFACES.md does")


def _refuse_rows(wrong: pd.Series[bool], what: str, fix: str) -> None:
    if wrong.any():
        row, count = int(np.argmax(wrong.to_numpy())) + 1, int(wrong.sum())
        more = f" (and {count - 1} more rows)" if count > 1 else ""
        raise InputError(f"{what}{more}", where=f"{_WHERE} row {row}", fix=fix)


def _refuse_values(column: pd.Series[str], allowed: tuple[str, ...], name: str) -> None:
    wrong = ~column.isin(allowed)
    if wrong.any():
        value = column[wrong].iloc[0]
        _refuse_rows(wrong, f"unknown {name} {value!r}{nearest(value, allowed)}", f"use {', '.join(allowed)}")


def _folds(table: pd.DataFrame) -> pd.Series[int]:
    if "fold" not in table.columns:
        return pd.Series(-1, index=table.index, dtype=np.int64)
    folds = pd.to_numeric(table["fold"], errors="coerce").astype(np.float64)
    _refuse_rows(
        (table["fold"].notna() & folds.isna()) | (folds % 1 != 0) & folds.notna(),
        "fold is not an integer",
        "number the folds, or write -1 for none",
    )
    return folds.fillna(-1).astype(np.int64)


def _truth(column: pd.Series[str], mine: pd.Series[bool], question: Question) -> pd.Series[float]:
    if question.task == "regression":
        number = pd.to_numeric(column, errors="coerce").astype(np.float64)
        _refuse_rows(mine & ~np.isfinite(number), "y_true is not a number", "leave out cases without a measured value")
        return number
    unknown = column.isna()
    if question.task != "multilabel":
        _refuse_rows(mine & unknown, "no y_true", "leave out cases without a reference standard")
    names = (ABSENT, PRESENT) if question.task == "multilabel" else question.classes
    text = column.astype(str)
    index = text.map({name: float(i) for i, name in enumerate(names)}).where(~unknown)
    wrong = mine & ~unknown & index.isna()
    if wrong.any():
        value = str(text[wrong].iloc[0])
        _refuse_rows(wrong, f"unknown class {value!r}{nearest(value, names)}", f"the classes are {', '.join(names)}")
    return index.astype(np.float64)


def _checked_numbers(columns: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Return the probabilities or measured values as float64, checked; the index is that of `columns`."""
    numbers: pd.DataFrame = columns.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    what = "y_pred" if question.task == "regression" else "a probability"
    for name in numbers:
        _refuse_indexed(
            ~np.isfinite(numbers[name]), f"{what} is not a finite number in {name}", "leave out cases that failed"
        )
    if question.task == "regression":
        return numbers
    for name in numbers:
        beyond = (numbers[name] < -1e-9) | (numbers[name] > 1 + 1e-9)
        _refuse_indexed(beyond, f"a probability outside 0 to 1 in {name}", "give probabilities, not scores or logits")
    _refuse_indexed(
        (numbers.sum(axis=1) - 1).abs() > SUM_TOLERANCE,
        "the probabilities do not sum to 1",
        "give the probability of every class, normalised",
    )
    return numbers.clip(0, 1)


def _refuse_indexed(wrong: pd.Series[bool], what: str, fix: str) -> None:
    if wrong.any():
        _refuse_rows(wrong.reindex(range(int(wrong.index.max()) + 1), fill_value=False), what, fix)
