"""Whether the whole road learns from labels that mean nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit

NAME = "label-permutation"
FEWEST = 5
"""Permutations from which on a mean means something."""
BAND = 3.2905
"""Standard errors on either side of 0.5: 99.9 % of means lie between."""


def permuted_labels(
    labels: npt.NDArray[Any], patients: npt.NDArray[Any], stream: np.random.Generator
) -> npt.NDArray[Any]:
    """Return the labels dealt out anew between patients, so that a patient's cases stay as alike as they were.

    Patients are put in random order and their labels, one patient's after the other, are given to the patients in their
    own order. Where all patients have equally many cases each takes over another's labels whole.

    Parameters
    ----------
    labels
        ``(cases,)`` or ``(cases, labels)``.
    patients
        Whose each case is, ``(cases,)``.
    stream
        Of random numbers.
    """
    codes, found = pd.factorize(patients, use_na_sentinel=False)
    place = np.argsort(codes, kind="stable")
    rank = stream.permutation(len(found))
    taken = np.argsort(rank[codes], kind="stable")
    out = labels.copy()
    out[place] = labels[taken]
    return out


def label_permutation(
    aurocs: Sequence[float], class_counts: Sequence[tuple[int, int]], cases_a_patient: float, *, seconds: float | None
) -> Audit:
    """Judge the AUROC of networks that were trained, through the same road, on permuted labels.

    Without a fault the mean lies around 0.5. Its band follows from the variance of the Mann-Whitney statistic when
    there is nothing to tell, ``(n1 + n0 + 1) / (12 n1 n0)`` (Mann and Whitney, Ann Math Stat 18:50, 1947), times the
    mean number of cases a patient, as if a patient's cases were all alike; of several classes or labels the mean of
    their standard errors, as if they were all alike too.

    Parameters
    ----------
    aurocs
        One a permutation, NaN where one could not be taken.
    class_counts
        Positive and negative cases of each AUROC that is averaged, among those that were weighed.
    cases_a_patient
        Mean number.
    seconds
        Time that each permutation was given; None for a plan of fixed steps.
    """
    found = np.array([value for value in aurocs if np.isfinite(value)])
    counts = [(float(one), float(other)) for one, other in class_counts if one and other]
    if len(found) < FEWEST or not counts:
        needed = f"{len(found)} permutations could be weighed, and {FEWEST} are needed"
        advice = f"{needed}: give `semeion audit --full` more time."
        return Audit(NAME, "not_run", "full", {"permutations": len(found)}, (), advice)
    error = float(np.mean([math.sqrt((one + other + 1) / (12 * one * other)) for one, other in counts]))
    error *= math.sqrt(max(1.0, cases_a_patient) / len(found))
    mean = float(found.mean())
    figures: dict[str, Any] = {
        "permutations": len(found),
        "auroc_mean": mean,
        "auroc_min": float(found.min()),
        "auroc_max": float(found.max()),
        "band_low": 0.5 - BAND * error,
        "band_high": 0.5 + BAND * error,
        "seconds_each": seconds,
    }
    told = f"With permuted labels the mean AUROC of {len(found)} trainings is {mean:.3f}"
    band = f"{figures['band_low']:.3f} to {figures['band_high']:.3f}"
    if abs(mean - 0.5) > BAND * error:
        advice = (
            f"{told}, outside {band}, where 99.9 % would lie: something tells the labels of held-out cases that is not "
            "in their images. Look for copies, for cases of one patient under two ids, and for whatever was chosen on "
            "all cases."
        )
        return Audit(NAME, "warn", "full", figures, (), advice)
    return Audit(NAME, "clear", "full", figures, (), f"{told}, within {band}: the road learns nothing from noise.")
