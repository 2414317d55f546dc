"""Labels that come later: discrimination and calibration in service, period by period, beside the model's evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.table import read_table
from semeion.cohort.words import presence
from semeion.errors import InputError, nearest
from semeion.evidence.question import Question
from semeion.evidence.table import ENSEMBLE
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import weigh
from semeion.model.manifest import Manifest
from semeion.monitor.log import entry_of
from semeion.monitor.logfile import Log, probability_columns
from semeion.monitor.periods import By, labels_of
from semeion.study.rows import prediction_rows

_ORDER = ("test", "external", "oof", "val")
_NAMED = 5


def label_evidence(
    path: Path, keys: Sequence[bytes], whole: Log, manifest: Manifest, by: By, seed: int
) -> dict[str, Any]:
    """Weigh what the model said of cases whose labels are known by now.

    Parameters
    ----------
    path
        A table with ``case_id`` and the target, perhaps ``patient_id``; cases without a label are left out.
    keys
        By which the entries of the logs were made.
    whole
        All logs as one.
    manifest
        The model.
    by
        Periods.
    seed
        Of the resamples.

    Returns
    -------
    dict
        ``metrics`` of all labelled cases and ``periods.<period>.metrics``, as :func:`semeion.evidence.weigh.weigh` has
        them; ``before`` the model's own, of the split ``split``; ``n``, ``n_patients``, ``unlabelled``,
        ``unanswered``, ``not_applicable``, ``notes``. What is not applicable is weighed nowhere: the model makes no
        claim about it.

    Raises
    ------
    InputError
        When a column is missing, a label is none of the model's, a case is in no log or stands twice, or none is left.
    """
    table = read_table(path)[0]
    rows = _matched(table, path, keys, whole)
    truth = _truth(table, path, manifest)
    answered = np.isfinite(_said(whole, manifest)[rows]).all(axis=1)
    labelled = ~np.isnan(truth).all(axis=1) if truth.ndim == 2 else ~np.isnan(truth)
    applies = whole.texts["status"][rows] != "not_applicable"
    kept = np.flatnonzero(answered & labelled & applies)
    if not len(kept):
        raise InputError(
            "no case of the table has both a label and an answer of the model that applies to it",
            where=path.name,
            fix="give labels of cases that the model read",
        )
    patients = _patients(table)[kept]
    predictions, question = _predictions(table, kept, rows[kept], truth[kept], whole, manifest, patients)
    period = labels_of(whole.time, by)[rows[kept]]
    strata = pd.DataFrame({"case_id": predictions["case_id"].iloc[: len(kept)].to_numpy(), "period": period})
    found = weigh(predictions, question, points=_points(manifest), strata=strata, seed=seed)
    before = next((name for name in _ORDER if name in manifest.evidence), None)
    periods = found["strata"].get("period", {})
    notes = list(found["notes"])
    if "patient_id" not in table.columns:
        notes.append("The labels name no patients: every case counts as its own, and intervals may be too narrow.")
    return {
        "n": len(kept),
        "n_patients": int(pd.Series(patients).nunique()),
        "unlabelled": int((~labelled).sum()),
        "unanswered": int((labelled & ~answered).sum()),
        "not_applicable": int((labelled & answered & ~applies).sum()),
        "metrics": found["metrics"]["external"],
        "targets": {name: one["metrics"].get("external", {}) for name, one in found["targets"].items()},
        "periods": {name: periods[name]["metrics"].get("external", {}) for name in sorted(periods)},
        "reliability": found["reliability"].get("external"),
        "split": before,
        "before": {} if before is None else {k: v.model_dump() for k, v in manifest.evidence[before].items()},
        "notes": notes,
    }


def _matched(table: pd.DataFrame, path: Path, keys: Sequence[bytes], whole: Log) -> Any:
    """Return the row of the logs of each case of the table, int64 ``(cases,)``."""
    if "case_id" not in table.columns:
        raise InputError(
            f"the table has no column 'case_id'{nearest('case_id', map(str, table.columns))}",
            where=path.name,
            fix="name the column of the ids that `predict` was given 'case_id'",
        )
    ids = [None if pd.isna(one) else str(one).strip() for one in table["case_id"]]
    if None in ids or "" in ids:
        raise InputError("a row has no case_id", where=path.name, fix="give every case its id")
    if len(set(ids)) != len(ids):
        raise InputError("a case_id stands twice", where=path.name, fix="keep one row a case")
    place = {entry: row for row, entry in enumerate(whole.texts["entry"].tolist())}
    rows = [next((place[e] for key in keys if (e := entry_of(key, str(one))) in place), -1) for one in ids]
    if missing := [str(one) for one, row in zip(ids, rows, strict=True) if row < 0]:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(
            f"{len(missing)} of {len(ids)} case ids are in none of the logs: {', '.join(missing[:_NAMED])}{more}",
            where=path.name,
            fix="leave these rows out, or give their log; cases that were read without a table have no id that is kept",
        )
    return np.array(rows, dtype=np.int64)


def _said(whole: Log, manifest: Manifest) -> Any:
    """Return the probabilities or values of every line, ``(cases, outputs)``."""
    names = ("value",) if manifest.task == "regression" else probability_columns(manifest)
    if missing := [name for name in names if name not in whole.numbers]:
        raise InputError(
            f"the logs have no column {missing[0]!r}", where="LOG", fix="give what `semeion predict --log` wrote"
        )
    return np.stack([whole.numbers[name] for name in names], axis=1)


def _truth(table: pd.DataFrame, path: Path, manifest: Manifest) -> Any:
    """Return the reference standard, as :func:`semeion.study.rows.prediction_rows` takes it; NaN where unknown."""
    columns = list(manifest.classes) if manifest.task == "multilabel" else [manifest.target]
    for name in columns:
        if name not in table.columns:
            raise InputError(
                f"the table has no column {name!r}{nearest(name, map(str, table.columns))}",
                where=path.name,
                fix=f"a model of {manifest.target!r} needs labels in {', '.join(map(repr, columns))}",
            )
    found = np.stack([_column(table[name], path, manifest) for name in columns], axis=1)
    return found if manifest.task == "multilabel" else found[:, 0]


def _column(column: Any, path: Path, manifest: Manifest) -> Any:
    place = {name: number for number, name in enumerate(manifest.classes)}
    place |= {code: place[name] for code, name in manifest.labels.items() if name in place and code not in place}
    found = []
    for cell in column:
        text = "" if pd.isna(cell) else str(cell).strip()
        value: float | None = float("nan")
        if text and manifest.task == "regression":
            value = _number(text)
        elif text and manifest.task == "multilabel":
            said = presence(text)
            value = None if said is None else float(said)
        elif text:
            value = place.get(text)
        if value is None:
            known = "a number" if manifest.task == "regression" else ", ".join(list(manifest.classes)[:10])
            raise InputError(
                f"{text[:40]!r} in {column.name!r} is no label of this model",
                where=path.name,
                fix="write 1 or 0" if manifest.task == "multilabel" else f"write {known}",
            )
        found.append(float(value))
    return np.array(found, dtype=np.float64)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _patients(table: pd.DataFrame) -> Any:
    if "patient_id" not in table.columns:
        return table["case_id"].astype(str).to_numpy(dtype=object)
    return table["patient_id"].fillna(table["case_id"]).astype(str).to_numpy(dtype=object)


def _predictions(
    table: pd.DataFrame, kept: Any, rows: Any, truth: Any, whole: Log, manifest: Manifest, patients: Any
) -> tuple[pd.DataFrame, Question]:
    base = pd.DataFrame(
        {
            "case_id": table["case_id"].astype(str).str.strip().to_numpy(dtype=object)[kept],
            "patient_id": patients,
            "split": "external",
            "fold": -1,
            "member": ENSEMBLE,
        }
    )
    p = _said(whole, manifest)[rows]
    classes = list(manifest.classes)
    question = Question(manifest.target, manifest.task, tuple(classes), manifest.positive)
    return prediction_rows(base, manifest.target, manifest.task, classes, truth, p, p), question


def _points(manifest: Manifest) -> OperatingPoints | None:
    """Return the model's own operating points."""
    point = manifest.operating_point
    if point is None:
        return None
    if manifest.task == "binary":
        return OperatingPoints(point.rule, point.value)
    if point.by_target:
        each = {name: OperatingPoints(point.rule, value) for name, value in point.by_target.items()}
        return OperatingPoints(point.rule, by_target=each)
    return None
