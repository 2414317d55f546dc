"""What is gained by leaving the least sure cases to a person: error over the share of cases that is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from semeion.errors import InputError
from semeion.evidence.intervals.drawing import Checked, Drawn, Piece, listed
from semeion.evidence.intervals.weights import Array, Weights

GRID = np.arange(1, 101) / 100
COVERAGES = (0.5, 0.7, 0.8, 0.9, 1.0)
_WHERE = "abstaining"


def confidence_of(p: ArrayLike, call: ArrayLike) -> Array:
    """Return how sure a call is: the probability of the class that is called, ``(cases,)``.

    With calibrated probabilities that is the chance that the call is right, and leaving out the cases with the lowest
    one loses the most errors (Chow, IEEE Trans Inf Theory 16:41, 1970). At an operating point other than 0.5 the
    distance from the point is no such chance: a case that is just called positive at 0.3 is wrong in 7 of 10.

    Parameters
    ----------
    p
        Probability of every class ``(cases, classes)``; of two classes that of the positive one, ``(cases,)``, will do.
    call
        Class index of the call, ``(cases,)``.

    Returns
    -------
    numpy.ndarray
        Rounded to nine decimals, so that 0.3 and ``1 - 0.7`` are equally sure.
    """
    values, called = np.asarray(p, dtype=np.float64), np.asarray(call, dtype=np.intp)
    if values.ndim == 1:
        values = np.column_stack([1 - values, values])
    return np.asarray(np.round(values[np.arange(len(values)), called], 9))


def abstaining_piece(
    cases: Checked, call: ArrayLike, *, confidence: ArrayLike | None = None, coverages: Sequence[float] = COVERAGES
) -> Piece:
    """Return the account of the risk-coverage curve, the area under it and the error at stated coverages.

    Parameters
    ----------
    cases
        Of two classes or of several.
    call
        Class index of the call, ``(cases,)``.
    confidence
        How sure each case is, ``(cases,)``; by default :func:`confidence_of`.
    coverages
        Shares of the cases, above 0 and up to 1.

    Returns
    -------
    Piece
        To be drawn with others by :func:`semeion.evidence.intervals.drawing.draw_together`. It tells ``curve =
        {coverage, risk, low, high, confidence, method}`` at 0.01, 0.02, ..., 1, where a case at least as sure as
        ``confidence`` is answered; ``area`` and ``at``, a list of ``{coverage, error, ratio}``, ``ratio`` being the
        error among the answered over the error among all, and where `cases` are of two classes ``recall`` and
        ``specificity`` of the answered; figures are ``{value, low, high, n, n_patients, method}``.

    Raises
    ------
    InputError
        For a call or a confidence that is none, and a coverage outside 0 to 1.

    Notes
    -----
    Risk is the share of wrong calls among those answered, coverage the share answered, the surest first (El-Yaniv and
    Wiener, JMLR 11:1605, 2010). Cases equally sure are answered together, so at a coverage of c the fewest cases are
    answered that make up at least c; a resample ranks anew. The area is the mean over cases of the risk down to each,
    equally sure ones counting alike (without ties: Geifman, Uziel and El-Yaniv, ICLR 2019); 0 is best, and a confidence
    that says nothing has the error over all cases.
    """
    called = np.asarray(call, dtype=np.float64)
    classes = 2 if cases.p.ndim == 1 else cases.p.shape[1]
    if called.shape != (len(cases),) or not np.isin(called, np.arange(classes)).all():
        raise InputError("not one call, a class index, a case", where=_WHERE, fix="call every case")
    sure = confidence_of(cases.p, called) if confidence is None else np.asarray(confidence, dtype=np.float64)
    if sure.shape != (len(cases),) or not np.isfinite(sure).all():
        raise InputError("not one finite confidence a case", where=_WHERE, fix="say how sure each case is")
    stated = np.asarray(coverages, dtype=np.float64)
    if stated.ndim != 1 or not ((stated > 0) & (stated <= 1)).all():
        raise InputError("a coverage is not above 0 and up to 1", where=_WHERE, fix="give shares, for example 0.8")
    order = np.argsort(-sure, kind="stable")
    wrong = (called != cases.y)[order].astype(np.float64)
    ends = np.flatnonzero(np.append(np.diff(sure[order]) < 0, True))
    starts = np.append(0, ends[:-1] + 1)
    wanted = np.append(GRID, stated)

    binary = cases.p.ndim == 1
    right = 1 - wrong
    # Of two classes: what is summed for sensitivity and specificity of the answered.
    sides = [(cases.y[order] == one).astype(np.float64) for one in (1, 0)] if binary else []
    later = slice(len(GRID), len(wanted))

    def compute(weights: Weights) -> Array:
        ordered = np.take(weights, order, axis=1)
        errors = ordered * wrong
        among = [ordered * side for side in sides]
        hits = [one * right for one in among]
        if len(ends) < len(order):
            ordered, errors = np.add.reduceat(ordered, starts, axis=1), np.add.reduceat(errors, starts, axis=1)
            among, hits = ([np.add.reduceat(one, starts, axis=1) for one in part] for part in (among, hits))
        answered = np.cumsum(ordered, axis=1)
        # Where nothing has been answered yet there is nothing wrong, and no coverage asks for it.
        risk = np.cumsum(errors, axis=1) / np.maximum(answered, 1e-300)
        total = answered[:, -1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            area = np.einsum("ij,ij->i", ordered, risk)[:, None] / total
            shares = [np.cumsum(hit, axis=1) / np.cumsum(one, axis=1) for hit, one in zip(hits, among, strict=True)]
        at = np.full((len(weights), len(wanted)), np.nan)
        each = np.full((len(weights), len(sides), len(stated)), np.nan)
        for row in np.flatnonzero(total[:, 0] > 0):
            first = np.searchsorted(answered[row], wanted * total[row] * (1 - 1e-12), side="left")
            at[row] = risk[row, first]
            for k, share in enumerate(shares):
                each[row, k] = share[row, first[later]]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = at[:, later] / risk[:, -1:]
        ratio[~np.isfinite(ratio)] = np.nan
        return np.hstack([at, area, ratio, each.reshape(len(weights), -1)])

    def tell(drawn: Drawn) -> dict[str, Any]:
        k = len(GRID)
        first = np.searchsorted(ends + 1, wanted * len(order) * (1 - 1e-12), side="left")
        curve: dict[str, Any] = {"coverage": GRID.tolist(), "risk": listed(drawn.values[:k])}
        curve |= drawn.band(0, k, least=0, most=1)
        curve["confidence"] = sure[order][ends][first[:k]].tolist()
        curve["method"] = "surest cases first, equally sure ones together; percentile bootstrap over patients"
        told = []
        for place, coverage in enumerate(stated):
            answered = np.zeros(len(order), dtype=np.bool_)
            answered[order[: ends[first[k + place]] + 1]] = True
            column = len(wanted) + 1 + place
            one = {"coverage": float(coverage), "error": drawn.share(k + place, called != cases.y, answered)}
            how = "error among the answered over the error among all"
            one["ratio"] = drawn.entry(column, how=how, undefined="no call is wrong")
            for side, name in enumerate(("recall", "specificity")[: len(sides)]):
                among = answered & (cases.y == 1 - side)
                column += len(stated)
                one[name] = drawn.share(column, called == cases.y, among, undefined="none is answered")
            told.append(one)
        area = drawn.entry(len(wanted), how="mean over cases of the error down to each")
        return {"curve": curve, "area": area, "at": told}

    return Piece(compute, tell)
