"""Whether a stream of cases is still like the training cases, asked after every case, with one rate of false alarms.

Every statistic becomes a stream of conformal p-values: the rank of the new case among the training cases and all cases
before it. While nothing changes they are independent and uniform, whatever the statistic's distribution (Vovk,
Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2nd ed. 2022, section 2.2 and chapter 8); ties, and so
bins, are broken at random. Capital is bet against their being uniform. While nothing changes it is a martingale that
begins with 1, and ever reaches ``1 / a`` with a probability of at most ``a`` (Ville 1939). A change makes it grow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from semeion.monitor.bins import Bins, Floats, Index

POWERS = (0.35, 0.65)
"""Bets are ``k x ** (k - 1)`` on p, on 1 - p, on the distance from both ends, and on that from the middle: the power
martingales of Vovk, Nouretdinov and Gammerman (2003), "Testing exchangeability on-line", section 4."""
SPLITS = (0.25, 0.5, 0.75)
MOVED = 1.0
"""Further bets are densities of two pieces: the odds of p above a split are e ** 1 times larger or smaller than they
should be, which is what another mix of classes does."""
EVERY = 10
"""Cases after which a share of the capital that waits begins to bet: a change may come late. Share k of all is
``1 / ((k + 1) (k + 2))``, which together is 1."""
_LEAST = 1e-12
_AT_ONCE = 4096


def conformal_p(bins: Bins, places: Index, random: np.random.Generator) -> Floats:
    """Return the smoothed p-value of each case of a stream, ``(cases,)``; each case joins those it is compared with.

    Parameters
    ----------
    bins
        The training cases.
    places
        Of the cases in the order of their time, from :meth:`Bins.place`.
    random
        Breaks ties.
    """
    ties = random.uniform(size=len(places))
    p = np.empty(len(places))
    before = bins.counts.astype(np.int64)
    for start in range(0, len(places), _AT_ONCE):
        own = places[start : start + _AT_ONCE]
        rows = np.arange(len(own))
        came = np.zeros((len(own), len(before)), dtype=np.int64)
        came[rows, own] = 1
        counts = before + came.cumsum(axis=0)  # with the case itself, which is one of those with which it ties
        tied = counts[rows, own]
        above = counts.sum(axis=1) - counts.cumsum(axis=1)[rows, own]
        p[start : start + len(own)] = (above + ties[start : start + len(own)] * tied) / counts.sum(axis=1)
        before = counts[-1]
    return p


def log_capital(p: npt.ArrayLike) -> Floats:
    """Return the logarithm of the capital after each p-value, ``(cases,)``.

    The capital is the mean over bets and over the case from which they are made, so it is a martingale itself.
    """
    given = np.clip(np.asarray(p, dtype=np.float64), _LEAST, 1 - _LEAST)
    gains = np.concatenate([_powers(given), _pieces(given)], axis=1)
    # A bet that begins with case s has won exp(G_t - G_(s-1)) by case t, G being the sums of its gains. So the capital
    # of all that began so far is exp(G_t) times a sum over beginnings that only grows.
    sums = np.cumsum(gains, axis=0)
    begun = np.arange(0, len(given), EVERY)
    number = begun // EVERY
    share = -np.log((number + 1.0) * (number + 2.0)) - np.log(gains.shape[1])
    earlier = np.concatenate([np.zeros((1, gains.shape[1])), sums[begun[1:] - 1]]) if len(begun) else sums
    stakes = np.logaddexp.accumulate(share[:, None] - earlier, axis=0)
    which = np.arange(len(given)) // EVERY
    own = np.logaddexp.reduce(sums + stakes[which], axis=1)
    return np.asarray(np.logaddexp(own, -np.log(which + 2.0)))


def _powers(p: Floats) -> Floats:
    """Return what the power bets win at each p-value, as logarithms, ``(cases, bets)``."""
    outer = 2 * np.minimum(p, 1 - p)
    views = np.stack([p, 1 - p, outer, np.clip(1 - outer, _LEAST, None)], axis=1)
    return np.concatenate([np.log(power) + (power - 1) * np.log(views) for power in POWERS], axis=1)


def _pieces(p: Floats) -> Floats:
    """Return what the bets of two pieces win at each p-value, as logarithms, ``(cases, bets)``."""
    gains = []
    for split in SPLITS:
        for moved in (-MOVED, MOVED):
            above = 1 / (1 + split / (1 - split) * np.exp(-moved))
            gains.append(np.where(p > split, np.log(above / (1 - split)), np.log((1 - above) / split)))
    return np.stack(gains, axis=1)


def first_alarm(capital: Floats, level: float, fewest: int) -> int | None:
    """Return the number of cases after which the capital first reached ``1 / level``; None where it never did.

    No alarm is raised by fewer than `fewest` cases.
    """
    reached = np.flatnonzero(capital[fewest - 1 :] >= -np.log(level)) if len(capital) >= fewest else np.zeros(0)
    return int(reached[0]) + fewest if len(reached) else None


def shares(level: float, streams: int) -> Sequence[float]:
    """Return a level for each of streams that are met one after the other, however many there will be; they sum to at
    most `level`.
    """
    return [level / ((number + 1) * (number + 2)) for number in range(streams)]
