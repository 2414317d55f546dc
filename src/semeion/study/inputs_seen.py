"""What a cohort's training images say of themselves, for the manifest's ``inputs``: only what five patients share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.prepare.covariates import LEAST_PATIENTS

STATED = 0.9
"""A fact of headers counts where at least this share of the training cases states it: of a few that do, no other could
be told apart."""
COVERED = 0.975
"""Share of the training cases stating a fact whose words must be among those that ship. Where headers are wrong, or
rare words right, more often than that, too many cases like these would be refused, and the fact counts for nothing."""


def header_inputs(seen: pd.DataFrame, patients: pd.Series, *, stored: bool = False) -> dict[str, Any]:
    """Return ``body_part``, ``laterality``, of pictures ``bits`` and ``blank``, and of volumes taken as they are stored
    ``orientation``.

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
        "body_part": _shared(seen, "body_part", whose, several=True),
        "laterality": _shared(seen, "laterality", whose),
    }
    if stored:
        found["orientation"] = _shared(seen, "orientation", whose)
    if "size_k" not in seen and "bits" in seen:
        bits = pd.to_numeric(seen["bits"], errors="coerce").dropna().astype(int)
        found["bits"] = (int(bits.min()), int(bits.max())) if len(bits) else None
    if "size_k" not in seen and "blank" in seen and len(seen):
        found["blank"] = round(float(seen["blank"].astype(bool).mean()), 2)
    return found


def _shared(seen: pd.DataFrame, column: str, patients: np.ndarray[Any, Any], *, several: bool = False) -> list[str]:
    """Return the words of a column that at least five patients have, where nearly every case has one."""
    if column not in seen or not len(seen):
        return []
    texts = seen[column].fillna("").astype(str).to_numpy(dtype=object)
    if float(np.mean([bool(text) for text in texts])) < STATED:
        return []
    owners: dict[str, set[Any]] = {}
    for text, patient in zip(texts, patients, strict=True):
        for word in text.split() if several else [text]:
            owners.setdefault(word, set()).add(patient)
    shared = {word for word, those in owners.items() if word and len(those) >= LEAST_PATIENTS}
    stated = [set(text.split() if several else [text]) for text in texts if text]
    if not shared or float(np.mean([bool(words & shared) for words in stated])) < COVERED:
        return []
    return sorted(shared)
