"""From probabilities to the classes that a finding names: the same few lines weigh a model and run it.

A class is in the set of a case when its score, one less its probability, is at most the threshold of the class (least
ambiguous sets: Sadinle, Lei and Wasserman, JASA 114:223, 2019). What is added afterwards only makes sets larger, so the
stated coverage is kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Sets = NDArray[np.bool_]


def held_classes(p: ArrayLike, thresholds: ArrayLike) -> Sets:
    """Return whether each class is in the set of each case, ``(cases, classes)``.

    Parameters
    ----------
    p
        Probabilities ``(cases, classes)``, made as those that calibrated were.
    thresholds
        One a class, ``(classes,)``, each from 0 to 1.
    """
    return np.asarray(1 - np.asarray(p, dtype=np.float64) <= np.asarray(thresholds, dtype=np.float64))


def told_sets(sets: ArrayLike, call: ArrayLike, *, ordered: bool = False) -> Sets:
    """Return the classes that findings name, ``(cases, classes)``: nobody reads a call that its set contradicts.

    A set that holds some class gets that of the operating point as well, where it lacks it. Of ordered classes those
    between the lowest and the highest of a set belong to it. An empty set stays empty: no class fits.

    Parameters
    ----------
    sets
        From :func:`held_classes`.
    call
        Index of the class at the operating point, ``(cases,)``.
    ordered
        Whether the classes are grades.
    """
    told = np.array(sets, dtype=np.bool_)
    some = np.flatnonzero(told.any(axis=1))
    told[some, np.asarray(call, dtype=np.intp)[some]] = True
    if ordered:
        upwards = np.logical_or.accumulate(told, axis=1)
        downwards = np.logical_or.accumulate(told[:, ::-1], axis=1)[:, ::-1]
        told = upwards & downwards
    return np.asarray(told)
