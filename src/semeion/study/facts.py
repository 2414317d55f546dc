"""What a run knows of its images: one row a case, whatever the images of a case are."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.cohort.roles import image_columns
from semeion.prepare.scan import scan
from semeion.progress import Progress

FLAT = 0.01
"""A volume is blank when 99 % of its voxels lie within this share of its range."""


def read_everything(cohort: Cohort, *, jobs: int | None, progress: Progress) -> pd.DataFrame:
    """Read every image of a cohort and return its facts, one row a case in cohort order.

    Pictures have the columns of :func:`semeion.prepare.scan.scan` (of several pictures a case: those of the first, with
    one hash of all), volumes those of :func:`semeion.prepare.volume_scan.scan_volumes` and, where they mean the same,
    the columns of pictures that audits read.
    """
    if cohort.images.kind == "volume":
        from semeion.prepare.volume_scan import scan_volumes

        return with_picture_columns(scan_volumes(cohort, jobs=jobs, progress=progress))
    columns = image_columns(cohort)
    parts = []
    for column in columns:
        one = cohort.table.assign(image=cohort.table[column])
        parts.append(scan(replace(cohort, table=one), jobs=jobs, progress=progress))
    return parts[0] if len(parts) == 1 else merged(parts, columns)


def merged(parts: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the facts of cases with several pictures: the first one's, unusable when any is, one hash of all."""
    out = parts[0].copy()
    status, problem = (np.array(out[name], dtype=object) for name in ("status", "problem"))
    for name, part in zip(columns, parts, strict=True):
        bad = (part["status"] != "ok").to_numpy()
        named = np.array([f"{name}: {text}" for text in part["problem"]], dtype=object)
        fresh = bad & ((status == "ok") | (name == columns[0]))
        status[fresh], problem[fresh] = part["status"].to_numpy(dtype=object)[fresh], named[fresh]
    out["status"], out["problem"] = pd.array(status, dtype="str"), pd.array(problem, dtype="str")
    for flag in ("blank", "low_contrast"):
        out[flag] = np.logical_or.reduce([part[flag].to_numpy() for part in parts])
    hashes = zip(*(part["pixel_hash"] for part in parts), strict=True)
    out["pixel_hash"] = pd.array(
        [hashlib.sha256(" ".join(each).encode()).hexdigest() if all(each) else "" for each in hashes], dtype="str"
    )
    return out


def with_picture_columns(facts: pd.DataFrame) -> pd.DataFrame:
    """Return facts of volumes with the columns that audits and pages read of pictures.

    A volume is blank when 99 % of its values lie within :data:`FLAT` of their range. It has no perceptual hash: copies
    of volumes are found by their exact voxels alone.
    """
    out = facts.copy()
    ok = (out["status"] == "ok").to_numpy()
    middle, whole = out["p995"] - out["p005"], out["maximum"] - out["minimum"]
    made: dict[str, Any] = {
        "rows": out["size_j"],
        "cols": out["size_i"],
        "channels": out["planes"],
        "blank": ok & (middle <= FLAT * whole).to_numpy(dtype=bool, na_value=False),
        "photometry": pd.array(np.where(ok, "grey", ""), dtype="str"),
        "thumb_hash": pd.array([""] * len(out), dtype="str"),
        "bits": "",
    }
    made |= dict.fromkeys(("border_fraction", "text_fraction", "salt_fraction"), 0.0)
    made["low_contrast"] = np.zeros(len(out), dtype=bool)
    for name, values in made.items():
        if name not in out:
            out[name] = values
    return out
