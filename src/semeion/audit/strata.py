"""Parts that nobody named, where a model fails although it is good on the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.audit.audit import Audit, counted
from semeion.audit.judged import Floats, Judged
from semeion.audit.levels import FEWEST_CASES, Level, levels_of
from semeion.audit.permutation import permuted_labels

CLUSTERS = 6
GAP = 0.1
"""Share of wrong calls above that of all cases from which on a part is warned of..."""
SURE = 0.01
"""...when chance makes it this seldom; below `LIKELY` it is noted."""
LIKELY = 0.05
PERMUTATIONS = 500


def hidden_strata(judged: Judged, embedding: Floats | None = None) -> Audit:
    """Look for a cluster of alike images, or a level of a given column, where the model errs far more than elsewhere.

    Clusters are of `embedding` (k-means on its standardised principal components, seeded). The worst share of wrong
    calls over all parts is held against that of cases whose errors are shuffled between patients, so that having looked
    at many parts is paid for. A warning needs p below 0.01 and a share of wrong calls that is 0.1 above the whole.

    Parameters
    ----------
    judged
        The cases.
    embedding
        What images look like, ``(cases, features)``, NaN where unknown; None: only given columns part the cases.
    """
    name = "hidden-strata"
    if judged.question.task == "regression":
        return Audit(name, "not_run", "train", advice="Measured values are not looked at.")
    parts = levels_of(judged.columns)
    clusters = _clusters(embedding, judged.seed) if embedding is not None else None
    if clusters is not None:
        parts += [Level("cluster", str(k), clusters == k) for k in np.unique(clusters[clusters >= 0])]
        parts = [part for part in parts if part.rows.sum() >= FEWEST_CASES]
    if not parts:
        return Audit(
            name,
            "not_run",
            "train",
            advice=f"Neither columns nor clusters of images part these cases into groups of {FEWEST_CASES} or more.",
        )
    patients = len(np.unique(judged.cases.patient))
    if patients < FEWEST_CASES:
        advice = f"Errors of {patients} patients are too few to tell a part that fails from a patient who does."
        return Audit(name, "not_run", "train", advice=advice)
    wrong = judged.wrong()
    rows = np.stack([part.rows for part in parts]).astype(np.float64)
    sizes = rows.sum(axis=1)
    shares = rows @ wrong / sizes
    whole = float(wrong.mean())
    # A small part errs more often by chance alone: parts are ranked by standard errors above the whole.
    error = np.sqrt(max(whole * (1 - whole), 1e-12) / sizes)
    worst = int(np.argmax((shares - whole) / error))
    statistic = float(((shares - whole) / error)[worst])
    p = _permuted(rows, wrong, judged.cases.patient, statistic, whole, error, judged.seed)
    part = parts[worst]
    figures: dict[str, Any] = {
        "parts": len(parts),
        "clusters": 0 if clusters is None else int(clusters.max()) + 1,
        "wrong": whole,
        "worst_part": f"{part.column} {part.name}",
        "worst_wrong": float(shares[worst]),
        "worst_cases": int(sizes[worst]),
        "p": p,
    }
    told = (
        f"In {part.column} {part.name} ({counted(int(sizes[worst]), 'case')}) {shares[worst]:.0%} of the calls are "
        f"wrong, and {whole:.0%} on the whole"
    )
    if p < SURE and shares[worst] - whole >= GAP:
        ids = tuple(str(one) for one in judged.ids[part.rows & (wrong > 0)])
        advice = f"{told}. Look at the listed cases: what do they have in common? Say so, and bring more of them."
        return Audit(name, "warn", "train", figures, ids, advice)
    if p < LIKELY:
        return Audit(name, "note", "train", figures, (), f"{told}; that may be chance.")
    looked = "columns and clusters of alike images" if clusters is not None else "the given columns"
    return Audit(name, "clear", "train", figures, (), f"No part fails more than chance allows ({looked}).")


def _clusters(embedding: Floats, seed: int) -> npt.NDArray[np.int64] | None:
    """Return a cluster a case, -1 where the image is not known; None with too few cases."""
    from scipy.cluster.vq import kmeans2

    known = np.isfinite(embedding).all(axis=1)
    count = min(CLUSTERS, int(known.sum()) // (2 * FEWEST_CASES))
    if count < 2:
        return None
    x = embedding[known] - embedding[known].mean(axis=0)
    _, values, vectors = np.linalg.svd(x, full_matrices=False)
    kept = values > 1e-9 * max(float(values[0]), 1e-300)
    if not kept.any():
        return None
    coordinates = x @ vectors[kept][:10].T
    coordinates /= coordinates.std(axis=0)
    _, labels = kmeans2(coordinates, count, minit="++", rng=np.random.default_rng(seed), iter=50)
    out = np.full(len(embedding), -1, dtype=np.int64)
    out[known] = np.unique(labels, return_inverse=True)[1]
    return out


def _permuted(
    rows: Floats,
    wrong: Floats,
    patients: npt.NDArray[np.int64],
    statistic: float,
    whole: float,
    error: Floats,
    seed: int,
) -> float:
    """Return how often the worst part of shuffled errors is as bad; the errors of a patient stay together."""
    sizes = rows.sum(axis=1)
    # A patient's errors go to another patient, so that dependence within patients does not pass for a cluster.
    stream = np.random.default_rng(seed)
    count = 0
    for _ in range(PERMUTATIONS):
        shuffled = permuted_labels(wrong, patients, stream)
        count += float((((rows @ shuffled) / sizes - whole) / error).max()) >= statistic - 1e-12
    return (count + 1) / (PERMUTATIONS + 1)
