"""Ways to weight the recipes of an ensemble: each takes what they told of some cases and returns their shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

BAGS = 8
"""Halves of the patients on which greedy selection is repeated; the shares are the mean."""
PICKS = 16
LIKELY = 3
SOME = 1000
WORTH = 1e-3
"""Share of the loss below which a gain is none, however sure."""
PRIOR = 5.0
"""Entries' worth of equal shares that the shares of least loss begin with."""
STEPS = 200
NEWTON = 8
LEAST_POWER, MOST_POWER = 0.1, 10.0
ENOUGH = 1e-5
"""Largest change of a share at which the steps end."""


@dataclass(frozen=True)
class Told:
    """What was told of what was seen: all that a loss of mixed predictions depends on.

    Attributes
    ----------
    told
        ``(G, E, C)``: the probabilities that each of G gave to the classes (to absent and present, of a label); or its
        error (prediction less value), C = 1. An entry is a case, or a known label of a case.
    seen
        What was seen: a place among the C, ``(E,)``; zeros of errors.
    patient, case
        Patient and case of each entry, ``(E,)``.
    mass
        How much an entry counts, ``(E,)``.
    log
        Whether `told` are probabilities: the loss is then the log loss, else the absolute error.
    """

    told: Floats
    seen: Codes
    patient: Codes
    case: Codes
    mass: Floats
    log: bool

    @property
    def cases(self) -> int:
        """Number of cases."""
        return len(np.unique(self.case))

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(np.unique(self.patient))

    @property
    def constant(self) -> bool:
        """Whether all G said the same of every entry, so that nothing distinguishes them."""
        return bool(np.ptp(self.told, axis=0).max(initial=0) < 1e-12)

    @cached_property
    def given(self) -> Floats:
        """What each of G gave to what was seen, or its error, ``(G, E)``."""
        return np.asarray(self.told[:, np.arange(len(self.seen)), self.seen])

    def plain(self, weights: Floats) -> Floats:
        """Return the loss of one mixture, weights ``(G,)``, for every entry ``(E,)``."""
        return self.loss_of(weights @ self.given)

    def loss_of(self, given: Floats) -> Floats:
        """Return the log loss of the probability of what was seen, or the absolute error."""
        return np.asarray(-np.log(given) if self.log else np.abs(given), dtype=np.float64)

    def remedy(self, weights: Floats) -> Floats:
        """Return what recalibrates a mixture best: the power its probabilities are raised to (the inverse of a
        temperature), and what is added to the logit of each class but the first, ``(C,)``.

        Platt scaling of two classes, and temperature with biases of several (Guo et al., 2017, "On calibration of
        modern neural networks"). Whatever is chosen is recalibrated afterwards: how sharp a mixture is and how often it
        says what must not decide between two.
        """
        remedy = np.zeros(self.told.shape[2])
        remedy[0] = 1.0
        if not self.log:
            return remedy
        logs, mass = self._logs(weights), self.mass
        classes = np.eye(logs.shape[1])[:, 1:]
        seen = np.hstack([logs[np.arange(len(logs)), self.seen][:, None], classes[self.seen]])
        # A little of no bias: a class without cases does not move it without end.
        hold = np.diag([1e-9, *np.full(len(remedy) - 1, 0.05)])
        for _ in range(NEWTON):
            p = _recalibrated(logs, remedy)
            mean = np.hstack([(p * logs).sum(axis=1, keepdims=True), p[:, 1:]])
            slope = (mass[:, None] * (mean - seen)).sum(axis=0) + hold @ remedy * (np.arange(len(remedy)) > 0)
            held = mass[:, None] * p
            mixed = (held * logs)[:, 1:].sum(axis=0)
            bend = np.block(
                [
                    [np.array([[(held * logs * logs).sum()]]), mixed[None]],
                    [mixed[:, None], np.diag(held[:, 1:].sum(axis=0))],
                ]
            )
            step = np.linalg.solve(bend - (mass[:, None] * mean).T @ mean + hold, slope)
            # Newton's steps on a convex function, none of them a leap.
            step *= min(
                1.0, 0.5 * remedy[0] / max(abs(step[0]), 1e-12), 2.0 / max(np.abs(step[1:]).max(initial=0), 1e-12)
            )
            remedy = remedy - step
            remedy[0] = min(max(remedy[0], LEAST_POWER), MOST_POWER)
            if np.abs(step).max() < 5e-3:
                break
        return remedy

    def recalibrated(self, weights: Floats, remedy: Floats) -> Floats:
        """Return the loss of one mixture for every entry ``(E,)`` after :meth:`remedy`."""
        if not self.log:
            return self.plain(weights)
        return self.loss_of(_recalibrated(self._logs(weights), remedy)[np.arange(len(self.seen)), self.seen])

    def fitted(self, weights: Floats) -> Floats:
        """Return the loss of one mixture for every entry, after the remedy that suits these entries."""
        return self.recalibrated(weights, self.remedy(weights))

    def _logs(self, weights: Floats) -> Floats:
        return np.asarray(np.log(np.tensordot(weights, self.told, axes=1)))

    def mean(self, loss: Floats) -> float:
        """Return the mean of losses ``(E,)`` by mass."""
        return float(loss @ self.mass / self.mass.sum())

    def rows(self, chosen: npt.NDArray[np.bool_]) -> Told:
        """Return the chosen entries only."""
        return Told(
            self.told[:, chosen],
            self.seen[chosen],
            self.patient[chosen],
            self.case[chosen],
            self.mass[chosen],
            self.log,
        )

    def grouped(self, shares: Floats) -> Told:
        """Return what means of the G told, shares ``(H, G)``."""
        return replace(self, told=np.einsum("hg,gec->hec", shares, self.told))


def _recalibrated(logs: Floats, remedy: Floats) -> Floats:
    raised = remedy[0] * logs
    raised[:, 1:] += remedy[1:]
    raised = np.exp(raised - raised.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


Rule = Callable[[Told, Floats, np.random.Generator], Floats]
"""From what was told, the number of members of each recipe and a random stream to the recipes' shares ``(G,)``."""


def paired(told: Told, first: Floats, second: Floats) -> tuple[float, float]:
    """Return how much more `first` loses than `second`, and the standard error of that over patients.

    A ratio of sums over patients (Cochran, 1977, "Sampling techniques", 6.3): patients with more cases count more.
    """
    place = np.unique(told.patient, return_inverse=True)[1].reshape(-1)
    mass = np.bincount(place, told.mass)
    more = np.bincount(place, told.mass * (first - second))
    mean = float(more.sum() / mass.sum())
    n = len(mass)
    spread = float(((more - mean * mass) ** 2).sum()) * n / max(n - 1, 1)
    return mean, float(np.sqrt(spread) / mass.sum())


def equal_shares(size: Floats) -> Floats:
    """Return shares by which every member counts the same."""
    return np.asarray(size / size.sum(), dtype=np.float64)


def _equal(_told: Told, size: Floats, _stream: np.random.Generator) -> Floats:
    return equal_shares(size)


def _recipes(_told: Told, size: Floats, _stream: np.random.Generator) -> Floats:
    return np.full(len(size), 1 / len(size))


def _single(told: Told, size: Floats, _stream: np.random.Generator) -> Floats:
    alone = np.eye(len(size))
    # Many entries are first judged by some of them, evenly spread.
    some = told.rows(np.arange(len(told.mass)) % max(1, len(told.mass) // SOME) == 0)
    losses = [some.mean(some.fitted(one)) for one in alone]
    likely = np.argsort(losses, kind="stable")[:LIKELY]
    return np.asarray(alone[min(likely, key=lambda one: told.mean(told.fitted(alone[one])))])


def _dropped(told: Told, size: Floats, _stream: np.random.Generator) -> Floats:
    """Leave out, one after the other, what makes the mean worse by more than a standard error over patients."""
    kept = np.ones(len(size), dtype=bool)
    while kept.sum() > 1:
        now = told.fitted(kept * size / size[kept].sum())
        index = np.flatnonzero(kept)
        without = np.array([kept & (np.arange(len(size)) != one) for one in index]) * size
        shares = without / without.sum(axis=1, keepdims=True)
        # Before recalibration all are quickly judged: only the few most in the way can be the worst after it.
        likely = np.argsort([told.mean(told.plain(one)) for one in shares], kind="stable")[:LIKELY]
        losses = {int(one): told.fitted(shares[one]) for one in likely}
        worst = min(losses, key=lambda one: told.mean(losses[one]))
        gain, error = paired(told, now, losses[worst])
        if gain <= max(error, WORTH * told.mean(now)):
            break
        kept[index[worst]] = False
    return np.asarray(kept * size / size[kept].sum(), dtype=np.float64)


def _least(told: Told, size: Floats, _stream: np.random.Generator) -> Floats:
    """Return the shares of least loss, with a little of equal ones (a Dirichlet prior).

    Log loss of a mixture is convex in the shares, and the steps of expectation and maximisation (Dempster et al., 1977)
    keep them on the simplex and lower it every time. For errors it is the least sum of squares, likewise convex.
    """
    even = equal_shares(size)
    if not told.log:
        return _least_squares(told, even)
    mass, given = told.mass / told.mass.mean(), told.given
    weights = even
    for _ in range(STEPS):
        held = weights * (given @ (mass / (weights @ given)))
        following = (held + PRIOR * even) / (mass.sum() + PRIOR)
        done = np.abs(following - weights).max() < ENOUGH
        weights = following
        if done:
            break
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _least_squares(told: Told, even: Floats) -> Floats:
    from scipy.optimize import nnls

    n = told.mass.sum()
    root = np.sqrt(told.mass / n)
    errors = (told.given * root).T
    typical = max(float(np.sqrt((errors**2).sum(axis=0).max())), 1e-12)
    # A heavy row holds the sum at 1, and light ones hold the shares near equal ones.
    rows = np.vstack([errors / typical, np.full((1, len(even)), 1e3), np.sqrt(PRIOR / n) * 0.1 * np.eye(len(even))])
    wanted = np.concatenate([np.zeros(len(errors)), [1e3], np.sqrt(PRIOR / n) * 0.1 * even])
    weights = nnls(rows, wanted)[0]
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _greedy(told: Told, size: Floats, stream: np.random.Generator) -> Floats:
    """Add again and again the recipe that helps the mean most, on halves of the patients (Caruana et al., 2004)."""
    patients = np.unique(told.patient)
    shares = np.zeros(len(size))
    for _ in range(BAGS):
        drawn = stream.permutation(patients)[: max(1, len(patients) // 2)]
        part = told.rows(np.isin(told.patient, drawn))
        counts, total = np.zeros(len(size)), np.zeros(len(part.mass))
        best, found = np.inf, counts
        for pick in range(1, PICKS + 1):
            mixed = (total + part.given) / pick
            losses = part.loss_of(mixed) @ part.mass
            one = int(np.argmin(losses))
            counts = counts + (np.arange(len(size)) == one)
            total = total + part.given[one]
            if losses[one] < best:
                best, found = float(losses[one]), counts / pick
        shares += found / BAGS
    return np.asarray(shares / shares.sum(), dtype=np.float64)


RULES: dict[str, Rule] = {
    "equal": _equal,
    "recipes": _recipes,
    "dropped": _dropped,
    "single": _single,
    "least": _least,
    "greedy": _greedy,
}
"""By name, from simple to complex."""
