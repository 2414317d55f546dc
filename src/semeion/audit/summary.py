"""What `semeion check` tells: everything about a cohort, as ``check.json``, and pictures of what cleaning does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from semeion.artefacts import finite
from semeion.audit.audit import Audit
from semeion.audit.labels import class_members
from semeion.cohort.cohort import SPLITS, Cohort
from semeion.cohort.image import Image
from semeion.cohort.reading import read_image
from semeion.errors import ImageError
from semeion.prepare.levels import Bytes
from semeion.prepare.scan import cleaning_shares
from semeion.prepare.spec import Cleaning, Preparation
from semeion.prepare.transform import cleaned_bytes, resize

SCHEMA = 1
EXAMPLE_SIDE = 512
"""Longest side in pixels of the pictures that show cleaning."""


def summarise(
    cohort: Cohort,
    facts: pd.DataFrame,
    audits: Mapping[str, Audit],
    cleaning_advice: Mapping[str, tuple[bool, str]],
) -> dict[str, Any]:
    """Return ``check.json`` without its examples, as plain JSON values.

    Parameters
    ----------
    cohort
        The cases.
    facts
        As :func:`semeion.prepare.scan.scan` returns.
    audits
        As :func:`semeion.audit.checks.run_checks` returns.
    cleaning_advice
        As :func:`semeion.prepare.scan.recommend_cleaning` returns.
    """
    from importlib.metadata import version

    target = cohort.target
    shares = cleaning_shares(facts, training_rows(cohort)) if cleaning_advice else {}
    told: dict[str, Any] = {
        "schema": SCHEMA,
        "semeion": version("semeion"),
        "synthetic": cohort.synthetic,
        "target": target.name,
        "task": target.task,
        "positive": target.positive,
        "classes": list(target.classes),
        "why": target.why,
        "source": cohort.source,
        "kind": cohort.images.kind,
        "role": cohort.images.role,
        "image_names": list(cohort.images.names),
        "n_cases": len(cohort.table),
        "n_patients": int(cohort.table["patient_id"].nunique()),
        "has_patients": cohort.has_patients,
        "has_split": cohort.has_split,
        "splits": _splits(cohort),
        "images": _images(facts),
        "unused": list(cohort.unused),
        "covariates": list(cohort.covariates),
        "notes": list(cohort.notes),
        "flow": [vars(step) for step in cohort.flow],
        "audits": {name: audit.to_json() for name, audit in audits.items()},
        "cleaning": {
            step: {"asked": asked, "share": round(shares[step], 4), "why": why}
            for step, (asked, why) in cleaning_advice.items()
        },
    }
    plain: dict[str, Any] = finite(told)
    return plain


def training_rows(cohort: Cohort) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which rows may shape decisions: the training cases of a given split, else all."""
    if cohort.has_split:
        return np.asarray(cohort.table["split"] == "train")
    return np.ones(len(cohort.table), dtype=np.bool_)


def cleaning_examples(
    cohort: Cohort, facts: pd.DataFrame, spec: Preparation, n: int = 6, seed: int = 0
) -> list[tuple[str, str, Bytes, Bytes, list[str]]]:
    """Return pictures before and after cleaning, of cases where it does the most.

    The steps take turns: of each step of ``spec.clean`` the training cases that show most of what it removes; where
    too few show anything, cases drawn with `seed` fill up.

    Returns
    -------
    list
        At most `n` of case id, label, picture before and after, and what was done. The pictures are uint8 arrays
        ``(rows, columns)`` or ``(rows, columns, 3)`` of at most 512 pixels a side, by the intensity mapping of `spec`,
        before resizing to the network's input.
    """
    plain = spec.model_copy(update={"clean": Cleaning()})
    labels = case_labels(cohort)
    shown: list[tuple[str, str, Bytes, Bytes, list[str]]] = []
    for row in _telling_rows(cohort, facts, spec.clean, seed):
        if len(shown) >= n:
            break
        try:
            image = read_image(str(cohort.table["image"].iloc[row]))
        except ImageError:
            continue  # changed since it was scanned; another case serves as well
        before, after = _picture(image, plain)[0], _picture(image, spec)
        shown.append((str(cohort.table["case_id"].iloc[row]), labels[row], before, *after))
    return shown


def case_labels(cohort: Cohort) -> list[str]:
    """Return the reference standard of every case as a person reads it."""
    if cohort.target.task == "regression":
        return [f"{value:g}" for value in cohort.table["y"]]
    if cohort.target.task == "segmentation":
        return [""] * len(cohort.table)
    members = class_members(cohort)
    nothing = "none" if cohort.target.task == "multilabel" else ""
    columns = list(members.items())
    return [", ".join(name for name, rows in columns if rows[row]) or nothing for row in range(len(cohort.table))]


def _telling_rows(cohort: Cohort, facts: pd.DataFrame, clean: Cleaning, seed: int) -> list[int]:
    """Return row numbers in the order in which they are worth showing."""
    usable = training_rows(cohort) & (facts["status"] == "ok").to_numpy() & ~facts["blank"].to_numpy()
    contrast = (facts["p995"] - facts["p005"]) / (facts["maximum"] - facts["minimum"]).clip(lower=1e-9)
    scores = {
        "borders": facts["border_fraction"].to_numpy(),
        "text": facts["text_fraction"].to_numpy(),
        "salt": facts["salt_fraction"].to_numpy(),
        "equalise": np.where(facts["low_contrast"], 1 - contrast.to_numpy(), 0),
    }
    queues = []
    for step, score in scores.items():
        if getattr(clean, step):
            worth = np.flatnonzero(usable & (np.nan_to_num(score) > 0))
            queues.append(list(worth[np.argsort(-score[worth], kind="stable")]))
    order: list[int] = []
    for place in range(max((len(queue) for queue in queues), default=0)):
        order += [int(queue[place]) for queue in queues if place < len(queue)]
    rest = np.random.default_rng(seed).permutation(np.flatnonzero(usable))
    return list(dict.fromkeys([*order, *(int(row) for row in rest)]))


def _picture(image: Image, spec: Preparation) -> tuple[Bytes, list[str]]:
    """Return the image after the steps before resizing, small enough for a page, and what was done."""
    picture, done = cleaned_bytes(image, spec)
    rows, cols = picture.shape[:2]
    scale = min(1.0, EXAMPLE_SIDE / max(rows, cols))
    picture = resize(np.ascontiguousarray(picture), max(1, round(rows * scale)), max(1, round(cols * scale)))
    return (picture[..., 0] if picture.shape[2] == 1 else picture), done


def _splits(cohort: Cohort) -> dict[str, Any]:
    """Return cases, patients and class counts of each split (``all`` when none was given)."""
    table, members = cohort.table, class_members(cohort)
    sides = {"all": np.ones(len(table), dtype=np.bool_)}
    if cohort.has_split:
        sides = {name: (table["split"] == name).to_numpy() for name in SPLITS if (table["split"] == name).any()}
    return {
        name: {
            "n": int(inside.sum()),
            "n_patients": int(table.loc[inside, "patient_id"].nunique()),
            "class_counts": {label: int((rows & inside).sum()) for label, rows in members.items()},
        }
        for name, inside in sides.items()
    }


def _images(facts: pd.DataFrame) -> dict[str, Any]:
    """Return what the images are: formats, sizes, intensities."""
    status = facts["status"].value_counts()
    seen = facts[facts["status"] == "ok"]

    def tally(name: str) -> dict[str, int]:
        counts = seen[name].astype("str").value_counts()
        return {str(key): int(count) for key, count in counts.items() if key}

    def spread(name: str) -> dict[str, float]:
        values = seen[name].astype("float64")
        return {"min": values.min(), "median": values.median(), "max": values.max()} if len(values) else {}

    intensity = {}
    if len(seen):
        intensity = {
            "minimum": seen["minimum"].min(),
            "p005": seen["p005"].median(),
            "mean": seen["mean"].mean(),
            "p995": seen["p995"].median(),
            "maximum": seen["maximum"].max(),
        }
    volumes: dict[str, Any] = {}
    if "size_k" in seen:
        volumes = {
            "slices": spread("size_k"),
            "spacing_mm": {axis: spread(f"spacing_{axis}") for axis in "ijk"},
            "orientation": tally("orientation"),
            "unit": tally("unit"),
        }
    return {
        **volumes,
        **{name: int(status.get(name, 0)) for name in ("ok", "missing", "unreadable")},
        "formats": tally("source_format"),
        "photometry": tally("photometry"),
        "bits": tally("bits"),
        "rows": spread("rows"),
        "cols": spread("cols"),
        "intensity": intensity,
        "modality": tally("modality"),
    }
