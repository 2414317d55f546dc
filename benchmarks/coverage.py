"""Simulated coverage of the intervals: how often they hold a truth that is known, by patients, events and clusters.

Scores are normal in each class, so that the truth of every figure has a closed form or is an integral over one axis.
Cohorts are drawn as a hospital's would be, the number of events left to chance. Clustered ones have four cases a
patient: half of the patients have cases of one class only, and scores of a patient are correlated by one half. The
truth is that of a single case, the same in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import record
from semeion.evidence.intervals.delong import delong
from semeion.evidence.intervals.proportions import clustered_wilson
from semeion.evidence.measuring import Drawing, measured
from semeion.evidence.question import Question
from semeion.evidence.table import split_cases, validate_predictions
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import answer_of

TRIALS, RESAMPLES, SEED = 1000, 2000, 20
APART = 1.5
"""Distance of the classes in standard deviations: an AUROC of 0.856."""
STEEP = 1.25
"""What the log odds are multiplied by, so that the slope is not 1 but 0.8."""
TOGETHER, CORRELATION = 4, 0.5
"""Cases of a patient and their correlation, where they are clustered."""
FIGURES = ("auroc", "recall", "specificity", "brier", "calibration_slope", "accuracy", "auprc", "precision")
QUESTION = Question("finding", "binary", ("0", "1"), "1")


@dataclass(frozen=True)
class Design:
    """Patients, expected events (positive cases), and whether patients have several cases."""

    patients: int
    events: int
    clustered: bool

    @property
    def cases(self) -> int:
        """Cases in all."""
        return self.patients * (TOGETHER if self.clustered else 1)

    @property
    def share(self) -> float:
        """Chance that a case is positive; also where it is called so."""
        return self.events / self.cases

    @property
    def row(self) -> str:
        """Name of the row."""
        return f"coverage-{self.patients}-{self.events}{'-clustered' if self.clustered else ''}"


def probability(z: np.ndarray, share: float) -> np.ndarray:
    """Return the model's probability at a score."""
    odds = np.log(share / (1 - share)) + APART * z - APART**2 / 2
    return np.asarray(1 / (1 + np.exp(-STEEP * odds)))


def truth(share: float) -> dict[str, float]:
    """Return the true figures where a case is positive with the chance `share`."""
    from scipy.stats import norm

    z = np.linspace(-12, 12 + APART, 400_001)
    p = probability(z, share)
    high, low = norm.pdf(z, APART), norm.pdf(z)
    recall, passed = norm.sf(z, APART), norm.sf(z)
    with np.errstate(invalid="ignore"):
        precision = np.nan_to_num(share * recall / (share * recall + (1 - share) * passed), nan=1.0)
    cut = int(np.searchsorted(p, share))
    found, right = float(recall[cut]), float(1 - passed[cut])
    return {
        "auroc": float(norm.cdf(APART / np.sqrt(2))),
        "recall": found,
        "specificity": right,
        "brier": float(np.trapezoid(share * high * (1 - p) ** 2 + (1 - share) * low * p**2, z)),
        "calibration_slope": 1 / STEEP,
        "accuracy": share * found + (1 - share) * right,
        "auprc": float(np.trapezoid(high * precision, z)),
        "precision": float(precision[cut]),
    }


def cohort(design: Design, rng: np.random.Generator) -> pd.DataFrame:
    """Return predictions of one cohort."""
    n, per = design.cases, design.cases // design.patients
    patient = np.repeat(np.arange(design.patients), per)
    own = rng.random(n) < design.share
    pure = np.repeat(rng.random(design.patients) < 0.5, per)
    y = np.where(pure, np.repeat(own[::per], per), own).astype(int)
    common = np.repeat(rng.normal(size=design.patients), per)
    within = CORRELATION if design.clustered else 0.0
    z = APART * y + np.sqrt(within) * common + np.sqrt(1 - within) * rng.normal(size=n)
    p = probability(z, design.share)
    return pd.DataFrame(
        {
            "case_id": [f"c{case:06}" for case in range(n)],
            "patient_id": [f"p{number:06}" for number in patient],
            "split": "test",
            "fold": -1,
            "member": "ensemble",
            "target": "finding",
            "y_true": y.astype(str),
            "p_0": 1 - p,
            "p_1": p,
        }
    )


def ends(design: Design, trial: int, resamples: int) -> dict[str, tuple[float | None, float | None, str]]:
    """Return low and high end of every interval of one cohort, and the method or the warning behind it."""
    table = cohort(design, np.random.default_rng([SEED, trial, design.cases, design.events, design.clustered]))
    points = OperatingPoints("youden", design.share)
    # What weigh() does for these figures, without the curves and utilities that it gives besides.
    (cases,) = split_cases(validate_predictions(table, QUESTION).sort_values(["patient_id", "case_id"]), QUESTION)
    metrics = measured([answer_of(cases[0], QUESTION, points)], QUESTION, Drawing(resamples, trial, 1))[0][0]
    found = {}
    for name in FIGURES:
        entry = metrics[name]
        warned = "unreliable" if "unreliable" in entry.get("reason", "") else ""
        found[name] = (entry["low"], entry["high"], warned or ("bca" if "BCa" in entry["method"] else "score"))
    y, patient = table["y_true"].to_numpy() == "1", pd.factorize(table["patient_id"])[0]
    called = table["p_1"].to_numpy() >= design.share
    everyone = np.ones(len(y), dtype=bool)
    for name, hit, counts in (
        ("recall", called, y),
        ("specificity", ~called, ~y),
        ("accuracy", called == y, everyone),
        ("precision", y, called),
    ):
        if counts.any():
            span = clustered_wilson(hit[counts], patient[counts])
            found[f"{name} by Wilson"] = (span.low, span.high, "")
    return found


def simulate(design: Design, trials: int = TRIALS, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Return the coverage of each interval, where it missed, how wide it was, and how it came about."""
    true = truth(design.share)
    drawn = [ends(design, trial, resamples) for trial in range(trials)]
    figures = {}
    for name in dict.fromkeys(key for one in drawn for key in one):
        spans = [one[name] for one in drawn if name in one and one[name][0] is not None]
        low, high = (np.array([span[end] for span in spans], dtype=float) for end in (0, 1))
        value = true[name.split(" by ")[0]]
        kinds = [span[2] for span in spans]
        figures[name] = {
            "truth": round(value, 4),
            "coverage": round(float(((low <= value) & (value <= high)).mean()), 4),
            "truth_below": round(float((value < low).mean()), 4),
            "truth_above": round(float((value > high).mean()), 4),
            "median_width": round(float(np.median(high - low)), 4),
            "without_interval": trials - len(spans),
            **({kind: kinds.count(kind) for kind in ("bca", "score", "unreliable")} if any(kinds) else {}),
        }
    return {
        "patients": design.patients,
        "cases": design.cases,
        "expected_events": design.events,
        "clustered": design.clustered,
        "trials": trials,
        "resamples": resamples,
        # Two standard errors of a coverage of 95 %.
        "uncertainty": round(2 * float(np.sqrt(0.95 * 0.05 / trials)), 4),
        "figures": figures,
    }


def delong_row() -> None:
    """Simulate DeLong's interval alone, which needs no draws: about the logit, as reported, and about the area."""
    designs = []
    for design in DESIGNS:
        true, hits = truth(design.share)["auroc"], []
        for trial in range(TRIALS):
            table = cohort(design, np.random.default_rng([SEED, trial, design.cases, design.events, design.clustered]))
            patient = pd.factorize(table["patient_id"])[0]
            area = delong(table["y_true"].to_numpy() == "1", table["p_1"].to_numpy()[None], patient)
            reported = area.interval()
            if reported is not None:
                half = NormalDist().inv_cdf(0.975) * float(np.sqrt(area.covariance[0, 0]))
                plain = (area.values[0] - half, area.values[0] + half)
                hits.append([low <= true <= high for low, high in (reported, plain)])
        logit, straight = (round(float(share), 4) for share in np.mean(hits, axis=0))
        designs.append(
            {
                "row": design.row,
                "coverage": {"about_the_logit": logit, "about_the_area": straight},
                "without_interval": TRIALS - len(hits),
            }
        )
    record("coverage-delong", "python -m benchmarks coverage-delong", {"trials": TRIALS, "designs": designs}, seed=SEED)


def row(design: Design) -> None:
    """Simulate and record one design."""
    record(design.row, f"python -m benchmarks {design.row}", simulate(design), seed=SEED)


DESIGNS = tuple(
    Design(patients, events, clustered)
    for clustered, sizes in (
        (False, ((30, 10), (50, 10), (100, 10), (100, 25), (200, 20), (200, 50), (200, 100), (1000, 50), (1000, 250))),
        (True, ((30, 30), (50, 50), (200, 50), (200, 100), (200, 200), (500, 200))),
    )
    for patients, events in sizes
)
ROWS: dict[str, Callable[[], None]] = {design.row: partial(row, design) for design in DESIGNS}
ROWS["coverage-delong"] = delong_row
