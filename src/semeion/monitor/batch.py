"""What came in during a period against the training cases: the three usual comparisons, with p-values that hold.

PSI is compared with what it is when cases of both sides are dealt out anew (permutation), since its rules of thumb
(0.1, 0.25) mean nothing for few cases. KS uses the shipped edges, so it is the largest difference at an edge and at
most the statistic of Kolmogorov and Smirnov; its asymptotic p-value is then too large rather than too small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semeion.monitor.bins import Floats, Index

DEALS = 499
_ENOUGH = 10
"""Deals at least as large as the statistic from which on their share is the p-value."""


def psi(expected: Index, found: Index) -> float:
    """Return the population stability index of two rows of counts.

    ``sum((q - p) log(q / p))`` over places, p and q the shares with half a case added at every place (Yurdakul and
    Naranjo 2020, "Statistical properties of the population stability index"; Jeffreys' addition keeps it finite).
    """
    return float(_psi(expected.astype(np.float64)[None], found.astype(np.float64)[None])[0])


def _psi(expected: Floats, found: Floats) -> Floats:
    p, q = ((one + 0.5) / (one + 0.5).sum(axis=1, keepdims=True) for one in (expected, found))
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=1))


def psi_test(expected: Index, found: Index, random: np.random.Generator) -> tuple[float, float, float]:
    """Return PSI, its p-value, and the value that it stays below in 95 of 100 cases without change.

    Cases of both sides are dealt out anew :data:`DEALS` times. Where fewer than ten deals reach the statistic the tail
    is that of a gamma distribution with the mean and the variance of the deals (the Pearson type III approximation of
    Mielke and Berry 2007, *Permutation Methods*, section 2.3).
    """
    from scipy.stats import gamma

    used = (expected + found) > 0
    before, now = expected[used], found[used]
    own = psi(before, now)
    if used.sum() < 2:
        return own, 1.0, own
    pooled = before + now
    dealt = random.multivariate_hypergeometric(pooled, int(now.sum()), size=DEALS, method="marginals")
    under = _psi((pooled - dealt).astype(np.float64), dealt.astype(np.float64))
    reached = int((under >= own - 1e-12).sum())
    limit = float(np.quantile(under, 0.95))
    share = (reached + 1) / (DEALS + 1)
    if reached >= _ENOUGH or under.var() <= 0:
        return own, share, limit
    scale = under.var() / under.mean()
    return own, min(share, float(gamma.sf(own, under.mean() / scale, scale=scale))), limit


def ks_test(expected: Index, found: Index) -> tuple[float, float]:
    """Return the largest difference of the cumulative shares at the edges, and its asymptotic p-value (two sides)."""
    from scipy.stats import kstwobign

    before, now = expected.cumsum() / expected.sum(), found.cumsum() / found.sum()
    far = float(np.abs(before - now).max())
    n = expected.sum() * found.sum() / (expected.sum() + found.sum())
    return far, float(kstwobign.sf(far * np.sqrt(n)))


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in their order (Holm 1979)."""
    given = np.asarray(p, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    steps = np.maximum.accumulate(given[order] * (len(given) - np.arange(len(given))))
    adjusted = np.empty(len(given))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(one) for one in adjusted]
