"""The points of a learning curve: subsets learned from, always the same cases scored, and what chance does to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semeion.errors import InputError
from semeion.evidence.growth.figure import Meter, Scored, values_of
from semeion.evidence.growth.subsets import Index, Pool, Side, nested_rows
from semeion.evidence.intervals.bootstrap import case_weights, outcome_strata, resample
from semeion.evidence.intervals.weights import Array
from semeion.evidence.question import Question

Learn = Callable[[Index, Index], Array]
"""Rows to learn from and rows to score, to the outputs of the latter ``(rows, outputs)``."""

LEAST_DRAWS = 3
MOST_DRAWS = 20
RESAMPLES = 1000
_STEEPEST = 3.0
"""The variance between draws falls at most with this power of the patients."""


@dataclass(frozen=True)
class Readings:
    """What was learned and scored.

    Attributes
    ----------
    sizes
        In patients, rising.
    cases
        Mean number of cases learned from at each size, over draws and folds.
    outputs
        Of each size and draw, ``(sizes, draws)`` of ``(cases, outputs)``; at the size of the whole pool all draws are
        one.
    """

    sizes: tuple[int, ...]
    cases: tuple[float, ...]
    outputs: tuple[tuple[Array, ...], ...]

    @property
    def draws(self) -> int:
        """Draws that every size has."""
        return len(self.outputs[0])


def read_sizes(
    sides: Sequence[Side],
    pools: Sequence[Pool],
    groups: Index,
    sizes: tuple[int, ...],
    learn: Learn,
    *,
    seed: int,
    draws: int = MOST_DRAWS,
    go_on: Callable[[int, float], bool] = lambda _draws, _cost: True,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> Readings:
    """Learn from nested subsets of every size, draw after draw.

    A draw is finished or not begun, so that all sizes have the same draws whenever it ends.

    Parameters
    ----------
    sides, pools
        Of each fold, or of the given split.
    groups
        Patient of every row of the cohort.
    sizes, seed
        In patients, rising, and where the draws begin.
    learn
        Learns and scores. The same rows must give the same outputs.
    draws
        At most so many.
    go_on
        Asked after each draw from the `LEAST_DRAWS`-th on whether one more fits, with the draws done and the share of
        their work that one more is.
    tell
        Told how many trainings are done, and of how many.

    Raises
    ------
    InputError
        When a patient would be on both sides, or a learner returns the wrong number of rows.
    """
    for side in sides:
        if np.isin(groups[side.learn], groups[side.score]).any():
            raise InputError("a patient is learned from and scored", where="the cohort", fix="part the rows by patient")
    whole: dict[int, Array] = {}
    found: list[list[Array]] = [[] for _ in sizes]
    learned_from = np.zeros(len(sizes))
    total, done = len(sizes) * len(sides) * draws, 0
    made = 0
    for draw in range(draws):
        rows = [
            nested_rows(pool, side.learn, groups, sizes, seed=seed + 1000 * number, draw=draw)
            for number, (side, pool) in enumerate(zip(sides, pools, strict=True))
        ]
        for place in range(len(sizes)):
            parts = []
            for number, side in enumerate(sides):
                own = rows[number][place]
                if len(own) == len(side.learn) and number in whole:
                    parts.append(whole[number])
                else:
                    parts.append(_outputs(learn, own, side.score))
                    if len(own) == len(side.learn):
                        whole[number] = parts[-1]
                learned_from[place] += len(own) / len(sides)
                done += 1
                tell(done, total)
            found[place].append(np.concatenate(parts))
        made = draw + 1
        if made >= LEAST_DRAWS and made < draws and not go_on(made, 1 / made):
            break
    outputs = tuple(tuple(each) for each in found)
    return Readings(sizes, tuple(float(one) for one in learned_from / made), outputs)


def _outputs(learn: Learn, rows: Index, score: Index) -> Array:
    found = np.asarray(learn(rows, score), dtype=np.float64)
    if found.ndim != 2 or len(found) != len(score) or not np.isfinite(found).all():
        raise InputError(
            f"the learner returned an array {found.shape} for {len(score)} cases, or one with gaps",
            where="learn",
            fix="return one row of finite outputs for every case",
        )
    return found


def scored_cases(sides: Sequence[Side], y: Array, groups: Index) -> Scored:
    """Return the cases that are scored, in the order of the outputs of :func:`read_sizes`."""
    rows = np.concatenate([side.score for side in sides])
    fold = np.repeat(np.arange(len(sides)), [len(side.score) for side in sides]).astype(np.int64)
    patient = np.unique(groups[rows], return_inverse=True)[1].astype(np.int64)
    return Scored(y[rows], patient, fold)


@dataclass(frozen=True)
class Points:
    """The figure at each size, with what chance does to it.

    Attributes
    ----------
    sizes
        In patients, ``(sizes,)``.
    value
        Mean over draws, ``(sizes,)``.
    between
        Standard deviation over draws that have not the whole pool in common, ``(sizes,)``.
    drawn
        Resampled means, ``(resamples, sizes)``: of scored patients, of draws and of the patients there are to draw.
    present
        Resampled over scored patients alone, at the largest size, ``(resamples,)``.
    """

    sizes: NDArray[np.float64]
    value: Array
    between: Array
    drawn: Array
    present: Array


def weigh_points(
    readings: Readings,
    scored: Scored,
    question: Question,
    metric: str,
    *,
    pool: int,
    seed: int = 0,
    resamples: int = RESAMPLES,
    jobs: int | None = None,
) -> Points:
    """Return the figure of each size with its resamples.

    Three things vary, and all are in the resamples. Scored patients are drawn with replacement, the same ones for every
    size and draw. Draws are drawn with replacement, as whole nested rows of sizes, their variance widened by
    ``draws / (draws - 1)`` for being few. And the pool is itself a draw: subsets of it have patients in common, so that
    the spread over draws shrinks with ``1 - n / N`` and what is missing moves all sizes together. By the first term of
    Hoeffding's decomposition (Annals of Mathematical Statistics 19:293, 1948) its variance is at most ``n / N`` times
    the variance between independent sets of n patients, which is added as one normal shift a resample.

    Parameters
    ----------
    readings, scored, question, metric
        What was learned, who was scored, what was asked, which figure.
    pool
        Patients there are to draw from, N.
    seed, resamples, jobs
        Of the resamples.

    Raises
    ------
    InputError
        When the figure is undefined on the scored cases, or in most resamples of them.
    """
    meters = [[values_of(one, scored, question, metric) for one in each] for each in readings.outputs]
    shape = (len(readings.sizes), readings.draws)
    last = _alike(readings.outputs[-1])

    def compute(counts: Array) -> Array:
        weights = case_weights(counts, scored.patient)
        out = np.empty((len(counts), *shape))
        for place, row in enumerate(meters):
            same = place == len(meters) - 1 and last
            for draw, meter in enumerate(row):
                out[:, place, draw] = out[:, place, 0] if same and draw else meter(weights)
        return out.reshape(len(counts), -1)

    n_patients = scored.n_patients
    whole = compute(np.ones((1, n_patients)))[0].reshape(shape)
    if not np.isfinite(whole).all():
        raise InputError(
            f"{metric} is undefined on the scored cases: they have one class alone",
            where="the cohort",
            fix="bring cases of every class that are not learned from",
        )
    strata = _strata(scored, meters[0][0], question, n_patients)
    drawn = resample(compute, n_patients, len(scored), resamples=resamples, seed=seed, jobs=jobs, strata=strata)
    drawn = drawn.reshape(-1, *shape)
    whole_again = np.isfinite(drawn).all(axis=(1, 2))
    if 2 * whole_again.sum() < len(drawn):
        raise InputError(
            f"so few patients of a class are scored that {metric} is undefined in most resamples of them",
            where="the cohort",
            fix="bring more cases of every class that are not learned from",
        )
    drawn = drawn[whole_again]
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7, 7)))
    sizes = np.array(readings.sizes, dtype=np.float64)
    of_draws = draw_variance(whole, len(np.unique(scored.fold)))
    between = independent_spread(of_draws, sizes, pool)
    middle = drawn.mean(axis=2)
    chosen = stream.integers(0, shape[1], (len(drawn), shape[1]))
    again = np.take_along_axis(drawn, chosen[:, None, :], axis=2).mean(axis=2)
    widened = middle + np.sqrt(shape[1] / max(shape[1] - 1, 1)) * (again - middle)
    shift = stream.standard_normal((len(drawn), 1)) * between * np.sqrt(np.minimum(sizes / pool, 1.0))
    return Points(sizes, whole.mean(axis=1), between, widened + shift, middle[:, -1])


def draw_variance(values: Array, folds: int) -> Array:
    """Return how much the figure varies over draws of one fold, as other patients are learned from, ``(sizes,)``.

    A mean over folds, each of which draws for itself, has a fold's variance over their number as far as only those
    who are learned from matter, and by less as far as models differ on few scored cases by chance. A few draws cannot
    tell the two apart, so the geometric mean of the extremes is taken; how often intervals then hold the truth is
    simulated (``benchmarks/curve_coverage.py``).

    Parameters
    ----------
    values
        Of each size and draw, ``(sizes, draws)``.
    folds
        Over which the figure is a mean; 1 for a given split.
    """
    if values.shape[1] < 2:
        return np.zeros(len(values))
    return np.asarray(np.sqrt(folds) * values.var(axis=1, ddof=1))


def independent_spread(variance: Array, sizes: Array, pool: int) -> Array:
    """Return the standard deviation of the figure between independent sets of each size, ``(sizes,)``.

    That over draws, corrected for the finite pool, smoothed by a power of the size where draws are at most half of the
    pool, and carried on to the sizes that are more.

    Parameters
    ----------
    variance
        Over draws, ``(sizes,)``, of :func:`draw_variance`.
    sizes
        In patients.
    pool
        Patients there are to draw from.
    """
    share = sizes / pool
    kept = (share <= 0.5) & (variance > 1e-12)
    if not kept.any():
        kept = (share < 0.95) & (variance > 1e-12)
    if not kept.any():
        return np.zeros(len(sizes))
    x, y = np.log(sizes[kept]), np.log(variance[kept] / (1 - share[kept]))
    centred = x - x.mean()
    slope = -1.0 if kept.sum() < 3 else float((centred * y).sum() / (centred**2).sum())
    fitted = y.mean() + np.clip(slope, -_STEEPEST, 0.0) * (np.log(sizes) - x.mean())
    return np.asarray(np.exp(fitted / 2))


def _alike(outputs: Sequence[Array]) -> bool:
    return all(each is outputs[0] or np.array_equal(each, outputs[0]) for each in outputs)


def _strata(scored: Scored, meter: Meter, question: Question, n_patients: int) -> tuple[Index, ...]:
    """Return the patients by outcome where the figure is conditional on the class; none otherwise."""
    if not meter.conditional:
        return ()
    if question.task == "multilabel":
        places = [np.flatnonzero(np.isfinite(column)) for column in scored.y.T]
        codes = np.concatenate([2 * k + scored.y[own, k] for k, own in enumerate(places)])
        whose = np.concatenate([scored.patient[own] for own in places])
        return outcome_strata(whose, codes.astype(np.int64), n_patients)
    return outcome_strata(scored.patient, scored.y.astype(np.int64), n_patients)
