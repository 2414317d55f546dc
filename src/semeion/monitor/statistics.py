"""Which statistics a model in service is watched by, and their values: of cases in a log, and of training cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semeion.model.codes import strongest
from semeion.model.combine import called
from semeion.monitor.asks import Asks
from semeion.monitor.baseline import Family
from semeion.monitor.bins import Floats
from semeion.monitor.facts import INPUTS
from semeion.monitor.features import DISTANCE
from semeion.monitor.logfile import probability_columns

MOST_CLASSES = 20
MOST_FEATURES = 8
"""Directions of the features that are watched one by one; the discrepancy sees all."""
YES_NO = (0.5,)
ABSTAINED = "abstained"


@dataclass(frozen=True)
class Values:
    """One statistic of cases.

    Attributes
    ----------
    family
        What it tells of.
    values
        ``(cases,)``; NaN where a case has none.
    counts
        Which cases count, bool ``(cases,)``: a missing spacing is something to be told, missing probabilities of a
        failed case are not.
    edges
        Of a statistic whose few values are known beforehand.
    """

    family: Family
    values: Floats
    counts: npt.NDArray[np.bool_]
    edges: tuple[float, ...] | None = None


def statistics_of(
    numbers: Mapping[str, Floats],
    asks: Asks,
    *,
    status: npt.NDArray[np.object_] | None = None,
    reasons: npt.NDArray[np.object_] | None = None,
) -> dict[str, Values]:
    """Return every statistic by its name, in the order in which they are told.

    Parameters
    ----------
    numbers
        By the columns of a log; those that are absent give no statistic.
    asks
        The model: its classes and operating point.
    status
        Of each case; None: none failed.
    reasons
        Codes of each case, ``;`` between; None: not known, so that whether cases were set aside is no statistic.
    """
    length = len(next(iter(numbers.values()))) if numbers else 0
    read = np.ones(length, dtype=bool) if status is None else status != "failed"
    found = {
        name: Values("inputs", numbers[name], read if name.startswith("spacing") else read & _known(numbers[name]))
        for name in INPUTS
        if name in numbers
    }
    for name in (*(f"feature_{number}" for number in range(MOST_FEATURES)), DISTANCE):
        if name in numbers:
            found[name] = Values("features", numbers[name], _known(numbers[name]))
    found |= _answers(numbers, asks)
    if reasons is not None:
        each = {codes: float(set_aside(codes)) for codes in set(reasons.tolist())}
        away = np.array([each[codes] for codes in reasons.tolist()], dtype=np.float64)
        found[ABSTAINED] = Values("abstained", away, read, YES_NO)
    return found


def set_aside(codes: str) -> bool:
    """Say whether a case was kept from a call by the input gate, by its distance or by the members' disagreement.

    What sets of classes say follows from the probabilities, which are watched themselves.
    """
    of_sets = ("no-class-fits", "cannot-tell")
    own = [code for code in codes.split(";") if code and code not in of_sets]
    return strongest(own) in ("not_applicable", "unsure")


def probabilities(numbers: Mapping[str, Floats], asks: Asks) -> Floats | None:
    """Return the probabilities ``(cases, classes)``, of a multi-label model that each label is present.

    NaN where a case has none, None where the model has none.
    """
    names = probability_columns(asks)
    if not names or any(name not in numbers for name in names):
        return None
    return np.stack([numbers[name] for name in names], axis=1)


def features_of(numbers: Mapping[str, Floats]) -> Floats:
    """Return the projected features, ``(cases, width)``."""
    names = [name for name in numbers if name.startswith("feature_") and name != DISTANCE]
    length = len(next(iter(numbers.values()))) if numbers else 0
    return np.stack([numbers[name] for name in names], axis=1) if names else np.zeros((length, 0))


def _answers(numbers: Mapping[str, Floats], asks: Asks) -> dict[str, Values]:
    """Return what the model says: probabilities or the value, and what it would call, whether or not it abstains."""
    if asks.task == "regression":
        value = numbers.get("value")
        return {} if value is None else {"value": Values("probabilities", value, _known(value))}
    p = probabilities(numbers, asks)
    if p is None:
        return {}
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(p).all(axis=1))
    classes = list(asks.classes)
    columns = list(zip(probability_columns(asks), classes, strict=True))
    if asks.task == "binary":
        columns = [one for one in columns if one[1] == asks.positive]
    found = {name: Values("probabilities", numbers[name], known) for name, _ in columns[:MOST_CLASSES]}
    calls = np.full((len(p), len(classes)), np.nan)
    if known.any():
        said = called(p[known], asks.task, tuple(classes), asks.positive, asks.operating_point)
        calls[known] = said if asks.task == "multilabel" else np.eye(len(classes))[said]
    for place, one in enumerate(classes):
        if one in {name for _, name in columns[:MOST_CLASSES]}:
            found[f"called {one}"] = Values("prevalence", calls[:, place], known, YES_NO)
    return found


def _known(values: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(values))
