"""How common a class is among cases without labels, from calibrated probabilities.

The probabilities were calibrated where the classes had other shares. When only these shares changed (label shift), the
new ones and the probabilities that fit them are found together by expectation and maximisation (Saerens, Latinne and
Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori probabilities", equation 2.9).
"""

from __future__ import annotations

import numpy as np

from semeion.monitor.bins import Floats

RESAMPLES = 200
_STEPS = 200
_TOLERANCE = 1e-6
_MOST = 2000


def estimate(p: Floats, trained: Floats, weights: Floats | None = None) -> Floats:
    """Return the shares of the classes, ``(resamples, classes)``.

    Parameters
    ----------
    p
        Probabilities ``(cases, classes)``.
    trained
        Shares of the classes where they were calibrated, ``(classes,)``, none of them 0.
    weights
        How often each case counts, ``(resamples, cases)``; None: once.
    """
    counted = np.ones((1, len(p))) if weights is None else weights
    counted = counted / counted.sum(axis=1, keepdims=True)
    ratio = np.clip(p, 1e-12, None) / trained
    shares = np.repeat(trained[None], len(counted), axis=0)
    for _ in range(_STEPS):
        # One step: each case's probabilities under the present shares, and the mean of them.
        under = shares @ ratio.T
        moved = shares * ((counted / under) @ ratio)
        moved /= moved.sum(axis=1, keepdims=True)
        done = float(np.abs(moved - shares).max()) < _TOLERANCE
        shares = moved
        if done:
            break
    return np.asarray(shares)


def with_interval(p: Floats, trained: Floats, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return the shares of the classes and the ends of their 95 % percentile intervals over cases, ``(classes,)`` each.

    Of more than two thousand cases the resamples are of two thousand, and the interval is narrowed by the root of the
    ratio.
    """
    random = np.random.default_rng(seed)
    own = estimate(p, trained)[0]
    n = min(len(p), _MOST)
    chosen = p[random.permutation(len(p))[:n]]
    drawn = random.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)
    found = estimate(chosen, trained, drawn)
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    middle, narrow = found.mean(axis=0), np.sqrt(n / len(p))
    return (
        own,
        np.clip(np.minimum(own + (low - middle) * narrow, own), 0, 1),
        np.clip(np.maximum(own + (high - middle) * narrow, own), 0, 1),
    )
