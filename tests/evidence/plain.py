"""What a page says of predictions, one case and one threshold at a time: loops, scikit-learn and closed forms.

Slow on purpose, and without a line of the package: what the pages print is held against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import logsumexp
from scipy.stats import norm

from evidence import naive

Z = float(norm.ppf(0.975))


def figures(y: np.ndarray, p: np.ndarray, call: np.ndarray, names: Sequence[str], task: str) -> dict[str, float]:
    """Values of all figures; `names` are those of the classes as they stand in a figure's name, the second positive."""
    ones = np.ones(len(y))
    if task == "regression":
        return naive.regression(y, p, ones)
    if task == "binary":
        found = naive.binary(y, p[:, 1], call, ones)
        found["calibration_slope"], found["calibration_intercept"] = slope_and_intercept(y, p[:, 1])
    else:
        found = naive.several(y, p, call, ones)
        found["calibration_slope"] = multinomial_slope(y, p)
    for kind in ("precision", "recall", "f1"):
        for code, name in enumerate(names):
            found[f"{kind}_{name}"] = found.pop(f"{kind}_{code}")
    return found


def slope_and_intercept(y: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """Logistic regression of the truth on logit p by Newton's steps, to machine precision."""
    x = np.column_stack([np.ones(len(p)), np.log(p / (1 - p))])

    def loss(b: np.ndarray) -> float:
        return float(np.logaddexp(0, x @ b).sum() - y @ (x @ b))

    if p[y == 1].min() >= p[y == 0].max():
        return float("nan"), float("nan")
    # Newton's steps alone may run away; from near the end they square the error.
    b = minimize(loss, np.zeros(2)).x
    for _ in range(30):
        q = 1 / (1 + np.exp(-x @ b))
        b = b + np.linalg.solve(x.T @ (x * (q * (1 - q))[:, None]), x.T @ (y - q))
    return float(b[1]), float(b[0])


def platt(y: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the logit for Platt's targets, drawn in from 0 and 1 by one case of either class."""
    aims = np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / (len(y) - y.sum() + 2))
    x = np.column_stack([np.ones(len(p)), np.log(p / (1 - p))])
    b = minimize(lambda b: float(np.logaddexp(0, x @ b).sum() - aims @ (x @ b)), np.zeros(2)).x
    for _ in range(30):
        q = 1 / (1 + np.exp(-x @ b))
        b = b + np.linalg.solve(x.T @ (x * (q * (1 - q))[:, None]), x.T @ (aims - q))
    return float(b[1]), float(b[0])


def multinomial_slope(y: np.ndarray, p: np.ndarray) -> float:
    """The one factor of log p that makes the truth most likely: the root of the derivative of its log."""
    log_p = np.log(p)
    own = log_p[np.arange(len(y)), y].sum()

    def score(s: float) -> float:
        power = np.exp(s * log_p - logsumexp(s * log_p, axis=1, keepdims=True))
        return float(own - (power * log_p).sum())

    return float(brentq(score, 1e-3, 50, xtol=1e-15, rtol=1e-14))


def temperature(y: np.ndarray, raw: np.ndarray) -> float:
    """The temperature of the least log loss: one over the factor above."""
    return 1 / multinomial_slope(y, raw)


def counts(y: np.ndarray, call: np.ndarray, k: int) -> list[list[int]]:
    return [[sum(1 for a, b in zip(y, call, strict=True) if (a, b) == (i, j)) for j in range(k)] for i in range(k)]


def four(positive: np.ndarray, called: np.ndarray) -> dict[str, int]:
    pairs = list(zip(positive.tolist(), called.tolist(), strict=True))
    return {
        "tp": pairs.count((True, True)),
        "fp": pairs.count((False, True)),
        "tn": pairs.count((False, False)),
        "fn": pairs.count((True, False)),
    }


def roc(positive: np.ndarray, p: np.ndarray, thresholds: Sequence[float | None]) -> dict[str, list[float]]:
    called = [np.zeros(len(p), dtype=bool) if t is None else p >= t for t in thresholds]
    return {"x": [float(c[~positive].mean()) for c in called], "y": [float(c[positive].mean()) for c in called]}


def precision_recall(positive: np.ndarray, p: np.ndarray, thresholds: Sequence[float | None]) -> dict[str, list[float]]:
    """Where nothing is called the recall is 0 and the precision that of the first call."""
    recall = [0.0 if t is None else float((p >= t)[positive].mean()) for t in thresholds]
    precision = [float(positive[p >= (p.max() if t is None else t)].mean()) for t in thresholds]
    return {"x": recall, "y": precision}


def groups(p: np.ndarray, most: int) -> list[np.ndarray]:
    """Cases in at most `most` groups of about equally many, rising; equal probabilities never part."""
    ranked = sorted(p.tolist())
    edges = sorted({ranked[-(-k * len(p) // most) - 1] for k in range(1, most)})
    number = np.array([sum(edge < value for edge in edges) for value in p])
    return [np.flatnonzero(number == k) for k in sorted(set(number.tolist()))]


def wilson(hits: float, n: float) -> tuple[float, float]:
    """The two shares from which the observed one lies 1.96 of their own standard errors away."""
    observed = hits / n
    low, high = sorted(np.roots([1 + Z**2 / n, -(2 * observed + Z**2 / n), observed**2]).real)
    return (0.0 if hits == 0 else float(low)), (1.0 if hits == n else float(high))


def reliability_bins(positive: np.ndarray, p: np.ndarray, most: int) -> dict[str, list[float]]:
    found = groups(p, most)
    ends = [wilson(positive[group].sum(), len(group)) for group in found]
    return {
        "x": [float(p[group].mean()) for group in found],
        "y": [float(positive[group].mean()) for group in found],
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
        "n": [len(group) for group in found],
    }


def smooth(y: np.ndarray, p: np.ndarray, at: Sequence[float]) -> list[float]:
    """A weighted line through the nearest two thirds of the cases (tricube), each probability standing for itself."""
    distinct, found = np.unique(p), []
    for point in at:
        far = np.abs(p - point)
        reach = np.sort(far)[int(np.ceil(2 / 3 * len(p) - 1e-9)) - 1]
        reach = max(reach, 1.5 * np.sort(np.abs(distinct - point))[1])
        weight = np.clip(1 - (far / reach) ** 3, 0, 1) ** 3
        root = np.sqrt(weight)
        design = np.column_stack([np.ones(len(p)), p - point])
        line = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
        found.append(float(np.clip(line[0], 0, 1)))
    return found


def grid(p: np.ndarray) -> list[float]:
    """Where the smooth curve stands: half of its points evenly over the probabilities, half where the cases are."""
    even = np.linspace(p.min(), p.max(), 51).tolist()
    points = sorted({*even, *np.quantile(p, [k / 51 for k in range(1, 51)]).tolist()})
    return [b for a, b in pairwise([-1.0, *points]) if b - a > 1e-9]


def recalibrated(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """What is compared before and after recalibration, of the probability of the positive class."""
    slope, intercept = slope_and_intercept(y, p)
    x = grid(p)
    errors = calibration_errors(y, p, x, smooth(y, p, x))
    return {
        "log_loss": float(-np.log(np.where(y == 1, p, 1 - p)).mean()),
        "brier": errors["brier"],
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "ici": errors["ici"],
        "ece_adaptive": errors["ece_adaptive"],
    }


def calibration_errors(y: np.ndarray, p: np.ndarray, x: Sequence[float], curve: Sequence[float]) -> dict[str, float]:
    """The errors against the smooth curve, in bins, and the parts of Brier's score in the same bins."""
    n, bins = len(y), groups(p, max(1, min(15, len(y) // 10)))
    away = np.sort(np.abs(np.interp(p, x, curve) - p))
    mean = [(len(b), p[b].mean(), y[b].mean()) for b in bins]
    return {
        "ici": float(away.mean()),
        "e50": float(away[int(np.ceil(0.5 * n - 1e-9)) - 1]),
        "e90": float(away[int(np.ceil(0.9 * n - 1e-9)) - 1]),
        "ece_adaptive": sum(m * abs(a - b) for m, a, b in mean) / n,
        "brier": float(((p - y) ** 2).mean()),
        "brier_reliability": sum(m * (a - b) ** 2 for m, a, b in mean) / n,
        "brier_resolution": sum(m * (b - y.mean()) ** 2 for m, _, b in mean) / n,
        "brier_uncertainty": float(y.mean() * (1 - y.mean())),
        "brier_within_variance": sum(float(((p[b] - p[b].mean()) ** 2).sum()) for b in bins) / n,
        "brier_within_covariance": 2
        * sum(float(((p[b] - p[b].mean()) * (y[b] - y[b].mean())).sum()) for b in bins)
        / n,
    }


def error_by_chance(y: np.ndarray, p: np.ndarray) -> float:
    bins = groups(p, max(1, min(15, len(y) // 10)))
    return float(sum(np.sqrt(2 / np.pi * (p[b] * (1 - p[b])).sum()) for b in bins) / len(y))


def net_benefit(positive: np.ndarray, called: np.ndarray, threshold: float) -> float:
    found = four(positive, called)
    return (found["tp"] - found["fp"] * threshold / (1 - threshold)) / len(positive)


def decision(positive: np.ndarray, p: np.ndarray) -> dict[str, list[float]]:
    thresholds = [k / 100 for k in range(1, 100)]
    everyone = np.ones(len(p), dtype=bool)
    model = [net_benefit(positive, p >= t, t) for t in thresholds]
    treat_all = [net_benefit(positive, everyone, t) for t in thresholds]
    return {
        "threshold": thresholds,
        "model": model,
        "treat_all": treat_all,
        "gain": [a - max(b, 0) for a, b in zip(model, treat_all, strict=True)],
        "standardised": [a / float(positive.mean()) for a in model],
    }


def predictive_values(positive: np.ndarray, called: np.ndarray, prevalence: float) -> tuple[float, float]:
    se, sp = float(called[positive].mean()), float((~called[~positive]).mean())
    ppv = se * prevalence / (se * prevalence + (1 - sp) * (1 - prevalence))
    return ppv, sp * (1 - prevalence) / (sp * (1 - prevalence) + (1 - se) * prevalence)


def answered(sure: np.ndarray, coverage: float) -> np.ndarray:
    """The surest cases, equally sure ones together, the fewest that make up at least this share."""
    for least in sorted(set(sure.tolist()), reverse=True):
        kept = sure >= least
        if kept.sum() >= coverage * len(sure) - 1e-9:
            return kept
    raise AssertionError


def youden(y: np.ndarray, p: np.ndarray) -> float:
    """The middle of the gap in which sensitivity and specificity sum to most, as the package's rule for ties has it."""
    values = sorted(set(p.tolist()))
    ends = [0.0, *values, 1.0]
    gaps = [pair for pair in pairwise(ends) if pair[1] > pair[0] or pair[1] == 1]
    gaps = gaps[:-1] if values[-1] == 1 else gaps
    best, kept = -1, []
    positives = int(y.sum())
    for number, (_, high) in enumerate(gaps):
        called = p >= high if number < len(values) else np.zeros(len(p), dtype=bool)
        found = four(y == 1, called)
        score = found["tp"] * (len(y) - positives) + found["tn"] * positives
        if score > best:
            best, kept = score, []
        if score == best:
            kept.append(number)
    runs: list[list[int]] = []
    for number in kept:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    widest = max(runs, key=lambda run: gaps[run[-1]][1] - gaps[run[0]][0])
    middle = (gaps[widest[0]][0] + gaps[widest[-1]][1]) / 2
    low, high = next(gaps[number] for number in widest if gaps[number][1] >= middle)
    return (low + high) / 2


def shares_at_use(p: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Saerens, Latinne and Decaestecker's expectation-maximisation, round after round until nothing moves."""
    at_use = prior.copy()
    for _ in range(200_000):
        each = p * at_use / prior
        moved = (each / each.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(moved - at_use).max() < 1e-16:
            break
        at_use = moved
    return at_use


def reweighed(p: np.ndarray, prior: np.ndarray, at_use: np.ndarray) -> np.ndarray:
    raised = p * at_use / prior
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def moved_point(point: float, prior: float, at_use: float) -> float:
    odds = point / (1 - point) * at_use / prior * (1 - prior) / (1 - at_use)
    return odds / (1 + odds)


def largest_scores(y: np.ndarray, p: np.ndarray, patient: np.ndarray, kept: np.ndarray) -> dict[str, float]:
    """The worst ``1 - p`` of the truth over the cases of each patient that are kept."""
    found: dict[str, float] = {}
    for case in np.flatnonzero(kept):
        found[patient[case]] = max(found.get(patient[case], 0.0), 1 - p[case, y[case]])
    return found


def sets_by_threshold(
    y: np.ndarray, p: np.ndarray, patient: np.ndarray, new: np.ndarray, coverage: float, *, per_class: bool
) -> np.ndarray:
    """Split conformal sets: the classes that fit no worse than the patient of rank ``ceil((n + 1) * coverage)``."""
    sets = np.zeros(new.shape, dtype=bool)
    for code in range(new.shape[1]):
        scores = sorted(largest_scores(y, p, patient, (y == code) | (not per_class)).values())
        sets[:, code] = 1 - new[:, code] <= scores[int(np.ceil((len(scores) + 1) * coverage - 1e-9)) - 1]
    return sets


def sets_across(
    y: np.ndarray,
    p: np.ndarray,
    patient: np.ndarray,
    fold: np.ndarray,
    new: dict[int, np.ndarray],
    coverage: float,
    *,
    per_class: bool,
) -> np.ndarray:
    """CV+ sets: a class stays unless it fits worse than too many patients, each compared by its own fold's model."""
    folds = dict(zip(patient.tolist(), fold.tolist(), strict=True))
    first = next(iter(new.values()))
    sets = np.zeros(first.shape, dtype=bool)
    for code in range(first.shape[1]):
        scores = largest_scores(y, p, patient, (y == code) | (not per_class))
        for case in range(len(first)):
            better = sum(score < 1 - new[folds[who]][case, code] for who, score in scores.items())
            sets[case, code] = better < coverage * (len(scores) + 1) - 1e-9
    return sets


def of_sets(
    y: np.ndarray, patient: np.ndarray, sets: np.ndarray, kept: np.ndarray
) -> dict[str, tuple[float, int, int]]:
    """Value, cases and patients of every figure of sets, among the cases that are kept."""
    held, size = sets[np.arange(len(y)), y], sets.sum(axis=1)
    one = kept & (size == 1)
    whole = int(kept.sum()), len(set(patient[kept].tolist()))
    people = [held[kept & (patient == who)].all() for who in sorted(set(patient[kept].tolist()))]
    return {
        "coverage": (float(held[kept].mean()), *whole),
        "size": (float(size[kept].mean()), *whole),
        "singletons": (float((size[kept] == 1).mean()), *whole),
        "several": (float((size[kept] > 1).mean()), *whole),
        "empty": (float((size[kept] == 0).mean()), *whole),
        "right_among_singletons": (
            float(held[one].mean()) if one.any() else float("nan"),
            int(one.sum()),
            len(set(patient[one].tolist())),
        ),
        "patient_coverage": (float(np.mean(people)), len(people), len(people)),
    }


def shared(scores: Iterable[float], coverage: float) -> float | None:
    """Return the lowest mean of five neighbours that hold the conformal threshold and are not below it; None: none."""
    ordered = sorted(float(score) for score in scores)
    rank = math.ceil((len(ordered) + 1) * coverage - 1e-9)
    if rank + 4 > len(ordered):
        return None
    runs = [ordered[k : k + 5] for k in range(len(ordered) - 4) if k < rank <= k + 5]
    means = [run[0] if run[0] == run[-1] else math.fsum(run) / 5 for run in runs]
    enough = [mean for mean in means if mean >= ordered[rank - 1]]
    return min(1.0, math.ceil(min(enough) * 1e6) / 1e6)
