"""Minimises the penalised loss of linear models, of several folds at once, in the span of the learning cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Link = Literal["softmax", "sigmoid", "identity", "ordered"]

LARGE = 4_000_000
"""Entries of a table from which products are computed in float32: half the time, and far below what cases say."""
NEGLIGIBLE = 1e-12
"""Share of the largest direction's square below which a direction of the span is rounding."""
CURVATURE = {"softmax": 0.25, "sigmoid": 0.25, "identity": 1.0, "ordered": 0.25}
"""About the second derivative of a case's loss; it only sets the scale of the steps."""
ROWS = 512
"""Cases that are centred at a time: that is done in float64, of which a whole table would be twice the features."""
ITERATIONS = 300
SMALLEST_GAP = 1e-6
"""Between two thresholds of ordered grades."""


@dataclass(frozen=True)
class Basis:
    """Standardised features in the coordinates of their own span.

    With an L2 penalty the best weights lie in the span of the learning cases, so that F features of N cases are at most
    N directions, and nothing is lost (Hastie and Tibshirani, 2004, "Efficient quadratic regularization for expression
    arrays").

    Attributes
    ----------
    scores
        ``(N, R)``: the cases; their mean squared length is 1, so that a penalty means the same for any F.
    size
        ``(R,)``: the sum of squares of each direction.
    back
        ``(F, R)``: weights of the standardised features are ``back @ weights of directions``.
    mean, scale
        ``(F,)``: what standardises; the scale of a constant feature is 1, and its weight 0.
    """

    scores: npt.NDArray[Any]
    size: Floats
    back: npt.NDArray[Any]
    mean: Floats
    scale: Floats


def basis_of(x: npt.NDArray[Any]) -> Basis:
    """Return the :class:`Basis` of features ``(N, F)``.

    At most one further table of the features is in memory, none of them while the directions are found.
    """
    from scipy.linalg import eigh

    cases, width = x.shape
    kind = np.float32 if cases > width and x.size > LARGE else np.float64
    mean = x.mean(axis=0, dtype=np.float64)
    z = _centred(x, mean, kind)
    scale = np.sqrt(np.einsum("nf,nf->f", z, z, dtype=np.float64) / cases)
    # A spread of rounding error is none.
    constant = scale <= 1e-6 * np.abs(mean)
    constant |= scale <= 1e-30
    scale[constant] = 1.0
    narrow = np.sqrt(max(1, int((~constant).sum())))

    def standardise(z: npt.NDArray[Any]) -> npt.NDArray[Any]:
        z /= scale.astype(kind)
        z[:, constant] = 0
        z /= kind(narrow)
        return z

    z = standardise(z)
    gram = (z @ z.T if cases <= width else z.T @ z).astype(np.float64)
    if cases > width:
        # Finding the directions takes as much memory as a table; making this one again costs little beside that.
        del z
    # The routine of numpy, on the table itself: of a symmetric one the transpose is the same.
    size, turned = eigh(gram.T, overwrite_a=True, check_finite=False, driver="evd")
    del gram
    kept = np.flatnonzero(size > NEGLIGIBLE * max(float(size[-1]), 1e-30))[::-1]
    size, turned = size[kept], turned[:, kept]
    if cases <= width:
        scores, back = turned * np.sqrt(size), (z.T @ turned) / np.sqrt(size)
    else:
        scores, back = standardise(_centred(x, mean, kind)) @ turned.astype(kind), turned
    back /= narrow
    back[constant] = 0
    return Basis(scores, size, back, mean, scale)


def _centred(x: npt.NDArray[Any], mean: Floats, kind: Any) -> npt.NDArray[Any]:
    """Return ``x - mean``, taken in float64, as `kind`."""
    z = np.empty(x.shape, kind)
    for first in range(0, len(x), ROWS):
        z[first : first + ROWS] = x[first : first + ROWS] - mean
    return z


@dataclass(frozen=True)
class Problem:
    """What is minimised: each column of `use` is a fold (or all cases) with weights of its own.

    Attributes
    ----------
    link
        What the scores mean.
    truth
        ``(N, S)``: for ``softmax`` the share of each class, for ``sigmoid`` 0 or 1 a label, for ``identity`` the value;
        for ``ordered`` ``(N, K)``, one in the column of the grade.
    known
        ``(N, S)``: 1 where a label is known; ones for any other link.
    use
        ``(N, G)``: how much each case counts in each fold; 0 where it is held out.
    """

    link: Link
    truth: Floats
    known: Floats
    use: Floats

    @property
    def scores(self) -> int:
        """Number of scores a case, S."""
        return 1 if self.link == "ordered" else self.truth.shape[1]

    @property
    def empty(self) -> Floats:
        """``(G, S)``: 1 where a label has cases of one kind only in a fold, so that its intercept would be infinite."""
        if self.link != "sigmoid":
            return np.zeros((self.use.shape[1], self.scores))
        counted = self.use.T @ self.known
        present = self.use.T @ (self.known * self.truth)
        return ((present <= 1e-12 * counted) | (present >= (1 - 1e-12) * counted)).astype(np.float64)


@dataclass(frozen=True)
class Solution:
    """Weights of directions ``(R, G, S)``, intercepts ``(G, S)`` (thresholds ``(G, K - 1)`` of grades), and steps."""

    weights: Floats
    intercepts: Floats
    iterations: int


def solve(basis: Basis, problem: Problem, strength: float, start: Solution | None = None) -> Solution:
    """Minimise the sum over cases of the loss plus ``strength / 2`` times the sum of squared weights, of every fold.

    The folds are one separable problem: each pass over the cases serves all of them. Intercepts carry no penalty.
    L-BFGS (Liu and Nocedal, 1989) steps in coordinates scaled by the curvature along each direction.

    Parameters
    ----------
    basis, problem
        Cases and what is known of them.
    strength
        The penalty; its inverse is the variance that a logit of a typical case has before any case is seen.
    start
        Where to begin: the solution of a strength nearby.
    """
    from scipy.optimize import minimize

    folds, rows, directions = problem.use.shape[1], problem.scores, len(basis.size)
    bend = CURVATURE[problem.link]
    per_weight = np.sqrt(bend * basis.size + strength)[:, None, None]
    per_intercept = np.sqrt(bend * max(float(problem.use.sum(axis=0).mean()), 1.0))
    inner = _first(problem) if start is None else _free(start.intercepts, problem.link)
    weights = np.zeros((directions, folds, rows)) if start is None else start.weights
    cut, kind = weights.size, basis.scores.dtype
    empty = problem.empty

    def value(flat: Floats) -> tuple[float, Floats]:
        w = flat[:cut].reshape(weights.shape) / per_weight
        b = flat[cut:].reshape(inner.shape) / per_intercept
        z = (basis.scores @ w.reshape(directions, folds * rows).astype(kind)).reshape(-1, folds, rows)
        loss, by_score, by_intercept = _loss(problem, z.astype(np.float64, copy=False), b, empty)
        by_weight = basis.scores.T @ by_score.reshape(len(by_score), -1).astype(kind)
        slope = (by_weight.reshape(w.shape) + strength * w) / per_weight
        return loss + strength / 2 * float((w * w).sum()), np.concatenate(
            [slope.ravel(), (by_intercept / per_intercept).ravel()]
        )

    exact = kind == np.float64
    found = minimize(
        value,
        np.concatenate([(weights * per_weight).ravel(), (inner * per_intercept).ravel()]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ITERATIONS, "ftol": 1e-11 if exact else 1e-8, "gtol": 1e-5, "maxcor": 12},
    )
    w = found.x[:cut].reshape(weights.shape) / per_weight
    b = found.x[cut:].reshape(inner.shape) / per_intercept
    return Solution(w, _thresholds(b) if problem.link == "ordered" else b, int(found.nit))


def predicted(basis: Basis, problem: Problem, solution: Solution) -> Floats:
    """Return the scores ``(N, G, S)`` of every case by every fold; of grades without the thresholds."""
    flat = solution.weights.reshape(len(basis.size), int(np.prod(solution.weights.shape[1:])))
    z: Floats = (basis.scores @ flat.astype(basis.scores.dtype)).astype(np.float64)
    z = z.reshape(len(z), *solution.weights.shape[1:])
    return z if problem.link == "ordered" else z + solution.intercepts


def case_losses(problem: Problem, scores: Floats, intercepts: Floats) -> Floats:
    """Return the loss of every case in every fold ``(N, G)``, unweighted: the negative log likelihood of what is known,
    or the absolute error. The mean over the known labels of a case, for ``sigmoid``; 0 of a case without any.
    """
    truth = problem.truth[:, None]
    if problem.link == "softmax":
        return np.asarray(-(truth * _log_softmax(scores)).sum(axis=2))
    if problem.link == "identity":
        return np.asarray(np.abs(scores - truth).sum(axis=2))
    if problem.link == "ordered":
        return _ordered(problem.truth, scores[:, :, 0], intercepts)[0]
    known = problem.known[:, None]
    each = known * (np.logaddexp(0, scores) - truth * scores)
    return np.asarray(each.sum(axis=2) / np.maximum(known.sum(axis=2), 1))


def _loss(problem: Problem, z: Floats, b: Floats, empty: Floats) -> tuple[float, Floats, Floats]:
    """Return the weighted loss, and its slopes by score ``(N, G, S)`` and by (free) intercept."""
    truth, use = problem.truth[:, None], problem.use
    if problem.link == "ordered":
        limits = _thresholds(b)
        each, by_score, by_limit = _ordered(problem.truth, z[:, :, 0], limits, use)
        # A threshold moves with the first and with every gap below it.
        above = np.cumsum(by_limit[:, ::-1], axis=1)[:, ::-1]
        return (
            float((use * each).sum()),
            (use * by_score)[:, :, None],
            np.where(_first_column(b), above, above * np.exp(b)),
        )
    z = z + b
    if problem.link == "softmax":
        logs = _log_softmax(z)
        slope = use[:, :, None] * (np.exp(logs) - truth)
        return float(-(use * (truth * logs).sum(axis=2)).sum()), slope, slope.sum(axis=0)
    if problem.link == "identity":
        slope = use[:, :, None] * (z - truth)
        return float((slope * (z - truth)).sum() / 2), slope, slope.sum(axis=0)
    counted = use[:, :, None] * problem.known[:, None]
    slope = counted * (_sigmoid(z) - truth)
    loss = float((counted * (np.logaddexp(0, z) - truth * z)).sum())
    # Half a case of each kind, with features at their mean, stands in where one kind has none.
    loss += float((empty * (np.logaddexp(0, b) - b / 2)).sum())
    return loss, slope, slope.sum(axis=0) + empty * (_sigmoid(b) - 0.5)


def _ordered(grade: Floats, score: Floats, limits: Floats, use: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Return the negative log likelihood ``(N, G)`` by proportional odds (McCullagh, 1980), and its slopes by score
    ``(N, G)`` and, weighted by `use` and summed, by threshold ``(G, K - 1)``.

    With ``high`` and ``low`` the thresholds around the grade less the score, the likelihood is ``sigmoid(high) -
    sigmoid(low) = sigmoid(high) sigmoid(-low) (1 - exp(low - high))``, whose logarithm loses no digits.
    """
    edge = np.full((len(limits), 1), np.inf)
    index = grade.argmax(axis=1)
    high = np.hstack([limits, edge]).T[index] - score
    low = np.hstack([-edge, limits]).T[index] - score
    gap = high - low
    loss = np.logaddexp(0, -high) + np.logaddexp(0, low) - np.log(-np.expm1(-gap))
    # Beyond a gap of 700 the exponential overflows, and its inverse is 0.
    steep = 1 / np.expm1(np.minimum(gap, 700.0))
    by_high, by_low = -_sigmoid(-high) - steep, _sigmoid(low) + steep
    weighed = np.ones_like(loss) if use is None else use
    by_limit = (grade.T @ (weighed * by_high))[:-1] + (grade.T @ (weighed * by_low))[1:]
    return loss, _sigmoid(-high) - _sigmoid(low), by_limit.T


def _first(problem: Problem) -> Floats:
    """Return (free) intercepts of the shares of the classes: the best without any feature."""
    use, truth = problem.use, problem.truth
    if problem.link == "identity":
        return np.asarray(use.T @ truth / np.maximum(use.sum(axis=0), 1e-12)[:, None])
    counted = np.maximum(use.T @ problem.known, 1e-12)
    if problem.link == "sigmoid":
        share = (use.T @ (problem.known * truth) + 0.5) / (counted + 1)
        return np.asarray(np.log(share / (1 - share)))
    share = (use.T @ truth + 1e-3) / (use.sum(axis=0)[:, None] + 1e-3 * truth.shape[1])
    if problem.link == "softmax":
        return np.asarray(np.log(share))
    upto = np.clip(np.cumsum(share, axis=1)[:, :-1], 1e-6, 1 - 1e-6)
    return _free(np.log(upto / (1 - upto)), "ordered")


def _free(intercepts: Floats, link: Link) -> Floats:
    """Return thresholds as numbers without a bound: the first, and the logarithms of the gaps."""
    if link != "ordered":
        return intercepts
    gaps = np.maximum(np.diff(intercepts, axis=1) - SMALLEST_GAP, SMALLEST_GAP)
    return np.hstack([intercepts[:, :1], np.log(gaps)])


def _thresholds(free: Floats) -> Floats:
    return np.cumsum(np.where(_first_column(free), free, np.exp(np.minimum(free, 50.0)) + SMALLEST_GAP), axis=1)


def _first_column(free: Floats) -> npt.NDArray[np.bool_]:
    return np.broadcast_to(np.arange(free.shape[1]) == 0, free.shape)


def _log_softmax(z: Floats) -> Floats:
    raised = z - z.max(axis=-1, keepdims=True)
    return np.asarray(raised - np.log(np.exp(raised).sum(axis=-1, keepdims=True)))


def _sigmoid(z: Floats) -> Floats:
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, small) / (1.0 + small))
