"""Weigh masks: figures of a segmentation with their intervals, from a table of measurements of each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semeion.errors import InputError, nearest
from semeion.evidence.intervals.bootstrap import Spread, case_weights, draw
from semeion.evidence.intervals.entry import bootstrapped
from semeion.evidence.intervals.proportions import FEW, carriers, clustered_wilson
from semeion.evidence.masks.agreement import agreement
from semeion.evidence.strata import FEWEST_CASES, parted
from semeion.evidence.table import SPLITS
from semeion.naming import encode_class

Array = NDArray[np.float64]

COLUMNS = ("case_id", "patient_id", "split", "label", "dice", "hd95_mm", "assd_mm", "reference_ml", "predicted_ml")
"""What the table must have; ``lesions_reference lesions_found lesions_predicted lesions_true`` may be there too."""
LESIONS = ("lesions_reference", "lesions_found", "lesions_predicted", "lesions_true")
_WHERE = "measurements"
_METHODS = {
    "dice": "mean over cases",
    "hd95_mm": "mean over cases of the larger directed 95th percentile between surfaces",
    "assd_mm": "mean over cases of the average symmetric surface distance",
    "volume_error_ml": "mean over cases of the absolute difference of volumes",
}


@dataclass(frozen=True)
class _Figure:
    """A ratio of two sums over cases: `above` and `below` (cases,), so that a mean is a sum over a count.

    `counted` says that both are whole numbers and the ratio a share: of lesions, of which a case may have several.
    """

    name: str
    above: Array
    below: Array
    method: str
    remark: str = ""
    infinite: int | None = None
    undefined: str = "undefined on these cases"
    counted: bool = False


def weigh_segmentation(
    table: pd.DataFrame,
    labels: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
    strata: pd.DataFrame | None = None,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Return every figure of a segmentation, with its interval.

    Intervals are those of a BCa bootstrap over patients, as of every other figure; of a share of lesions where too few
    patients have a hit or a miss, Wilson's score interval for lesions that come several a patient.

    Parameters
    ----------
    table
        One row a case and label, with the columns of :data:`COLUMNS`, as :func:`semeion.evidence.overlap.measure_case`
        measures them. Dice NaN: the label is absent in both. A distance of infinity: absent in one. Both volumes NaN:
        the size of a voxel is not known; then ``reference_voxels`` says how large the reference is. The split ``train``
        is left out.
    labels
        Names of the foreground labels, in order.
    resamples, seed, jobs
        Of the bootstrap over patients.
    strata
        ``case_id`` and columns whose levels are weighed one by one, as in :func:`semeion.evidence.weigh.weigh`.

    Returns
    -------
    dict
        ``metrics.<split>.<name>``: ``dice`` is the mean over cases of the mean over labels, a label absent in both left
        out and counted, absent in one scoring 0; ``dice_<label> hd95_mm_<label> assd_mm_<label>
        volume_error_ml_<label>``; for lesions ``lesion_sensitivity_<label> lesion_precision_<label> lesion_f1_<label>``
        over all lesions of the split, and ``lesion_count_error_<label>``, a mean over cases. Infinite distances are
        left out of the mean and counted in ``infinite``. What is in mm or ml leaves out cases without a known voxel
        size and says so. ``agreement.<split>.<label>``: ``mae``, ``bias``, ``limit_low`` and ``limit_high`` of volumes
        in ml, each a figure with its interval, as :func:`semeion.evidence.agreement.agreement` returns them.
        ``ranking.<split>``: case ids of ``best``, ``median``, ``worst`` by mean Dice. ``splits.<split>``: ``{n,
        n_patients, class_counts}``, the cases with each label in the reference.
        ``strata.<column>.<level>.metrics.<split>``, ``notes``.

    Raises
    ------
    InputError
        When the table cannot be used: a missing column, case or patient, an unknown split or label, a row twice, a
        label that a case has no row for, a Dice outside 0 to 1, or more lesions found than there are.
    """
    if resamples < 1:
        raise InputError(f"{resamples} resamples", where="resamples", fix="use 2000")
    rows = _checked(table, labels)
    result: dict[str, Any] = {key: {} for key in ("metrics", "agreement", "ranking", "splits", "strata")}
    result["notes"] = []
    for split in [name for name in SPLITS if (rows["split"] == name).any()]:
        part = rows[rows["split"] == split]
        result["splits"][split] = _counts(part, labels)
        if split == "train":
            continue
        result["metrics"][split] = _measured(part, labels, resamples, seed, jobs)
        result["agreement"][split] = {
            label: _agreement(part[part["label"] == label], resamples, seed) for label in labels
        }
        result["ranking"][split] = _ranking(part)
    unknown = rows.loc[(rows["split"] != "train") & rows["reference_ml"].isna(), "case_id"].nunique()
    if unknown:
        result["notes"].append(
            f"{unknown} case(s) do not say how large a voxel is: they count for Dice, and for no figure in mm or ml."
        )
    if strata is not None:
        weighed = rows[rows["split"] != "train"]
        result["strata"], notes = _strata(weighed, labels, strata, resamples, seed, jobs)
        result["notes"] += notes
    if not result["metrics"]:
        result["notes"].append("No case with a reference mask outside the training split: there are no figures.")
    return result


def case_dice(rows: pd.DataFrame) -> pd.Series:
    """Return each case's mean Dice over its labels, indexed by ``case_id``; NaN when it has no label at all."""
    return rows.groupby("case_id", sort=False)["dice"].mean()


def _checked(table: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    if len(table) == 0:
        raise InputError("the table has no rows", where=_WHERE, fix="measure at least one case")
    for name in COLUMNS:
        if name not in table.columns:
            close = nearest(name, map(str, table.columns))
            raise InputError(f"no column {name!r}{close}", where=_WHERE, fix=f"it needs {', '.join(COLUMNS)}")
    rows = table.reset_index(drop=True).copy()
    for name in ("case_id", "patient_id", "split", "label"):
        _refuse(rows[name].isna(), f"no {name}")
        rows[name] = rows[name].astype(str)
    _refuse(~rows["split"].isin(SPLITS), "an unknown split")
    _refuse(~rows["label"].isin(list(labels)), "a label that is not asked for")
    _refuse(rows.duplicated(["case_id", "split", "label"]), "the same case and label as in an earlier row")
    for name in (*COLUMNS[4:], *(name for name in LESIONS if name in rows.columns)):
        rows[name] = rows[name].astype(np.float64)
    _refuse(~(rows["dice"].isna() | rows["dice"].between(0, 1)), "a Dice outside 0 to 1")
    if set(LESIONS) <= set(rows.columns):
        _refuse(rows["lesions_found"] > rows["lesions_reference"], "more lesions found than the reference has")
        _refuse(rows["lesions_true"] > rows["lesions_predicted"], "more true lesions than were predicted")
    volumes = rows[["reference_ml", "predicted_ml"]]
    lost = volumes.isna().all(axis=1)
    _refuse(volumes.isin([np.nan, np.inf, -np.inf]).any(axis=1) & ~lost, "a volume that is no number")
    _refuse(lost & rows[["hd95_mm", "assd_mm"]].notna().any(axis=1), "a distance in mm and no volume")
    if lost.any():
        if "reference_voxels" not in rows.columns:
            rows["reference_voxels"] = np.nan
        rows["reference_voxels"] = rows["reference_voxels"].astype(np.float64)
        _refuse(lost & rows["reference_voxels"].isna(), "neither volumes nor reference_voxels")
    held = rows.groupby(["split", "case_id"])["label"].size()
    if (held != len(labels)).any():
        case = held[held != len(labels)].index[0][1]
        raise InputError(f"case {case!r} has not one row for each label", where=_WHERE, fix="measure every label")
    return rows


def _refuse(wrong: pd.Series, what: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise InputError(f"row {row + 1} has {what}", where=_WHERE, fix="correct the table")


def _counts(part: pd.DataFrame, labels: Sequence[str]) -> dict[str, Any]:
    size = part["reference_ml"]
    if size.isna().any():
        size = size.fillna(part["reference_voxels"])
    present = part[size > 0].groupby("label").size()
    return {
        "n": int(part["case_id"].nunique()),
        "n_patients": int(part["patient_id"].nunique()),
        "class_counts": {label: int(present.get(label, 0)) for label in labels},
    }


def _measured(part: pd.DataFrame, labels: Sequence[str], resamples: int, seed: int, jobs: int | None) -> dict[str, Any]:
    """Return ``{name: {value, low, high, n, n_patients, method}}`` of one split's rows."""
    cases = part.drop_duplicates("case_id").set_index("case_id")
    patients, patient = np.unique(cases["patient_id"].to_numpy(dtype=object).astype(str), return_inverse=True)
    figures = _figures(part, labels, cases.index)
    above = np.stack([figure.above for figure in figures], axis=1)
    below = np.stack([figure.below for figure in figures], axis=1)

    def compute(counts: Array) -> Array:
        weights = case_weights(counts, patient.astype(np.int64))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights @ above) / (weights @ below))

    spreads = draw(compute, len(patients), len(cases), resamples=resamples, seed=seed, jobs=jobs)
    return {
        figure.name: _entry(figure, spread, patient.astype(np.int64))
        for figure, spread in zip(figures, spreads, strict=True)
    }


def _entry(figure: _Figure, spread: Spread, patient: NDArray[np.int64]) -> dict[str, Any]:
    used = figure.below > 0
    n_patients = len(np.unique(patient[used]))
    entry: dict[str, Any] = {"value": None, "low": None, "high": None, "n": int(used.sum()), "n_patients": n_patients}
    method, reasons = figure.method, [figure.undefined, figure.remark]
    if np.isfinite(spread.value):
        ends, how, reason = _scored(figure, patient, n_patients) or bootstrapped(figure.name, spread, n_patients)
        entry |= {"value": spread.value, **ends}
        method, reasons = "; ".join(filter(None, [how, method])), [figure.remark, reason]
    entry["method"] = method
    if figure.infinite is not None:
        entry["infinite"] = figure.infinite
    if any(reasons):
        entry["reason"] = "; ".join(filter(None, reasons))
    return entry


def _scored(figure: _Figure, patient: NDArray[np.int64], n_patients: int) -> tuple[dict[str, float], str, str] | None:
    """Return Wilson's interval of a share of lesions where a bootstrap of it fails, else None."""
    if not figure.counted or n_patients < 2:
        return None
    found = figure.above.astype(np.int64)
    lost = figure.below.astype(np.int64) - found
    hit = np.repeat([True, False], [found.sum(), lost.sum()])
    own = np.concatenate([np.repeat(patient, found), np.repeat(patient, lost)])
    if carriers(hit, own) >= FEW:
        return None
    span = clustered_wilson(hit, own)
    method = f"{span.method}; fewer than {FEW} patients with a hit, or with a miss"
    return {"low": span.low, "high": span.high}, method.replace("cases", "lesions"), ""


def _figures(part: pd.DataFrame, labels: Sequence[str], cases: pd.Index) -> list[_Figure]:
    mean = case_dice(part).reindex(cases)
    absent = int(part["dice"].isna().sum())
    said = f"{absent} label(s) absent in reference and prediction left out" if absent else ""
    figures = [_mean("dice", mean.to_numpy(), "mean over cases of the mean over labels", said)]
    for label in labels:
        own = part[part["label"] == label].set_index("case_id").reindex(cases)
        own = own.assign(volume_error_ml=(own["predicted_ml"] - own["reference_ml"]).abs())
        name = encode_class(label)
        absent = int(own["dice"].isna().sum())
        said = f"absent in reference and prediction of {absent} case(s), left out" if absent else ""
        unknown = int(own["reference_ml"].isna().sum())
        unsized = f"the size of a voxel is not known in {unknown} case(s), left out" if unknown else ""
        for key, method in _METHODS.items():
            values = own[key].to_numpy(dtype=np.float64)
            distance = key in ("hd95_mm", "assd_mm")
            infinite = int(np.isinf(values).sum()) if distance else None
            lost = f"infinite in {infinite} case(s), left out of the mean" if infinite else ""
            absence = "" if key == "volume_error_ml" else said
            remark = "; ".join(filter(None, [absence, lost, unsized if key != "dice" else ""]))
            figures.append(_mean(f"{key}_{name}", values, method, remark, infinite))
        if set(LESIONS) <= set(own.columns) and own[list(LESIONS)].notna().all(axis=None):
            figures.extend(_lesion_figures(own, name))
    return figures


def _mean(name: str, values: Array, method: str, remark: str = "", infinite: int | None = None) -> _Figure:
    finite = np.isfinite(values)
    undefined = "no case with this label" if not infinite else "no case with a finite distance"
    return _Figure(name, np.where(finite, values, 0.0), finite.astype(np.float64), method, remark, infinite, undefined)


def _lesion_figures(own: pd.DataFrame, name: str) -> list[_Figure]:
    """Return sensitivity, precision and F1 over all lesions, and the error of their number.

    F1 takes twice the mean of found and true as its top.
    """
    reference, found, predicted, true = (own[key].to_numpy(dtype=np.float64) for key in LESIONS)
    how = "over all lesions, overlap of at least one voxel"
    return [
        _Figure(
            f"lesion_sensitivity_{name}", found, reference, how, undefined="no lesion in the reference", counted=True
        ),
        _Figure(f"lesion_precision_{name}", true, predicted, how, undefined="no lesion was predicted", counted=True),
        _Figure(
            f"lesion_f1_{name}",
            found + true,
            reference + predicted,
            f"found and true lesions over lesions of both masks, {how}",
            undefined="no lesion in either mask",
        ),
        _mean(
            f"lesion_count_error_{name}",
            np.abs(predicted - reference),
            "mean over cases of the absolute difference of the numbers of lesions",
        ),
    ]


def _agreement(rows: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    predicted, reference = (rows[name].to_numpy(dtype=np.float64) for name in ("predicted_ml", "reference_ml"))
    return agreement(predicted, reference, rows["patient_id"].to_numpy(dtype=object), resamples=resamples, seed=seed)


def _ranking(part: pd.DataFrame) -> dict[str, str]:
    """Return the case ids of the best, the median and the worst mean Dice; ties go by case id."""
    mean = case_dice(part).dropna()
    if not len(mean):
        return {}
    ordered = sorted(mean.items(), key=lambda item: (-float(item[1]), str(item[0])))
    chosen: Mapping[str, int] = {"best": 0, "median": len(ordered) // 2, "worst": len(ordered) - 1}
    return {name: str(ordered[at][0]) for name, at in chosen.items()}


def _strata(
    rows: pd.DataFrame, labels: Sequence[str], strata: pd.DataFrame, resamples: int, seed: int, jobs: int | None
) -> tuple[dict[str, Any], list[str]]:
    levels, notes = parted(rows, strata)
    found = {
        column: {level: {"metrics": _level(part, labels, resamples, seed, jobs)} for level, part in parts.items()}
        for column, parts in levels.items()
    }
    return found, notes


def _level(rows: pd.DataFrame, labels: Sequence[str], resamples: int, seed: int, jobs: int | None) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for split, part in rows.groupby("split", sort=False):
        entries = _measured(part, labels, 1 if part["case_id"].nunique() < FEWEST_CASES else resamples, seed, jobs)
        n = int(part["case_id"].nunique())
        if n < FEWEST_CASES:
            reason = f"{n} cases, fewer than {FEWEST_CASES}"
            for entry in entries.values():
                entry |= {"value": None, "low": None, "high": None, "method": "not computed", "reason": reason}
        metrics[str(split)] = entries
    return metrics
