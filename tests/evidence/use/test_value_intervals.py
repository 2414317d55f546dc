"""Intervals of a measured value: their half-widths, what is promised, and that coverage holds in simulated cohorts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.errors import InputError
from semeion.evidence.measuring import Drawing
from semeion.evidence.question import Question
from semeion.evidence.use.sets import SetsAsked
from semeion.evidence.use.value_intervals import (
    NO_CASE,
    cross_intervals,
    fit_interval,
    shipped_interval,
    weigh_intervals,
)
from semeion.evidence.weigh import weigh

QUESTION = Question("volume", "regression")
DRAWING = Drawing(60, 0, 1)


def cases_of(n: int, split: str, seed: int, *, each: int = 1, fold: Any = -1, member: str = "ensemble") -> pd.DataFrame:
    """Return `n` predictions with errors of a standard deviation of 2, `each` of a patient of the split."""
    rng = np.random.default_rng(seed)
    y = rng.normal(50, 10, n)
    return pd.DataFrame(
        {
            "case_id": [f"{split}{row}" for row in range(n)],
            "patient_id": [f"{split}-{row // each}" for row in range(n)],
            "split": split,
            "fold": fold,
            "member": member,
            "target": "volume",
            "y_true": y,
            "y_pred": y + rng.normal(0, 2, n),
        }
    )


def weighed(*tables: pd.DataFrame, asked: SetsAsked | None = None, strata: pd.DataFrame | None = None) -> Any:
    table = pd.concat(tables, ignore_index=True)
    found = weigh_intervals(table, QUESTION, asked or SetsAsked(), DRAWING, strata)
    json.dumps(found)
    return found


def folded(n: int = 150, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return out-of-fold and test predictions of three folds with a member each, and their ensembles."""
    out, test = cases_of(n, "oof", seed, each=2, fold=(np.arange(n) // 2) % 3), cases_of(90, "test", seed + 1)
    frames = [out]
    members = []
    for fold in range(3):
        rng = np.random.default_rng([seed, fold])
        frames.append(out[out["fold"] == fold].assign(member=f"fold{fold}"))
        members.append(test.assign(member=f"fold{fold}", y_pred=test["y_pred"] + rng.normal(0, 0.5, len(test))))
    mean = np.mean([one["y_pred"] for one in members], axis=0)
    return pd.concat(frames, ignore_index=True), pd.concat([test.assign(y_pred=mean), *members], ignore_index=True)


def test_the_half_width_is_the_ranked_largest_error_of_each_patient() -> None:
    errors = np.arange(1.0, 11.0)
    y = np.zeros(11)
    found = fit_interval(y, [*errors, 0.5], [*range(10), 9], coverage=0.8)
    assert (found.half_width, found.n_patients) == (9.0, 10)
    with pytest.raises(InputError, match=r"8 patients calibrate intervals, and a stated coverage of 0.9 takes 9"):
        fit_interval(y[:8], errors[:8], range(8))


@pytest.mark.parametrize(
    ("y", "value", "patient", "coverage", "said"),
    [
        ([1.0], [1.0, 2.0], [0], 0.5, "give one of each a case"),
        ([1.0, np.nan], [1.0, 2.0], [0, 1], 0.5, "not a finite number"),
        ([1.0, 2.0], [1.0, 2.0], [0, 1], 1.0, "a coverage of 1.0"),
        ([1.0, 2.0], [1.0, 2.0], [0], 0.5, "say whose each case is"),
    ],
)
def test_arrays_that_cannot_be_are_refused(y: Any, value: Any, patient: Any, coverage: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        fit_interval(y, value, patient, coverage=coverage)


def test_cross_intervals_are_those_of_the_paper_one_patient_at_a_time() -> None:
    rng = np.random.default_rng(3)
    y, said, fold = rng.normal(size=20), rng.normal(size=20), np.arange(20) % 4
    new = {k: rng.normal(size=5) for k in range(4)}
    low, high, worst = cross_intervals(y, said, range(20), fold, new, coverage=0.8)
    for case in range(5):
        below = sorted(new[k][case] - abs(a - b) for k, a, b in zip(fold, y, said, strict=True))
        above = sorted(new[k][case] + abs(a - b) for k, a, b in zip(fold, y, said, strict=True))
        assert low[case] == pytest.approx(below[int(np.floor(21 * 0.2)) - 1])
        assert high[case] == pytest.approx(above[int(np.ceil(21 * 0.8)) - 1])
    assert worst == pytest.approx(1 - 0.4 - min(2 * 0.75 / 6, 0.8 / 5))


def test_cross_intervals_need_whole_patients_and_every_fold() -> None:
    y = np.zeros(20)
    with pytest.raises(InputError, match="a patient is in two folds"):
        cross_intervals(y, y, [0, 0, *range(1, 19)], [0, 1, *([0, 1] * 9)], {0: y, 1: y})
    with pytest.raises(InputError, match="give one model for each fold"):
        cross_intervals(y, y, range(20), [0, 1] * 10, {0: y})


def test_a_stated_coverage_holds_in_simulated_cohorts() -> None:
    """Split conformal: of new patients, over many cohorts, as many as stated; with errors of heavy tails and clusters.

    The mean over cohorts is ``ceil((n + 1) c) / (n + 1)`` exactly where errors have no ties.
    """
    rng = np.random.default_rng(1)
    held = []
    for _ in range(600):
        shared = rng.standard_t(3, 99).repeat(2)
        errors = shared + rng.normal(size=198)
        rule = fit_interval(np.zeros(118), errors[:118], np.arange(59).repeat(2), coverage=0.9)
        held.append((np.abs(errors[118:]).reshape(40, 2).max(axis=1) <= rule.half_width).mean())
    assert np.mean(held) == pytest.approx(54 / 60, abs=4 * np.std(held) / np.sqrt(600))


def test_coverage_of_models_of_folds_holds_for_their_mean_and_for_cv_plus() -> None:
    """Ridge regression learned anew in each cohort by five folds: the mean with one half-width, and CV+."""
    rng = np.random.default_rng(2)
    held: dict[str, list[float]] = {"mean": [], "cross": []}
    for _ in range(150):
        x = rng.normal(size=(160, 12))
        y = x @ rng.normal(size=12) + rng.normal(0, 2, 160)
        fold, own = np.arange(60) % 5, np.zeros(60)
        new = {}
        for k in range(5):
            learn = np.flatnonzero(fold != k)
            w = np.linalg.solve(x[learn].T @ x[learn] + np.eye(12), x[learn].T @ y[learn])
            own[fold == k], new[k] = x[:60][fold == k] @ w, x[60:] @ w
        half = fit_interval(y[:60], own, range(60)).half_width
        held["mean"].append(float((np.abs(y[60:] - np.mean(list(new.values()), axis=0)) <= half).mean()))
        low, high, _ = cross_intervals(y[:60], own, range(60), fold, new)
        held["cross"].append(float(((y[60:] >= low) & (y[60:] <= high)).mean()))
    for name, each in held.items():
        assert 0.89 < np.mean(each) < 0.96, name


def test_calibration_cases_make_the_half_width_and_test_cases_measure_it() -> None:
    strata = pd.DataFrame({"case_id": [f"test{row}" for row in range(80)], "site": ["a", "b"] * 40})
    tables = cases_of(60, "calibration", 0), cases_of(80, "test", 1)
    found = weighed(*tables, strata=strata)
    rule = fit_interval(*(tables[0][name] for name in ("y_true", "y_pred", "patient_id")))
    test = found["test"]
    assert set(found) == {"test"}
    assert test["half_width"] == rule.half_width and test["width"] == pytest.approx(2 * rule.half_width)
    inside = (tables[1]["y_true"] - tables[1]["y_pred"]).abs() <= rule.half_width
    assert test["coverage"]["value"] == pytest.approx(inside.mean())
    assert test["coverage"]["low"] < test["coverage"]["value"] <= test["coverage"]["high"]
    assert test["expected"]["low"] < 0.9 < test["expected"]["high"]
    assert test["groups"]["site"]["a"]["coverage"]["value"] == pytest.approx(inside[::2].mean())
    assert "at least 0.9" in test["promise"]
    table = pd.concat(tables, ignore_index=True)
    shipped = shipped_interval(table, QUESTION, SetsAsked())
    assert shipped is not None
    assert (shipped["half_width"], shipped["split"], shipped["n"]) == (rule.half_width, "calibration", 60)


def test_folds_make_what_ships_and_each_is_left_out_of_its_own_half_width() -> None:
    out, test = folded()
    found = weighed(out, test)
    assert set(found["oof"]["half_widths"]) == {"0", "1", "2"}
    assert "None for this measurement" in found["oof"]["promise"]
    own = out[out["member"] == "ensemble"]
    half = fit_interval(own["y_true"], own["y_pred"], own["patient_id"]).half_width
    assert found["test"]["half_width"] == half
    assert "nothing is promised at the worst" in found["test"]["promise"]
    assert found["test"]["cross"]["worst"] < 0.8 and found["test"]["cross"]["coverage"]["value"] > 0.8
    shipped = shipped_interval(pd.concat([out, test], ignore_index=True), QUESTION, SetsAsked())
    assert shipped is not None
    assert (shipped["half_width"], shipped["split"], shipped["n_patients"]) == (half, "oof", 75)


def test_where_nobody_calibrates_the_reason_is_told() -> None:
    assert weighed(cases_of(40, "test", 0))["test"] == {"stated": 0.9, "reason": NO_CASE}
    asked = SetsAsked(reason="40 val patients are too few.")
    table = pd.concat([cases_of(40, "val", 0), cases_of(40, "test", 1)], ignore_index=True)
    found = weighed(table, asked=asked)
    assert "to choose by" in found["val"]["reason"] and found["test"]["reason"] == asked.reason
    assert shipped_interval(table, QUESTION, asked) == {"coverage": 0.9, "half_width": None, "reason": asked.reason}
    few = weighed(cases_of(8, "calibration", 0), cases_of(40, "test", 1))["test"]["reason"]
    assert few == "8 patients calibrate intervals, and a stated coverage of 0.9 takes 9."


def test_folds_that_are_sites_ship_nothing() -> None:
    out, test = folded()
    asked = SetsAsked(folds="Each fold is one site.")
    assert weighed(out, test, asked=asked)["test"] == {"stated": 0.9, "reason": "Each fold is one site."}
    shipped = shipped_interval(pd.concat([out, test], ignore_index=True), QUESTION, asked)
    assert shipped is not None
    assert shipped["half_width"] is None


def test_patients_who_calibrate_are_in_no_measurement() -> None:
    calibrating = cases_of(40, "calibration", 0)
    shared = cases_of(40, "test", 1).assign(patient_id=calibrating["patient_id"])
    assert weighed(calibrating, shared)["test"]["reason"].startswith("40 patients calibrate intervals and are among")


def test_a_shipped_half_width_is_measured_elsewhere_as_it_is() -> None:
    asked = SetsAsked(0.9, half_width=3.0)
    table = cases_of(60, "external", 5)
    found = weighed(table, asked=asked)["external"]
    inside = (table["y_true"] - table["y_pred"]).abs() <= 3
    assert found["coverage"]["value"] == pytest.approx(inside.mean()) and found["half_width"] == 3.0


def test_weigh_tells_them_of_a_measured_value_alone() -> None:
    table = pd.concat([cases_of(60, "calibration", 0), cases_of(80, "test", 1)], ignore_index=True)
    found = weigh(table, QUESTION, resamples=30, jobs=1, sets=SetsAsked())
    assert found["interval"]["half_width"] == found["intervals"]["test"]["half_width"] and not found["sets"]
    assert "intervals" not in weigh(table, QUESTION, resamples=30, jobs=1)
    with pytest.raises(InputError, match=r"a coverage of 1.0"):
        weigh(table, QUESTION, resamples=30, jobs=1, sets=SetsAsked(1.0))
