"""Labels whose share differs at use are corrected one by one, beside the measured figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.study.adjusting import adjusted_figures

QUESTION = Question("signs", "multilabel", ("edema", "nodule"))


def predictions(share: float, n: int = 500) -> pd.DataFrame:
    """Return calibrated predictions; in test the share of edema is another, and that of nodules the same."""
    rng = np.random.default_rng(0)
    parts = []
    for label in QUESTION.classes:
        for split in ("val", "test"):
            y = rng.random(n) < (share if (label, split) == ("edema", "test") else 0.4)
            x = rng.normal(size=n) + 2 * y
            # The likelihood ratio of two bells two apart, at the share of the validation cases.
            p = 1 / (1 + np.exp(-(2 * x - 2 + np.log(0.4 / 0.6))))
            base = {"case_id": [f"{split}{k}" for k in range(n)], "patient_id": [f"{split}{k}" for k in range(n)]}
            told = {"split": split, "fold": -1, "member": "ensemble", "target": label}
            truth = np.where(y, "present", "absent")
            parts.append(pd.DataFrame({**base, **told, "y_true": truth, "p_absent": 1 - p, "p_present": p}))
    return pd.concat(parts, ignore_index=True)


def points(rule: str = "youden") -> OperatingPoints:
    return OperatingPoints(rule, by_target={label: OperatingPoints(rule, 0.4) for label in QUESTION.classes})


def test_only_the_label_whose_share_differs_is_corrected() -> None:
    table = predictions(0.75)
    found = adjusted_figures(table, QUESTION, points())
    assert found is not None
    assert list(found["targets"]) == list(found["prevalence"]) == list(found["operating_point"]) == ["edema"]
    rows = table[(table["split"] == "test") & (table["target"] == "edema")]
    y, p = (rows["y_true"] == "present").to_numpy(), rows["p_present"].to_numpy()
    figures = found["targets"]["edema"]["test"]
    assert figures["brier"]["value"] < ((p - y) ** 2).mean()
    assert found["operating_point"]["edema"]["unadjusted"] == 0.4 < found["operating_point"]["edema"]["value"]
    assert figures["recall"]["value"] == pytest.approx((p[y] >= 0.4).mean()), "by this rule no call changes"
    other = table[(table["split"] == "test") & (table["target"] == "nodule")]
    there = (other["y_true"] == "present").to_numpy()
    mean = (figures["brier"]["value"] + ((other["p_present"] - there) ** 2).mean()) / 2
    assert found["test"]["brier"]["value"] == pytest.approx(mean)
    assert found["test"]["brier"]["method"].endswith("mean over labels")


def test_without_a_shift_or_points_nothing_is_corrected() -> None:
    assert adjusted_figures(predictions(0.4), QUESTION, points()) is None
    assert adjusted_figures(predictions(0.75), QUESTION, None) is None


def test_a_point_that_no_rule_can_move_is_said() -> None:
    found = adjusted_figures(predictions(0.75), QUESTION, points("given, not chosen on these cases"))
    assert found is not None and "test" not in found
    assert found["reason"] == ("edema: the operating point was given and follows no rule by which it could be moved")
