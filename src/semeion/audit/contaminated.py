"""How many labels are wrong: a share of labels that have nothing to do with how sure a model is.

A hard case lies where a model hesitates; the surer it is, the rarer its errors, however far its probabilities are off.
A wrong label is put on any case, easy ones too. So where labels contradict a model as often where it is surest as
anywhere, labels are wrong. Counting what its probabilities foretell finds nothing when the model was calibrated on such
labels: they then foretell as many contradictions as there are, and only put them where the model hesitates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MOST_CASES = 20_000
"""Of more cases so many are drawn: a share of 1 % is known to a tenth of itself from them."""
MOST_SHARE = 0.45
"""Beyond, one cannot tell labels from their opposites."""
CHANCE = 1.96
"""Standard errors of the lower limit."""
_STEEPEST = 50.0
_FURTHEST = 30.0
_STARTS = ((1.0, 0.01), (1.0, 0.1), (4.0, 0.1), (1.0, 0.3))


@dataclass(frozen=True)
class WrongShare:
    """An estimate of the share of wrong labels.

    Attributes
    ----------
    share, low
        With its lower 95 % limit, by profile likelihood.
    gain
        Log likelihood gained over no wrong label.
    """

    share: float
    low: float
    gain: float


def wrong_share(y: Codes, p: Floats, *, crowd: float = 1.0, seed: int = 0) -> WrongShare:
    """Estimate the share of labels that are wrong, with the model recalibrated at the same time.

    A label is drawn from the recalibrated probabilities, ``softmax(slope log p + offset of the class)``, with chance
    ``1 - share``, and else is any other class: logistic regression with contaminated labels (Copas, J R Stat Soc B
    50:225, 1988; misclassified ones, Hausman, Abrevaya and Scott-Morton, J Econometrics 87:239, 1998). Slope, offsets
    and share are those of the greatest likelihood; without a share of wrong labels slope and offsets are free too, so
    that a model which is too sure of itself, or not sure enough, is not taken for wrong labels.

    Parameters
    ----------
    y
        Class codes, ``(cases,)``.
    p
        Probabilities, ``(cases, classes)``.
    crowd
        Mean number of cases a patient: the likelihood is taken to that root, as if a patient's cases were all alike.
    seed
        Of the draw, where there are very many cases.
    """
    if len(y) > MOST_CASES:
        rows = np.sort(np.random.default_rng(seed).permutation(len(y))[:MOST_CASES])
        y, p = y[rows], p[rows]
    log_p = np.log(np.clip(p, 1e-6, None))
    classes = p.shape[1]
    none, at = _fitted(y, log_p, 0.0, [np.r_[1.0, np.zeros(classes - 1)]])
    starts = [np.r_[slope, np.zeros(classes - 1), share] for slope, share in _STARTS] + [np.r_[at, 0.001]]
    best, found = _fitted(y, log_p, None, starts)
    share, gain = float(found[-1]), max(best - none, 0.0) / crowd
    if 2 * gain <= CHANCE**2:
        return WrongShare(share if gain > 0 else 0.0, 0.0, gain)
    low, high, near = 0.0, share, found[:-1]
    for _ in range(16):
        middle = (low + high) / 2
        value, near = _fitted(y, log_p, middle, [near, at])
        low, high = (low, middle) if 2 * (best - value) / crowd < CHANCE**2 else (middle, high)
    return WrongShare(share, (low + high) / 2, gain)


def _fitted(y: Codes, log_p: Floats, share: float | None, starts: list[Floats]) -> tuple[float, Floats]:
    """Return the greatest log likelihood, where it lies (slope, offsets and the share unless given)."""
    from scipy.optimize import minimize

    n, classes = log_p.shape
    rows = np.arange(n)

    def loss(at: Floats) -> tuple[float, Floats]:
        wrong = float(at[classes]) if share is None else share
        z = at[0] * log_p + np.concatenate([[0.0], at[1:classes]])
        z -= z.max(axis=1, keepdims=True)
        q = np.exp(z)
        q /= q.sum(axis=1, keepdims=True)
        own = q[rows, y]
        mixed = np.maximum((1 - wrong) * own + wrong * (1 - own) / (classes - 1), 1e-300)
        pull = ((1 - wrong) - wrong / (classes - 1)) * own / mixed
        each = -pull[:, None] * q
        each[rows, y] += pull
        slopes: list[Any] = [(each * log_p).sum(), *each.sum(axis=0)[1:]]
        if share is None:
            slopes.append((((1 - own) / (classes - 1) - own) / mixed).sum())
        return -float(np.log(mixed).sum()), -np.array(slopes, dtype=np.float64)

    bounds = [(0.0, _STEEPEST)] + [(-_FURTHEST, _FURTHEST)] * (classes - 1)
    bounds += [(0.0, MOST_SHARE)] if share is None else []
    found = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds) for start in starts]
    best = min(found, key=lambda one: float(one.fun))
    return -float(best.fun), np.asarray(best.x, dtype=np.float64)


def standard_errors(estimate: WrongShare) -> float:
    """Return by how many standard errors the share differs from none: the root of twice the gain (Wilks)."""
    return math.sqrt(2 * estimate.gain)
