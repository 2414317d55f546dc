"""What a cohort's training images are and say of themselves, for the manifest's ``inputs``: only what five patients
share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.model.manifest_inputs import Intensity
from semeion.prepare.covariate_fit import shared_quantile
from semeion.prepare.covariates import LEAST_PATIENTS
from semeion.study.reference_fit import farther, per_patient

Floats = npt.NDArray[np.float64]
Whose = Sequence[Any] | npt.NDArray[Any] | pd.Series
"""The patient of each image."""

STATED = 0.9
"""A fact of headers counts where at least this share of the training cases states it: of a few that do, no other could
be told apart."""
COVERED = 0.975
"""Share of the training cases stating a fact whose words must be among those that ship. Where headers are wrong, or
rare words right, more often than that, too many cases like these would be refused, and the fact counts for nothing."""

FEWEST_PATIENTS = 20
"""Patients below whom no end of what differs among them is told: the fifth from the end is then no end."""
END = 0.005
"""Share of the patients beyond each end that is told."""
_MOST = 10.0
"""Times by which an end of sizes lies at most beyond the fifth patient's."""


def training_intensity(prepared: npt.NDArray[np.uint8], patients: Whose, images: int = 1) -> dict[str, float] | None:
    """Return the usual brightness of prepared training images as the manifest states it, None of too few patients.

    Parameters
    ----------
    prepared
        Shape (N, C, H, W), uint8: the training images, or a random sample of them, as the network sees them; of volumes
        (N, C, D, H, W).
    patients
        Whose each of the N is.
    images
        Pictures of a case, which are looked at each for itself, as in use.
    """
    each = np.repeat(np.asarray(patients, dtype=object).astype(str), images if prepared.ndim == 4 else 1)
    if prepared.ndim == 4:
        prepared = prepared.reshape(-1, prepared.shape[1] // images, *prepared.shape[2:])
    flat = prepared.reshape(len(prepared), -1)
    ends = np.array([np.percentile(one, [0.5, 99.5]) for one in flat]).reshape(-1, 2) / 255
    dark, bright = usual_span(ends[:, 0], each), usual_span(ends[:, 1], each)
    means = usual_span(flat.mean(axis=1, dtype=np.float64) / 255, each)
    if dark is None or bright is None or means is None:
        return None
    spans = {"low": dark[0], "high": bright[1], "mean_low": means[0], "mean_high": means[1]}
    cut = {name: round(min(max(value, 0.0), 1.0), 6) for name, value in spans.items()}
    return Intensity(**cut).model_dump()


def seen_sizes(seen: pd.DataFrame, patients: Whose) -> dict[str, Any]:
    """Return ``size_seen`` of pictures or ``volumes_seen`` of volumes; nothing where an end cannot be told.

    Parameters
    ----------
    seen
        Scan of the training cases.
    patients
        Whose each is, in the same order.
    """

    def span(name: str) -> tuple[float, float] | None:
        return usual_span(seen[name].to_numpy(dtype=np.float64), patients, sizes=True)

    def whole(name: str) -> tuple[int, int] | None:
        found = span(name)
        return None if found is None else (math.floor(found[0]), math.ceil(found[1]))

    if "size_k" in seen:
        spacing, size = [span(f"spacing_{axis}") for axis in "ijk"], [whole(f"size_{axis}") for axis in "ijk"]
        return {} if None in (*spacing, *size) else {"volumes_seen": {"spacing": tuple(spacing), "size": tuple(size)}}
    rows, cols = whole("rows"), whole("cols")
    return {} if rows is None or cols is None else {"size_seen": {"rows": rows, "cols": cols}}


def usual_span(values: npt.ArrayLike, patients: Whose, *, sizes: bool = False) -> tuple[float, float] | None:
    """Return about the smallest and the largest of what patients of this kind have, told by numbers that five share.

    The fifth from each end of few patients is no end. As in :func:`semeion.study.reference_fit.tail_of` it is then
    moved away from the middle by as much as it would be of a normal distribution: up to four patients who are farther
    out have no say in it.

    Parameters
    ----------
    values
        One an image, ``(N,)``; of several a patient the most extreme counts.
    patients
        Whose each is.
    sizes
        Whether they are positive numbers that differ by factors rather than by steps.

    Returns
    -------
    tuple of float or None
        None of fewer than five patients, and of fewer than :data:`FEWEST_PATIENTS` who are not all alike.
    """
    given = np.asarray(values, dtype=np.float64)
    known = np.isfinite(given)
    given, texts = given[known], np.asarray(patients, dtype=object).astype(str)[known]
    whose = np.unique(texts, return_inverse=True)[1].astype(np.int64)
    n = len(np.unique(whose))
    if n >= LEAST_PATIENTS and given.min() == given.max():
        return float(given[0]), float(given[0])
    if n < FEWEST_PATIENTS:
        return None
    return -_end(np.sort(per_patient(-given, whose)), sizes=sizes), _end(per_patient(given, whose), sizes=sizes)


def _end(ordered: Floats, *, sizes: bool) -> float:
    """Return about the largest of numbers, one a patient, sorted; of sizes those of smallest ends are negative."""
    middle, outer = shared_quantile(ordered, 0.5), shared_quantile(ordered, 1 - END)
    times = farther(len(ordered), END)
    outer = max(outer, middle)
    if not sizes or middle * outer <= 0:
        return middle + (outer - middle) * times
    moved = math.exp(min((times - 1) * abs(math.log(outer / middle)), math.log(_MOST)))
    return float(f"{outer * moved if outer > 0 else outer / moved:.4g}")


def header_inputs(seen: pd.DataFrame, patients: pd.Series, *, stored: bool = False) -> dict[str, Any]:
    """Return ``modality``, ``body_part``, ``laterality``, of pictures ``bits`` and ``blank``, and of volumes taken as
    they are stored ``orientation``.

    Parameters
    ----------
    seen
        Scan of the training cases, with the columns of :data:`semeion.prepare.scan.COLUMNS` or of volumes.
    patients
        Whose each is, in the same order.
    stored
        Whether volumes are taken along the directions in which they are stored.
    """
    whose = patients.to_numpy(dtype=object)
    found: dict[str, Any] = {
        # What files leave out is held against none of them, so few that say it may be enough.
        "modality": _shared(seen, "modality", whose, stated=0.0),
        "body_part": _shared(seen, "body_part", whose, several=True),
        "laterality": _shared(seen, "laterality", whose),
    }
    if stored:
        found["orientation"] = _shared(seen, "orientation", whose)
    if "size_k" not in seen and "bits" in seen:
        bits = [int(text) for text in _shared(seen, "bits", whose, stated=0.0)]
        found["bits"] = (min(bits), max(bits)) if bits else None
    if "size_k" not in seen and "blank" in seen and len(seen):
        found["blank"] = told_share(seen["blank"].astype(bool).to_numpy(), whose)
    return found


def told_share(marked: npt.NDArray[np.bool_], patients: npt.NDArray[np.object_]) -> float | None:
    """Return the share of images that are marked, to two decimals: of one to four patients as that of five of all
    patients, and so of the others where these are as few; None of fewer than five patients in all.
    """
    with_mark, without = len(set(patients[marked])), len(set(patients[~marked]))
    n = len(set(patients))
    if n < LEAST_PATIENTS:
        return None
    share = float(marked.mean())
    if 0 < with_mark < LEAST_PATIENTS:
        share = LEAST_PATIENTS / n
    elif 0 < without < LEAST_PATIENTS:
        share = 1 - LEAST_PATIENTS / n
    return round(share, 2)


def _shared(
    seen: pd.DataFrame, column: str, patients: npt.NDArray[np.object_], *, several: bool = False, stated: float = STATED
) -> list[str]:
    """Return the words of a column that at least five patients have, where at least a share of the cases has one."""
    if column not in seen or not len(seen):
        return []
    texts = seen[column].astype(object).where(seen[column].notna(), "").astype(str).to_numpy(dtype=object)
    if float(np.mean([bool(text) for text in texts])) < stated:
        return []
    owners: dict[str, set[Any]] = {}
    for text, patient in zip(texts, patients, strict=True):
        for word in text.split() if several else [text]:
            owners.setdefault(word, set()).add(patient)
    shared = {word for word, those in owners.items() if word and len(those) >= LEAST_PATIENTS}
    told = [set(text.split() if several else [text]) for text in texts if text]
    if not shared or float(np.mean([bool(words & shared) for words in told])) < COVERED:
        return []
    return sorted(shared)
