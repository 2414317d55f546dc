"""What stands in the cells of another tool's table of predictions: text, numbers and probabilities, checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semeion.errors import InputError
from semeion.evidence.foreign.columns import listed

Array = NDArray[np.float64]
ROUNDING = 1e-6
"""How far beyond 0 or 1 a probability may lie before it is no rounding: the resolution of a float32, with room."""
_MOST_DECIMALS = 7
_PERCENT = "divide them by 100: probabilities are from 0 to 1"
_ABSENT = ("", "nan", "na", "n/a", "none", "null")
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)(\.0*)?")
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")


def rows_of(index: pd.Index[Any], wrong: NDArray[np.bool_]) -> str:
    """Return ``row 3`` or ``rows 3, 17``: where `wrong` holds, by the table's own numbering."""
    found = index[wrong].tolist()
    return f"{'row' if len(found) == 1 else 'rows'} {listed(found)}"


def text_of(column: pd.Series[Any], missing: frozenset[str]) -> pd.Series[str]:
    """Return a column as text without blanks around it; whole numbers lose their fraction, what is not known is NaN.

    Parameters
    ----------
    column
        Of any type.
    missing
        How people write that a value is not known, in lower case.
    """
    if column.dtype.kind == "f":
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        whole = np.isfinite(values) & (values % 1 == 0) & (np.abs(values) < 1e15)
        text = column.astype("str").astype(object)
        text[whole] = values[whole].astype(np.int64).astype(str)
        text = text.astype("str")
    else:
        text = column.astype("str")
    text = text.str.strip()
    return text.mask(column.isna() | text.str.lower().isin(missing))


def codes_of(text: pd.Series[str]) -> pd.Series[str]:
    """Return whole numbers without a fraction (``1.0`` is ``1``) where every known value is one."""
    distinct = [str(value) for value in text.dropna().unique()]
    if distinct and all(_WHOLE.fullmatch(value) for value in distinct):
        return text.map({value: str(int(float(value))) for value in distinct}, na_action="ignore").astype("str")
    return text


def numbers_of(column: pd.Series[Any], what: str, where: str, notes: list[str]) -> Array:
    """Return a column as finite numbers, one a row.

    Parameters
    ----------
    column
        Numbers, or text that holds them; decimal commas are read as points when every cell fits, and a note says so.
    what
        What the column holds, for messages: ``probability``.
    where, notes
        The table's name; takes sentences.

    Raises
    ------
    InputError
        Where a cell is empty, no number, or not finite.
    """
    name = str(column.name)
    if column.dtype.kind in "iufb":
        numbers = column.astype(np.float64)
        absent = column.isna()
    else:
        text = column.astype("str").str.strip()
        absent = column.isna() | text.str.lower().isin(_ABSENT)
        known = ~absent
        numbers = pd.to_numeric(text.where(known), errors="coerce").astype(np.float64)
        lost = known & numbers.isna()
        commas = text.str.fullmatch(_COMMA.pattern)
        if lost.any() and bool((commas | ~lost).all()):
            numbers = numbers.fillna(pd.to_numeric(text.where(commas).str.replace(",", "."), errors="coerce"))
            notes.append(f"{name}: decimal commas are read as points.")
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    if absent.any():
        raise InputError(
            f"no {what} ({name}) in {rows_of(column.index, absent.to_numpy(dtype=np.bool_))}",
            where=where,
            fix=f"leave out the cases {'without one' if what == 'truth' else 'on which the model failed'}, and report "
            "how many they are",
        )
    wrong = np.isnan(values)
    if wrong.any():
        first = str(column[wrong].iloc[0])
        percent = first.strip().endswith("%")
        raise InputError(
            f"{name} {first!r} is no number, in {rows_of(column.index, wrong)}",
            where=where,
            fix=f"remove the percent signs and {_PERCENT}" if percent else "correct it, or name another column",
        )
    if np.isinf(values).any():
        raise InputError(
            f"{name} is infinite in {rows_of(column.index, np.isinf(values))}",
            where=where,
            fix="give probabilities, not logits or odds" if what == "probability" else "correct it",
        )
    return np.asarray(values, dtype=np.float64)


def probabilities_of(
    table: pd.DataFrame, columns: Sequence[str], where: str, notes: list[str], *, sum_to_one: bool
) -> Array:
    """Return columns of probabilities, ``(cases, columns)``.

    Parameters
    ----------
    table, columns
        Where they stand.
    where, notes
        The table's name; takes sentences on what was done to the numbers.
    sum_to_one
        Whether each row holds the probabilities of all classes. What the rounding of the decimals explains is divided
        by the sum, and a note says so.

    Raises
    ------
    InputError
        Where a cell is no number, a probability lies outside 0 to 1 by more than rounding, or a row does not sum to 1.
    """
    values = np.column_stack([numbers_of(table[name], "probability", where, notes) for name in columns])
    _refuse_beyond(values, table.index, columns, where)
    values = np.clip(values, 0.0, 1.0)
    if sum_to_one:
        values = _normalised(values, table.index, where, notes)
    for name, column in zip(columns, values.T, strict=True):
        distinct = np.unique(column[:1000]) if len(column) > 1000 else np.unique(column)
        if len(distinct) == 1 and (column == distinct[0]).all():
            notes.append(
                f"{name} is {distinct[0]:g} in every row: the cases are not ranked, so AUROC is 0.5, and no "
                "calibration slope fits."
            )
        elif np.isin(distinct, (0.0, 1.0)).all() and np.isin(column, (0.0, 1.0)).all():
            notes.append(
                f"{name} holds nothing but 0 and 1: these are calls and no probabilities, so the ROC curve has one "
                "corner and calibration says little."
            )
    return values


def _refuse_beyond(values: Array, index: pd.Index[Any], columns: Sequence[str], where: str) -> None:
    beyond = (values < -ROUNDING) | (values > 1 + ROUNDING)
    if not beyond.any():
        return
    row, column = (int(part[0]) for part in np.nonzero(beyond))
    percent = bool((values >= 0).all() and (values <= 100 + 1e-6).all() and values.max() > 2)
    hint = ", and looks like percent" if percent else ""
    rows = rows_of(index, np.asarray(beyond.any(axis=1)))
    raise InputError(
        f"{columns[column]} is {values[row, column]:g}, outside 0 to 1{hint}, in {rows}",
        where=where,
        fix=_PERCENT if percent else "give probabilities, not scores or logits (their sigmoid or softmax)",
    )


def _normalised(values: Array, index: pd.Index[Any], where: str, notes: list[str]) -> Array:
    """Divide each row by its sum where rounding explains that it is not 1."""
    sums = values.sum(axis=1)
    off = np.abs(sums - 1)
    allowed = max(2e-6, 1.001 * values.shape[1] * 0.5 * 10.0 ** -_decimals(values))
    wrong = off > allowed
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"the probabilities sum to {sums[row]:.6g} and not to 1, in {rows_of(index, wrong)}",
            where=where,
            fix="give the probability of every class; where a case may have several labels, say --task multilabel",
        )
    if off.max(initial=0.0) > 1e-9:
        notes.append(
            f"The probabilities of a case sum to 1 within {off.max():.1g}, as rounding makes them; each case's were "
            "divided by their sum."
        )
        values = values / sums[:, None]
    return values


def _decimals(values: Array) -> int:
    """Return with how many decimals, from 2 to 7, the probabilities were written."""
    for decimals in range(2, _MOST_DECIMALS):
        if np.abs(np.round(values, decimals) - values).max(initial=0.0) < 1e-9:
            return decimals
    return _MOST_DECIMALS
