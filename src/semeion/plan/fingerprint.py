"""The facts that shape a plan, taken from training cases only."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.plan.volume_facts import volume_facts

SCHEMA = 1


def learning_rows(cohort: Cohort) -> pd.Series:
    """Return which rows may shape a plan: the training cases of a given split, else all (folds are drawn of them)."""
    if cohort.has_split:
        return cohort.table["split"] == "train"
    return pd.Series(True, index=cohort.table.index)


def fingerprint(cohort: Cohort, facts: pd.DataFrame) -> dict[str, Any]:
    """Summarise the cohort and its scan as ``fingerprint.json``.

    Parameters
    ----------
    cohort
        The cases.
    facts
        One row a case in cohort order, as :func:`semeion.study.inspect.inspect` finds them.

    Returns
    -------
    dict
        Plain JSON values; everything below ``training`` comes from training cases only. ``validation`` counts the val
        patients of a given split, who choose.
    """
    chosen = learning_rows(cohort).to_numpy()
    table, seen = cohort.table[chosen], facts[chosen]
    seen = seen[seen["status"] == "ok"]
    splits = cohort.table["split"].fillna("all")
    return {
        "schema": SCHEMA,
        "source": cohort.source,
        "synthetic": cohort.synthetic,
        "target": cohort.target.name,
        "task": cohort.target.task,
        "why": cohort.target.why,
        "classes": list(cohort.target.classes),
        "values": list(cohort.target.values),
        "positive": cohort.target.positive,
        "cases": {str(name): int(count) for name, count in splits.value_counts(sort=False).items()},
        "has_split": cohort.has_split,
        "has_patients": cohort.has_patients,
        "images": {
            "kind": cohort.images.kind,
            "role": cohort.images.role,
            "names": list(cohort.images.names),
        },
        **validation_patients(cohort),
        "training": {
            "cases": len(table),
            "patients": int(table["patient_id"].nunique()),
            "labels": label_counts(cohort, chosen),
            "known": known_counts(cohort, chosen),
            "formats": counts(seen["source_format"]),
            "modality": counts(seen["modality"]),
            "unit": counts(seen["unit"]),
            "intensity": {
                name: spread(seen[name].astype(float)) for name in ("minimum", "p005", "mean", "p995", "maximum")
            },
            **(_volume_part(cohort, seen) if cohort.images.kind == "volume" else _picture_part(seen)),
        },
    }


def validation_patients(cohort: Cohort) -> dict[str, Any]:
    """Return ``{validation: {patients, of_class}}``: val patients, and those with a case of each class."""
    table, target = cohort.table, cohort.target
    table = table[table["split"] == "val"]
    if not len(table) or target.task == "segmentation":
        return {}
    named = target.task in ("binary", "multiclass", "ordinal")
    of_class = {
        name: int(table.loc[table["y"] == index, "patient_id"].nunique())
        for index, name in enumerate(target.classes if named else ())
    }
    return {"validation": {"patients": int(table["patient_id"].nunique()), "of_class": of_class}}


def _picture_part(seen: pd.DataFrame) -> dict[str, Any]:
    """Return the facts of pictures alone."""
    return {
        "rows": spread(seen["rows"]),
        "cols": spread(seen["cols"]),
        "aspect": spread(seen["rows"] / seen["cols"]),
        "colour_share": share(seen["channels"] == 3),
        "bits": counts(seen["bits"]),
        "border_fraction": spread(seen["border_fraction"]),
        "text_fraction": spread(seen["text_fraction"]),
        "salt_fraction": spread(seen["salt_fraction"]),
        "low_contrast_share": share(seen["low_contrast"]),
    }


def _volume_part(cohort: Cohort, seen: pd.DataFrame) -> dict[str, Any]:
    """Return the facts of volumes alone, and of what their masks hold."""
    part: dict[str, Any] = {"volume": volume_facts(seen)}
    if cohort.images.role == "channels" and "aligned" in seen:
        part["misaligned_share"] = share(~seen["aligned"].astype(bool) | seen["notes"].str.contains("misaligned: "))
    part["foreground"] = {
        name: spread(seen[name].astype(float)) for name in ("fg_p005", "fg_p995", "fg_mean", "fg_std") if name in seen
    }
    if cohort.target.task == "segmentation" and "mask_voxels" in seen:
        part["label_ml"] = label_ml(cohort, seen)
    return part


def label_ml(cohort: Cohort, seen: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the spread of each label's volume in millilitres over the training cases that hold it."""
    voxel = seen[["spacing_i", "spacing_j", "spacing_k"]].to_numpy(dtype=np.float64).prod(axis=1) / 1000.0
    held = [mask_voxels(text) for text in seen["mask_voxels"]]
    found = {}
    for name, value in zip(cohort.target.classes, cohort.target.values, strict=True):
        amounts = [count.get(value, 0) * ml for count, ml in zip(held, voxel, strict=True)]
        found[name] = spread(pd.Series([amount for amount in amounts if amount > 0], dtype=np.float64))
    return found


def mask_voxels(text: Any) -> dict[int, int]:
    """Return voxels by integer label from the scan's JSON; empty without a mask."""
    return (
        {int(label): int(count) for label, count in json.loads(text).items()} if isinstance(text, str) and text else {}
    )


def label_counts(cohort: Cohort, chosen: np.ndarray) -> dict[str, Any]:
    """Return cases per class (multi-label: per label present; regression: the spread of the value).

    Masks are not in the table: of a segmentation it is empty.
    """
    table, target = cohort.table[chosen], cohort.target
    if target.task == "segmentation":
        return {}
    if target.task == "regression":
        return spread(table["y"])
    if target.task == "multilabel":
        return {name: int((table[f"y.{name}"] == 1).sum()) for name in target.classes}
    return {name: int((table["y"] == index).sum()) for index, name in enumerate(target.classes)}


def known_counts(cohort: Cohort, chosen: np.ndarray) -> dict[str, int]:
    """Return how many cases each label of a multi-label target is known for; empty for other tasks."""
    if cohort.target.task != "multilabel":
        return {}
    table = cohort.table[chosen]
    return {name: int(table[f"y.{name}"].notna().sum()) for name in cohort.target.classes}


def spread(values: pd.Series) -> dict[str, float]:
    """Return minimum, 5 %, median, 95 %, maximum, mean and standard deviation, rounded to four significant digits."""
    values = values.dropna().astype(float)
    if values.empty:
        return {}
    low, p05, median, p95, high = np.quantile(values, [0, 0.05, 0.5, 0.95, 1])
    named = {
        "min": low,
        "p05": p05,
        "median": median,
        "p95": p95,
        "max": high,
        "mean": values.mean(),
        "sd": values.std(ddof=0),
    }
    return {name: float(f"{value:.4g}") for name, value in named.items()}


def counts(values: pd.Series) -> dict[str, int]:
    """Return how often each value occurs, missing ones left out."""
    return {str(name): int(count) for name, count in values.dropna().astype(str).value_counts().items() if name}


def share(values: pd.Series) -> float:
    """Return the share of true values, 0 for none."""
    return float(round(values.astype(bool).mean(), 4)) if len(values) else 0.0
