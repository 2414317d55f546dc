"""Makes what a model ships for reading values: where those of the learning cases lie, class by class.

Every shipped number is shared by at least five patients: a quantile is the mean of the five patients' values around it,
and is left out where fewer than two lie on either side of it; a share is one of five patients or more, and as many or
none are without the level. Of a group of fewer than ten patients nothing is told.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from semeion.cohort.cohort import Cohort
from semeion.cohort.words import presence
from semeion.model.values import (
    LEAST_PATIENTS,
    SHARES,
    Numbers,
    Share,
    Shares,
    ValueColumn,
    ValueReference,
    group_names,
)
from semeion.prepare.covariate_fit import covariate_rows
from semeion.prepare.covariates import LEAST_PATIENTS as SHARED
from semeion.prepare.covariates import Column, number_of, same, text_of
from semeion.study.inspect import labels

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
T = TypeVar("T")
LARGEST = 1e30
"""Numbers are cut here: no file holds a larger one."""


def covariate_reference(cohort: Cohort, learned: Rows, columns: Sequence[Column]) -> ValueReference:
    """Return where the covariates of the cases that were learned from lie; `columns` are the model's inputs."""
    groups = group_rows(labels(cohort)[learned], cohort.target.task, cohort.target.classes)
    patients = cohort.table["patient_id"].iloc[learned].tolist()
    values = covariate_rows(cohort, [column.name for column in columns], learned)
    return ValueReference(
        groups=list(groups), columns=[_covariate(column, values[column.name], patients, groups) for column in columns]
    )


def measured_values(
    x: Floats,
    names: Sequence[str],
    words: Mapping[str, tuple[str, str]],
    y: Floats,
    patients: Sequence[Any],
    task: str,
    classes: Sequence[str],
) -> ValueReference:
    """Return where measurements lie.

    Parameters
    ----------
    x
        ``(N, F)`` of cases that were learned from, of masks drawn as they will be in use; NaN where one could not be
        taken.
    names, words
        Of the columns, and the title and unit of each.
    y, patients
        Class index and patient of each case.
    task, classes
        The question.
    """
    groups = group_rows(y, task, classes)
    columns = []
    for name, column in zip(names, x.T, strict=True):
        told = {group: _numbers(column, rows, patients) for group, rows in groups.items()}
        title, unit = words[name]
        columns.append(ValueColumn(name=name, title=title[:200], unit=unit[:40], numbers=_known(told)))
    return ValueReference(groups=list(groups), columns=columns)


def group_rows(y: Floats, task: str, classes: Sequence[str]) -> dict[str, Rows]:
    """Return the rows of each group of :func:`semeion.model.values.group_names`; unknown labels are in none."""
    names = group_names(task, classes)
    if task == "multilabel":
        each = [np.flatnonzero(y[:, label] == present) for label in range(len(classes)) for present in (1, 0)]
    elif classes:
        each = [np.flatnonzero(y == index) for index in range(len(classes))]
    else:
        each = [np.flatnonzero(np.isfinite(y))]
    return {name: rows.astype(np.int64) for name, rows in zip(names, each, strict=True)}


def shared_quantiles(each: Floats) -> dict[Share, float]:
    """Return quantiles of sorted numbers, one a patient, by per cent.

    Each is the mean of the five numbers around the quantile; where these would reach over an end it is left out, as is
    the 5th percentile of fewer than 31 patients.
    """
    half = SHARED // 2
    found: dict[Share, float] = {}
    for share in SHARES:
        # Alike at both ends: counted from the nearer one.
        inside = math.floor(min(float(share), 100 - float(share)) / 100 * (len(each) - 1) + 0.5)
        middle = inside if float(share) <= 50 else len(each) - 1 - inside
        if half <= middle < len(each) - half:
            found[share] = float(f"{each[middle - half : middle + half + 1].mean():.4g}")
    return found


def _covariate(
    column: Column, values: Sequence[Any], patients: Sequence[Any], groups: Mapping[str, Rows]
) -> ValueColumn:
    if column.kind == "number":
        numbers = np.array([math.nan if (one := number_of(value)) is None else one for value in values])
        told = {group: _numbers(numbers, rows, patients) for group, rows in groups.items()}
        return ValueColumn(name=column.name, title=column.name, numbers=_known(told))
    names = {same(name): name for name in (column.levels if column.kind == "levels" else ())}
    texts = [_level(value, names) for value in values]
    shared = {group: _shares(texts, rows, patients) for group, rows in groups.items()}
    return ValueColumn(name=column.name, title=column.name, shares=_known(shared))


def _level(value: Any, names: Mapping[str, str]) -> str | None:
    """Return the level of a cell as the model names it, yes or no where it names none, ``(other)``, or None."""
    text = text_of(value)
    if text is None:
        return None
    if not names and (said := presence(text)) is not None:
        return "yes" if said else "no"
    return names.get(same(text), "(other)")


def _known(told: Mapping[str, T | None]) -> dict[str, T]:
    return {group: one for group, one in told.items() if one is not None}


def _numbers(values: Floats, rows: Rows, patients: Sequence[Any]) -> Numbers | None:
    own: dict[Any, list[float]] = defaultdict(list)
    for row in rows:
        if math.isfinite(values[row]):
            own[patients[row]].append(float(values[row]))
    if len(own) < LEAST_PATIENTS:
        return None
    each = np.clip([float(np.mean(one)) for one in own.values()], -LARGEST, LARGEST)
    return Numbers(n=len(own), quantiles=shared_quantiles(np.sort(each)))


def _shares(texts: Sequence[str | None], rows: Rows, patients: Sequence[Any]) -> Shares | None:
    who: dict[str, set[Any]] = defaultdict(set)
    everyone = set()
    for row in rows:
        text = texts[row]
        if text is not None:
            who[text].add(patients[row])
            everyone.add(patients[row])
    n = len(everyone)
    if n < LEAST_PATIENTS:
        return None
    # Of a patient with several cases there may be several levels: those without a level must not be few either.
    told = {
        level: own
        for level, own in who.items()
        if len(own) >= SHARED and not 0 < n - len(own) < SHARED and level != "(other)"
    }
    # What is left must not be a few patients either: from all other shares theirs would follow.
    while told and 0 < len(everyone - set().union(*told.values())) < SHARED:
        del told[min(told, key=lambda level: (len(told[level]), level))]
    return Shares(n=n, shares={level: round(len(own) / n, 3) for level, own in sorted(told.items())})
