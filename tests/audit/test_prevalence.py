from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semeion.audit.prevalence import prevalence_shift
from semeion.study.adjusting import adjusted_figures
from support.judged import POINTS, QUESTION, judged, table


def two_places(share: float, *, n: int = 600, seed: int = 0, spoiled: bool = False) -> pd.DataFrame:
    """Return validation cases as calibrated, and test cases of which `share` are malignant but look alike by class."""
    val = table(n, strength=2.5, seed=seed, split="val")
    pool = table(8 * n, strength=2.5, seed=seed + 100)
    positive = np.flatnonzero(pool["y_true"] == "malignant")
    negative = np.flatnonzero(pool["y_true"] != "malignant")
    count = round(share * n)
    stream = np.random.default_rng(seed)
    test = pool.iloc[np.concatenate([stream.choice(positive, count, False), stream.choice(negative, n - count, False)])]
    if spoiled:  # the images look otherwise: everything a little more malignant
        logit = np.log(test["p_malignant"] / test["p_benign"]) + 2.0
        p = 1 / (1 + np.exp(-logit))
        test = test.assign(p_malignant=p, p_benign=1 - p)
    test = test.assign(case_id="t" + test["case_id"], patient_id="t" + test["patient_id"])
    return pd.concat([val, test], ignore_index=True)


@pytest.mark.parametrize("share", [0.15, 0.6, 0.8])
def test_another_balance_is_estimated_without_labels(share: float) -> None:
    audit = prevalence_shift(judged(two_places(share)))
    assert audit.verdict == "warn"
    entry = audit.figures["malignant"]
    assert entry["without_labels"] == pytest.approx(share, abs=0.06)
    assert entry["observed"] == pytest.approx(share, abs=0.01)
    assert audit.figures["estimate_agrees"]
    assert "stand under adjusted" in audit.advice


def test_the_same_balance_is_clear() -> None:
    found = two_places(0.0)  # only for its validation cases
    share = float((found["y_true"][found["split"] == "val"] == "malignant").mean())
    assert prevalence_shift(judged(two_places(share))).verdict == "clear"


def test_images_that_differ_make_the_correction_doubtful() -> None:
    audit = prevalence_shift(judged(two_places(0.6, spoiled=True)))
    assert audit.verdict == "warn"
    assert "Do not correct by prevalence" in audit.advice
    assert adjusted_figures(two_places(0.6, spoiled=True), QUESTION, POINTS) is None


def test_an_estimate_that_the_labels_contradict_is_no_shift() -> None:
    """The balance is the same; the probabilities alone would say otherwise, since the images differ."""
    found = two_places(0.0)
    share = float((found["y_true"][found["split"] == "val"] == "malignant").mean())
    audit = prevalence_shift(judged(two_places(share, spoiled=True)))
    assert audit.verdict == "note"
    assert "do not correct these probabilities" in audit.advice


def test_without_validation_cases_it_is_not_run() -> None:
    audit = prevalence_shift(judged(table(100, split="oof", folds=5)))
    assert audit.verdict == "not_run"
    assert "folds share one class balance" in audit.advice


def test_adjusted_figures_stand_beside_the_measured_ones() -> None:
    found = two_places(0.8)
    adjusted = adjusted_figures(found, QUESTION, POINTS)
    assert adjusted is not None
    test = found[found["split"] == "test"]
    y = (test["y_true"] == "malignant").to_numpy(float)
    brier = float(np.mean((test["p_malignant"] - y) ** 2))
    assert adjusted["test"]["brier"]["value"] < brier  # better calibrated where the balance differs
    point = adjusted["operating_point"]
    assert point["unadjusted"] == 0.5
    assert point["value"] > 0.5  # the same cut, on the raised scale
    assert "no call changes" in point["method"]
    called = (test["p_malignant"] >= 0.5).to_numpy()
    assert adjusted["test"]["recall"]["value"] == pytest.approx(float(called[y == 1].mean()))


def test_nothing_is_adjusted_where_nothing_shifted() -> None:
    found = two_places(0.0)
    share = float((found["y_true"][found["split"] == "val"] == "malignant").mean())
    assert adjusted_figures(two_places(share), QUESTION, POINTS) is None
    assert adjusted_figures(table(100, split="oof", folds=5), QUESTION, POINTS) is None
