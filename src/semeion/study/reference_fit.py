"""Fits what a model's training cases look like: directions, means, a covariance, and limits on distances.

Everything is fitted on cases that may choose: learning and validation cases, never test cases. Limits are set on
distances of cases from a fit that did not see their patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.model.gate_image import FEWEST_PATIENTS
from semeion.model.reference import MAX_COLUMNS, MAX_DIMS, RATE, Space, distances, logarithms, share_beyond
from semeion.prepare.covariate_fit import shared_quantile
from semeion.prepare.covariates import LEAST_PATIENTS

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FOLDS = 5
DIGITS = 7
"""Significant digits of what ships."""
CASES_A_DIRECTION = 5
"""Training cases that a direction needs: of fewer the covariance would follow single ones."""
FLOOR = 0.1
"""Least scale of a feature, as a share of the middle one: one that never varied in training may do so elsewhere."""
TAIL_DEVIATIONS = 2.5
"""A limit lies at least this many standard deviations above the middle: a tail of a few dozen cases is luck."""
FAR_FACTOR = 2.0
"""A case is far outside this many times as far from the middle as the limit."""
SHOWN = (0.5, 0.75, 0.9, 0.95)


@dataclass(frozen=True)
class Known:
    """Cases that fit and set limits.

    Attributes
    ----------
    features
        Of one graph, ``(N, F)``.
    label
        Class index of each, -1 where it has none; of targets without classes all 0.
    patient
        Number of each one's patient.
    held
        Whether the graph did not learn from a case: of a graph that learned, only these set limits. None: the graph
        learned from none of them, and all do, each held out of the fit in its turn.
    """

    features: Floats
    label: Rows
    patient: Rows
    held: Bools | None = None

    @property
    def unseen(self) -> Bools:
        """Which cases are held out and of no patient whom the graph learned from: copies may cross a given split."""
        if self.held is None:
            return np.ones(len(self.patient), dtype=np.bool_)
        return self.held & ~np.isin(self.patient, self.patient[~self.held])


@dataclass(frozen=True)
class _Fit:
    mean: Floats
    scale: Floats
    projection: Floats
    means: Floats
    covariance: Floats

    def apart(self, features: Floats) -> Floats:
        """Return the logarithms of both distances, ``(N, 2)``."""
        root = np.linalg.inv(np.linalg.cholesky(self.covariance))
        standard = (features - self.mean) / self.scale
        return logarithms(distances(standard, self.projection, self.means, root), self.projection)


def columns_of(columns: int | Rows) -> Rows:
    """Return which of so many features, or of some columns, are taken: all, or of many every n-th."""
    known = np.arange(columns, dtype=np.int64) if isinstance(columns, int) else np.sort(columns)
    return known[:: max(1, -(-len(known) // MAX_COLUMNS))]


def held_out_distances(known: Known, *, seed: int) -> tuple[Floats, Rows]:
    """Return the logarithms of both distances of cases from a fit without them, and the rows that they are of.

    Raises
    ------
    InputError
        When there are no cases.
    """
    refuse_empty(known)
    if known.held is not None:
        learned = np.flatnonzero(~known.held)
        rows = np.flatnonzero(known.unseen)
        return fit_on(known, learned, seed).apart(known.features[rows]), rows
    fold = _folds(known.patient, seed)
    apart = np.full((len(fold), 2), np.nan)
    for number in range(FOLDS):
        out = fold == number
        apart[out] = fit_on(known, np.flatnonzero(~out), seed).apart(known.features[out])
    return apart, np.arange(len(fold), dtype=np.int64)


def fit_space(
    known: Known, graph: str, width: int, columns: Rows, *, seed: int, rate: float = RATE, spoken: Bools | None = None
) -> tuple[Space | None, Floats, Rows]:
    """Return the space that ships, and the scores of the cases that set its limit with their rows.

    Parameters
    ----------
    known
        The cases, with the features of `columns`.
    graph, width, columns
        Path of the graph in the model folder, how many features it gives, and which of them are taken.
    seed
        Of the folds and of the projection.
    rate
        Share of cases of the same kind that the limit may mark, `spoken` ones included.
    spoken
        Of each case, whether another gate marks it: what these mark is no longer left for distances.

    Returns
    -------
    tuple
        The space is None where fewer than `FEWEST_PATIENTS` patients fit it or set its limit.

    Raises
    ------
    InputError
        When there are no cases.
    """
    apart, rows = held_out_distances(known, seed=seed) if _enough(known) else (np.zeros((0, 2)), np.zeros(0, np.int64))
    refuse_empty(known)
    if not len(rows):
        return None, np.zeros(0), rows
    location, spread = _middle_and_spread(apart, known.patient[rows])
    scores = ((apart - location) / spread).max(axis=1)
    marked = float(spoken[rows].mean()) if spoken is not None else 0.0
    free = np.ones(len(rows), dtype=np.bool_) if spoken is None else ~spoken[rows]
    if _count(known.patient[rows][free]) < FEWEST_PATIENTS:
        free[:] = True
    largest = per_patient(scores[free], known.patient[rows][free])
    left = max(rate - marked, 0.0)
    middle = shared_quantile(largest, 0.5)
    limit = max(tail_of(largest, left), middle + TAIL_DEVIATIONS * _deviation(largest))
    fit = fit_on(known, np.arange(len(known.patient)) if known.held is None else np.flatnonzero(~known.held), seed)
    space = Space.model_validate(
        {
            "graph": graph,
            "width": width,
            "columns": columns.tolist(),
            **{name: rounded(getattr(fit, name)) for name in ("mean", "scale", "projection", "means", "covariance")},
            "location": tuple(rounded(location)),
            "spread": tuple(rounded(spread)),
            "limit": limit,
            "far": middle + FAR_FACTOR * (limit - middle),
            "quantiles": {f"{share:g}": shared_quantile(largest, share) for share in SHOWN},
            "rate": rate,
            "cases": len(rows),
            "patients": len(largest),
        }
    )
    return space, scores, rows


def directions(known: Known) -> int:
    """Return how many directions are kept, the same in every fit: with more of them distances would be longer."""
    fitting = len(known.patient) * (FOLDS - 1) // FOLDS if known.held is None else int((~known.held).sum())
    return max(1, min(MAX_DIMS, fitting // CASES_A_DIRECTION, int(known.features.shape[1]) // 2))


def fit_on(known: Known, rows: Rows, seed: int) -> _Fit:
    """Fit directions, means and covariance on some of the cases."""
    from sklearn.covariance import ledoit_wolf
    from sklearn.utils.extmath import randomized_svd

    x, label, patient = known.features[rows], known.label[rows], known.patient[rows]
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    scale = np.maximum(deviation, max(FLOOR * float(np.median(deviation)), 1e-6))
    standard = (x - mean) / scale
    dims = min(directions(known), len(x) - 1)
    _, _, projection = randomized_svd(standard, dims, n_iter=5, random_state=seed)
    inside = standard @ projection.T
    shared = [k for k in np.unique(label) if k >= 0 and len(np.unique(patient[label == k])) >= LEAST_PATIENTS]
    if not shared:
        means, own = np.zeros((1, dims)), inside
    else:
        means = np.stack([inside[label == k].mean(axis=0) for k in shared])
        own = np.concatenate([inside[label == k] - means[place] for place, k in enumerate(shared)])
    covariance = ledoit_wolf(own, assume_centered=True)[0]
    return _Fit(mean, scale, projection, means, covariance + 1e-9 * np.trace(covariance) / dims * np.eye(dims))


def measured_range(x: Floats, names: Sequence[str], patient: Rows, *, rate: float) -> dict[str, Any] | None:
    """Return usual ends of measurements and the share of a case's that may lie beyond them; None of too few patients.

    Parameters
    ----------
    x
        Measurements of cases ``(N, F)`` as they are taken in use, NaN where one could not be.
    names
        Of the columns.
    patient
        Number of each one's patient.
    rate
        Share of cases of the same kind that may be marked.
    """
    if len(np.unique(patient)) < FEWEST_PATIENTS:
        return None
    kept, low, high = [], [], []
    for column in range(len(names)):
        taken = np.isfinite(x[:, column])
        if len(np.unique(patient[taken])) < FEWEST_PATIENTS:
            continue
        smallest = np.sort(-per_patient(-x[taken, column], patient[taken]))
        largest = per_patient(x[taken, column], patient[taken])
        kept.append(column)
        low.append(shared_quantile(smallest, 0.01))
        high.append(shared_quantile(largest, 0.99))
    if not kept:
        return None
    share = per_patient(share_beyond(x[:, kept], low, high), patient)
    # Half of the measurements beyond every usual one is no tail of the same kind of case.
    limit = max(shared_quantile(share, 1 - rate), 0.5)
    return {"features": [names[n] for n in kept], "low": low, "high": high, "limit": min(limit, 0.99)}


def refuse_empty(known: Known) -> None:
    """Refuse to say what no training cases look like.

    Raises
    ------
    InputError
        When there are none.
    """
    if not len(known.features):
        raise InputError(
            "there is no training case to say what the model's images look like",
            where="the learning and validation cases",
            fix="give labelled cases to learn from",
        )


def per_patient(values: Floats, patient: Rows) -> Floats:
    """Return the largest value of each patient, sorted."""
    place = np.unique(patient, return_inverse=True)[1]
    largest = np.full(int(place.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(largest, place, values)
    return np.sort(largest)


def tail_of(ordered: Floats, share: float) -> float:
    """Return about the number above which a share of the patients lies, told by numbers that five of them share.

    Of few patients the fifth from the end is no such number: one in eight of forty lie above it. It is then as much
    farther from the middle as it would be of a normal distribution, and somewhat more, since its own place is a guess:
    with the variance of a quantile (Cramer 1946, section 28.5) as that of Student's t, expanded as in Abramowitz and
    Stegun 26.7.5.

    Parameters
    ----------
    ordered
        A number a patient, sorted.
    share
        Of patients of the same kind. Of few patients no less than `RATE`, so that a limit that is a guess does not run
        away from those who are of another kind.
    """
    middle, outer = shared_quantile(ordered, 0.5), shared_quantile(ordered, 1 - share)
    return middle + max(outer - middle, 0.0) * farther(len(ordered), share)


def farther(patients: int, share: float) -> float:
    """Return how many times as far from the middle as the fifth from the end the number above which a share of so many
    patients lies is, see :func:`tail_of`; 1 where five or more lie above it. Of fewer than ten it is no number.
    """
    told = (LEAST_PATIENTS - 0.5) / patients
    share = max(share, RATE)
    if told <= share:
        return 1.0
    normal = NormalDist()
    end, reached = normal.inv_cdf(1 - share), normal.inv_cdf(1 - told)
    error = told * (1 - told) / patients / (normal.pdf(reached) * reached) ** 2
    return (end + (end**3 + end) * error / 2) / reached


def rounded(values: npt.ArrayLike) -> Any:
    """Return numbers with the digits that ship, as nested lists."""
    digits = np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"), otypes=[np.float64])
    return digits(np.asarray(values, dtype=np.float64)).tolist()


def _count(patient: Rows) -> int:
    return len(np.unique(patient))


def _enough(known: Known) -> bool:
    if known.held is None:
        return len(np.unique(known.patient)) >= FEWEST_PATIENTS
    return all(len(np.unique(known.patient[part])) >= FEWEST_PATIENTS for part in (known.unseen, ~known.held))


def _middle_and_spread(apart: Floats, patient: Rows) -> tuple[Floats, Floats]:
    """Return the middle of each distance and its standard deviation by the quartiles, over patients."""
    found = []
    for column in apart.T:
        largest = per_patient(column, patient)
        found.append((shared_quantile(largest, 0.5), max(_deviation(largest), 1e-3)))
    return np.array([one[0] for one in found]), np.array([one[1] for one in found])


def _deviation(ordered: Floats) -> float:
    """Return the standard deviation of a normal distribution with these quartiles."""
    return (shared_quantile(ordered, 0.75) - shared_quantile(ordered, 0.25)) / 1.349


def _folds(patient: Rows, seed: int) -> Rows:
    """Return the fold of each case; a patient is in one."""
    place = np.unique(patient, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(int(place.max(initial=-1)) + 1)
    return np.asarray(order[place] % FOLDS, dtype=np.int64)
