"""Rows of ``predictions.parquet``, the same for a run and for an external evaluation; needs no training stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.naming import encode_class

Values = npt.NDArray[np.float64]


def prediction_rows(
    base: pd.DataFrame, target: str, task: str, classes: list[str], y: Values, raw: Values, p: Values
) -> pd.DataFrame:
    """Add target, truth and probabilities to `base`, in the columns of ``predictions.parquet``.

    Parameters
    ----------
    base
        One row a case.
    target, task, classes
        Of the question.
    y
        Reference standard, ``(cases,)`` class index or value, or ``(cases, labels)``.
    raw, p
        Before and after calibration, ``(cases, outputs)``.
    """
    if task == "regression":
        return base.assign(target=target, y_true=y, y_pred=p[:, 0])
    if task == "multilabel":
        parts = []
        for k, label in enumerate(classes):
            truth = pd.Series(np.where(y[:, k] == 1, "present", "absent"), dtype="str").mask(np.isnan(y[:, k]))
            columns: dict[str, Any] = {"target": label, "y_true": truth.to_numpy()}
            for prefix, values in (("p", p), ("raw", raw)):
                columns |= {f"{prefix}_absent": 1 - values[:, k], f"{prefix}_present": values[:, k]}
            parts.append(base.assign(**columns))
        return pd.concat(parts, ignore_index=True)
    columns = {"target": target, "y_true": np.array(classes, dtype=object)[y.astype(int)]}
    for prefix, values in (("p", p), ("raw", raw)):
        columns |= {f"{prefix}_{encode_class(name)}": values[:, k] for k, name in enumerate(classes)}
    return base.assign(**columns)
