"""Simulated coverage of a learning curve: how often its intervals, its band beyond and its gain hold the known truth.

A case has 30 normal features of which five tell the classes apart, and ridge regression learns. The area under the ROC
curve of a linear score is then known exactly, and that of the procedure with n patients is its mean over fresh cohorts
of n, of which hundreds are drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import record
from semeion.evidence.growth.figure import ends_of
from semeion.evidence.growth.measure import Learn, Points, read_sizes, scored_cases, weigh_points
from semeion.evidence.growth.power_law import Fitted, fit_points
from semeion.evidence.growth.subsets import Side, pool_of, sizes_of
from semeion.evidence.question import Question
from semeion.folds import grouped_folds

Array = NDArray[np.float64]
TRIALS, DRAWS, RESAMPLES, SEED = 200, 8, 400, 100
FEATURES, SHARE, PENALTY, FOLDS = 30, 0.35, 10.0, 5
TELLING = np.array([0.6, 0.5, 0.4, 0.3, 0.2])
QUESTION = Question("finding", "binary", ("no", "yes"), "yes")


@dataclass(frozen=True)
class Design:
    """Patients to learn from, cases scored beside them (0: folds are scored), and how far the classes lie apart."""

    patients: int
    scored: int
    apart: float

    @property
    def row(self) -> str:
        """Name of the row."""
        return f"curve-coverage-{self.patients}-{self.scored or 'folds'}"

    @property
    def means(self) -> Array:
        """Distance of the classes in each feature."""
        return np.concatenate([self.apart * TELLING, np.zeros(FEATURES - len(TELLING))])


def cohort(design: Design, n: int, stream: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Return features and classes of `n` cases, a fixed share of them positive."""
    y = (np.arange(n) < round(n * SHARE)).astype(np.int64)
    stream.shuffle(y)
    return stream.standard_normal((n, FEATURES)) + y[:, None] * design.means, y


def ridge(x: Array, y: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return weights and means of ridge regression of the class."""
    mean = x.mean(axis=0)
    centred = x - mean
    return np.linalg.solve(centred.T @ centred + PENALTY * np.eye(FEATURES), centred.T @ (y - y.mean())), mean


def truth(design: Design, n: int) -> float:
    """Return the mean AUROC of what is learned from `n` patients."""
    stream = np.random.default_rng([SEED, n])
    found = []
    for _ in range(1500 if n < 1000 else 400):
        weights, _ = ridge(*cohort(design, n, stream))
        found.append(NormalDist().cdf(float(weights @ design.means / np.sqrt(2 * (weights @ weights)))))
    return float(np.mean(found))


def curve(design: Design, trial: int) -> tuple[tuple[int, ...], Points, Fitted]:
    """Return sizes, points and law of one simulated study."""
    stream = np.random.default_rng([SEED, trial, design.patients, design.scored])
    x, y = cohort(design, design.patients, stream)
    everyone = np.arange(design.patients)
    sides = [Side(everyone, everyone + design.patients)]
    if design.scored:
        more, other = cohort(design, design.scored, stream)
        x, y = np.concatenate([x, more]), np.concatenate([y, other])
        sides = [Side(everyone, np.arange(design.patients, len(y)))]
    else:
        fold = grouped_folds(y, everyone, FOLDS, trial)
        sides = [Side(everyone[fold != number], everyone[fold == number]) for number in range(FOLDS)]
    groups = np.arange(len(y))
    pools = [pool_of(side.learn, groups, y, y[:, None] == np.arange(2)) for side in sides]
    sizes = sizes_of(pools)
    readings = read_sizes(sides, pools, groups, sizes, learner(x, y), seed=trial, draws=DRAWS)
    scored = scored_cases(sides, y.astype(np.float64), groups)
    points = weigh_points(readings, scored, QUESTION, "auroc", pool=sizes[-1], seed=trial, resamples=RESAMPLES, jobs=1)
    return sizes, points, fit_points(points, "auroc")


def learner(x: Array, y: NDArray[np.int64]) -> Learn:
    """Return what learns from rows of the cohort and judges others."""

    def learn(rows: NDArray[np.int64], score: NDArray[np.int64]) -> Array:
        weights, mean = ridge(x[rows], y[rows])
        p = 1 / (1 + np.exp(-4 * (x[score] - mean) @ weights))
        return np.column_stack([1 - p, p])

    return learn


def simulate(design: Design, trials: int = TRIALS) -> dict[str, Any]:
    """Return the coverage at every size, of the band at two and four times the patients, and of the gain."""
    sizes = curve(design, 0)[0]
    last = sizes[-1]
    true = {n: truth(design, n) for n in (*sizes, 2 * last, 4 * last)}
    held = np.zeros(len(sizes))
    beyond: dict[int, list[tuple[bool, bool, float]]] = {2: [], 4: []}
    refused = 0
    for trial in range(trials):
        _, points, fitted = curve(design, trial)
        low, high = ends_of(points.value, points.drawn, "auroc")
        held += [a <= true[n] <= b for n, a, b in zip(sizes, low, high, strict=True)]
        refused += fitted.reach == 1
        for times, rows in beyond.items():
            if fitted.reach >= times:
                _, least, most = fitted.at(np.array([float(times * last)]))
                gain, below, above = fitted.change(last, times * last)
                meant = true[times * last] - true[last]
                inside = bool(least[0] <= true[times * last] <= most[0])
                rows.append((inside, below <= meant <= above, gain - meant))
    return {
        "patients": design.patients,
        "scored": design.scored or f"{FOLDS} folds",
        "trials": trials,
        "truth": {str(n): round(value, 4) for n, value in true.items()},
        "coverage_by_size": {str(n): round(float(share), 4) for n, share in zip(sizes, held / trials, strict=True)},
        "not_carried_on": refused,
        "beyond": {
            str(times): {
                "trials": len(rows),
                "coverage": round(float(np.mean([row[0] for row in rows])), 4),
                "gain_coverage": round(float(np.mean([row[1] for row in rows])), 4),
                "gain_bias": round(float(np.mean([row[2] for row in rows])), 4),
            }
            for times, rows in beyond.items()
            if rows
        },
    }


def row(design: Design) -> None:
    """Simulate and record one design."""
    record(design.row, f"python -m benchmarks {design.row}", simulate(design), seed=SEED)


DESIGNS = (Design(200, 100, 1.6), Design(500, 60, 3.0), Design(80, 200, 1.0), Design(150, 0, 1.6))
ROWS: dict[str, Callable[[], None]] = {design.row: partial(row, design) for design in DESIGNS}
