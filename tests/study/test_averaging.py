"""The average of measurements and images: equal weights, and points chosen on cases that may choose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.model.combine import calibrate
from semeion.plan.crossfit import CrossFit, fold_sides
from semeion.study.averaging import averaged
from semeion.study.diagnosing import Diagnosed, diagnose
from semeion.study.learning import Trained
from semeion.study.measure_images import Seen
from semeion.study.predicting import Decision, decide
from study.test_diagnosing import N, cohort_of, measured_of, setting
from support.hearts import FAILING, FEATURES, HEALTHY, image_networks, measured_plan

CLASSES = [HEALTHY, FAILING]


def plan_of() -> Any:
    return measured_plan(classifier={"kinds": ["boosting"]}, seen=image_networks())


def seen_of(y: np.ndarray, groups: np.ndarray, fit: CrossFit, p: np.ndarray) -> Seen:
    """Return what image networks say when they say `p` of the positive class, wherever a case stands."""
    raw = np.stack([1 - p, p], axis=1)
    sides = fold_sides(fit, (groups * 0).astype(np.int64), groups, inner_share=0.2, seed=1)
    decisions = {s.fold: decided(y, raw, groups, s.validate, "inner") for s in sides}
    pool = np.flatnonzero(fit.fold >= 0)
    return Seen(
        Trained(plan_of().images.networks),
        raw,
        decisions,
        decided(y, raw, groups, pool, "oof"),
        {side.fold: (side.validate, raw[side.validate]) for side in sides},
    )


def decided(y: np.ndarray, raw: np.ndarray, groups: np.ndarray, rows: np.ndarray, on: str) -> Decision:
    return decide(y[rows], raw[rows], groups[rows], "binary", CLASSES, "youden", on, seed=0)


def case(seed: int = 0, test: int = 10) -> tuple[np.ndarray, np.ndarray, CrossFit, Diagnosed, np.ndarray]:
    y, groups, fit = setting(seed, test)
    rng = np.random.default_rng(seed + 1)
    x = rng.normal(size=(N, len(FEATURES))) + y[:, None]
    found = diagnose(plan_of(), cohort_of(y), y, groups, fit, measured_of(fit, x, dict.fromkeys(range(3), x)))
    return y, groups, fit, found, 1 / (1 + np.exp(-rng.normal(size=N) - 1.5 * (2 * y - 1)))


def of(table: pd.DataFrame, member: str) -> pd.DataFrame:
    return table.query("member == @member").set_index("case_id")


def test_both_parts_are_calibrated_and_weigh_the_same() -> None:
    y, groups, fit, found, p = case()
    seen = seen_of(y, groups, fit, p)
    both = averaged(plan_of(), cohort_of(y), y, found, seen).predicted
    ensemble, images = of(both.table, "ensemble"), of(both.table, "images")
    alone = of(found.predicted.table, "ensemble")
    column = f"p_{FAILING}"
    np.testing.assert_allclose(of(both.table, "measurements")[column], alone[column])
    np.testing.assert_allclose(ensemble[column], (alone[column] + images[column]) / 2)
    for fold, rows in enumerate([fit.rows(fold) for fold in range(3)]):
        said = calibrate(seen.raw[rows], "binary", seen.by_fold[fold].maps)[:, 1]
        np.testing.assert_allclose(images.loc[[f"c{row}" for row in rows], column], said)
    assert set(ensemble["split"]) == {"oof", "test"}


def test_a_fold_changes_nothing_of_its_own_point_and_test_cases_choose_nothing() -> None:
    """The truth and the images of the cases that are weighed do not move the point that they are called at."""
    y, groups, fit, found, p = case()
    first = averaged(plan_of(), cohort_of(y), y, found, seen_of(y, groups, fit, p))
    held = np.concatenate([fit.rows(1), np.flatnonzero(fit.fold < 0)])
    turned, other = y.copy(), p.copy()
    turned[held], other[held] = 1 - y[held], 1 - p[held]
    seen = seen_of(turned, groups, fit, other)
    second = averaged(plan_of(), cohort_of(turned), turned, found, seen)
    assert first.predicted.by_fold[1] == second.predicted.by_fold[1]
    assert first.predicted.by_fold[0] != second.predicted.by_fold[0]
    tests = np.flatnonzero(fit.fold < 0)
    turned, other = y.copy(), p.copy()
    turned[tests], other[tests] = 1 - y[tests], 1 - p[tests]
    third = averaged(plan_of(), cohort_of(turned), turned, found, seen_of(turned, groups, fit, other))
    assert third.predicted.shipped == first.predicted.shipped
    assert third.predicted.by_fold == first.predicted.by_fold


def test_noise_beside_measurements_is_told_by_the_parts() -> None:
    y, groups, fit, found, _ = case()
    told = averaged(plan_of(), cohort_of(y), y, found, seen_of(y, groups, fit, np.full(N, 0.5) + 0.01 * (y - y)))
    parts = told.evidence["parts"]["oof"]
    assert parts["images"]["auroc"]["value"] == 0.5
    assert parts["measurements"]["auroc"]["value"] > 0.7
    assert parts["difference"]["auroc"]["value"] == pytest.approx(
        parts["average"]["auroc"]["value"] - parts["measurements"]["auroc"]["value"]
    )
    assert told.evidence["images"]["weights"] == {"measurements": 0.5, "images": 0.5}
    assert "alone" not in " ".join(told.notes)
    # Drivers are those of the measurements, for the class that is now called.
    assert set(told.drivers["case_id"]) == set(found.drivers["case_id"])


def test_a_fold_whose_choosing_cases_were_not_measured_stands_at_one_half() -> None:
    y, groups, fit, found, p = case()
    bare = tuple(replace(one, inner_rows=one.inner_rows[:0], inner=one.inner[:0]) for one in found.judged)
    told = averaged(plan_of(), cohort_of(y), y, replace(found, judged=bare), seen_of(y, groups, fit, p))
    for decision in told.predicted.by_fold.values():
        assert decision.point == 0.5
        assert any("no operating point could be chosen" in remark for remark in decision.remarks)
