"""Calibration and operating point come from the cases that may choose them, and from no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from semeion.calibration.maps import apply_to_classes
from semeion.cohort.cohort import Cohort, Target
from semeion.evidence.calibration.choice import choose_by_size
from semeion.evidence.use.operating import choose_point
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides, sides
from semeion.study import predicting
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained
from semeion.study.predicting import Predicted, operating_points, predict_run
from semeion.study.rows import prediction_rows
from support.tiny import TARGETS, make_plan

N = 240
Values = npt.NDArray[np.float64]


def cohort_of(y: Values, task: str = "binary", *, split: str = "") -> Cohort:
    target = TARGETS[task]
    of = Target(target["name"], target["task"], tuple(target["classes"]), target["positive"])
    table = pd.DataFrame(
        {
            "case_id": [f"c{row}" for row in range(N)],
            "patient_id": [f"p{row // 2}" for row in range(N)],
            "site": None,
            "split": pd.Series([None] * N, dtype=object),
            "image": [f"{row}.png" for row in range(N)],
        }
    )
    turns = {"given": ["train", "val", "test"], "test": ["train", "train", "test"], "": [None]}[split]
    table["split"] = [turns[row // 2 % len(turns)] for row in range(N)]
    for k, name in enumerate(of.columns):
        table[name] = y if y.ndim == 1 else y[:, k]
    return Cohort(table, of)


def parts_of(cohort: Cohort, y: Values, plan: Plan) -> list[Sides]:
    split = cohort.table["split"].to_numpy(dtype=object) if cohort.has_split else None
    groups = pd.factorize(cohort.table["patient_id"])[0].astype("int64")
    return sides(
        split,
        y,
        cohort.target.task,
        groups,
        scheme=plan.validation.scheme,
        folds=plan.validation.folds,
        inner_share=plan.validation.inner_share,
        seed=0,
        aside=plan.sets.share,
    )


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Predicted, list[Sides], Values]]:
    """Predict with made-up members: each answers by the true label and noise of its own, whatever the labels say."""

    def run(
        task: str = "binary",
        scheme: str = "folds",
        *,
        relabel: Callable[[Values, list[Sides]], Values] | None = None,
        aside: float = 0.0,
    ) -> tuple[Predicted, list[Sides], Values]:
        rng = np.random.default_rng(1)
        truth = (
            rng.integers(0, 3, N).astype(float) if task == "multiclass" else (rng.uniform(size=N) > 0.6).astype(float)
        )
        if task == "multilabel":
            truth = np.stack([truth, rng.integers(0, 2, N)], axis=1).astype(float)
        plan = make_plan(task, scheme=scheme, folds=3, repeats=2)
        plan.sets.share = aside
        cohort = cohort_of(truth, task, split="given" if scheme == "given" else "test")
        parts = parts_of(cohort, truth, plan)
        answers: dict[str, Values] = {}
        for member in plan.members:
            sharp = rng.normal(0, 1, (N, max(len(plan.target.classes), 1)))
            if task == "multilabel":
                answers[member.name] = 1 / (1 + np.exp(-(3 * truth - 1.5 + sharp)))
            elif task == "regression":
                answers[member.name] = truth[:, None] + sharp
            else:
                raised = np.exp(2 * np.eye(sharp.shape[1])[truth.astype(int)] + sharp)
                answers[member.name] = raised / raised.sum(1, keepdims=True)

        def said(
            run: RunFolder, plan: Plan, member: MemberPlan, store: Any, banks: Any, rows: npt.NDArray[np.int64]
        ) -> Values:
            return answers[member.name][rows]

        monkeypatch.setattr(predicting, "member_outputs", said)
        y = truth if relabel is None else relabel(truth.copy(), parts)
        by_fold = {side.fold: side for side in parts}
        done = Trained(plan, validation={m.name: answers[m.name][by_fold[m.fold].validate] for m in plan.members})
        return predict_run(RunFolder(tmp_path), done, None, cohort, y, parts), parts, y  # type: ignore[arg-type]

    return run


def raw_of(table: pd.DataFrame, split: str) -> Values:
    rows = table[(table["split"] == split) & (table["member"] == "ensemble")]
    return rows[["raw_benign", "raw_malignant"]].to_numpy()


def test_labels_of_held_out_cases_do_not_touch_their_own_folds_decision(predict: Callable[..., Any]) -> None:
    plain, _, _ = predict()
    for fold in range(3):

        def flip(y: Values, sides: list[Sides], fold: int = fold) -> Values:
            y[sides[fold].held_out] = 1 - y[sides[fold].held_out]
            return y

        other, _, _ = predict(relabel=flip)
        assert other.by_fold[fold].maps == plain.by_fold[fold].maps
        assert other.by_fold[fold].point == plain.by_fold[fold].point
        # The shipped ones are refitted on all out-of-fold cases, so they do move.
        assert other.shipped.point != plain.shipped.point or other.shipped.maps != plain.shipped.maps


@pytest.mark.parametrize("scheme", ["folds", "given"])
def test_labels_of_test_cases_touch_nothing(predict: Callable[..., Any], scheme: str) -> None:
    plain, _, _ = predict(scheme=scheme)

    def flip(y: Values, parts: list[Sides]) -> Values:
        used = np.concatenate([np.concatenate([side.learn, side.validate, side.held_out]) for side in parts])
        tested = np.setdiff1d(np.arange(N), used)
        assert len(tested) == N // 3
        y[tested] = 1 - y[tested]
        return y

    other, _, _ = predict(scheme=scheme, relabel=flip)
    assert other.shipped == plain.shipped
    assert other.by_fold == plain.by_fold
    shown = [name for name in plain.table.columns if name != "y_true"]
    pd.testing.assert_frame_equal(other.table[shown], plain.table[shown], check_exact=True)


def test_a_fold_decides_on_its_inner_validation_cases(predict: Callable[..., Any]) -> None:
    predicted, parts, _ = predict()
    members = predicted.table[predicted.table["split"] == "oof"]
    for side in parts:
        assert not set(side.validate) & set(side.held_out)
        decision = predicted.by_fold[side.fold]
        assert (decision.fitted_on, decision.n) == ("inner validation cases", len(side.validate))
        rows = members[(members["fold"] == side.fold) & (members["member"] == "ensemble")]
        held_out = rows[["raw_benign", "raw_malignant"]].to_numpy()
        again = apply_to_classes(held_out, decision.maps)
        np.testing.assert_array_equal(rows[["p_benign", "p_malignant"]], again)


def test_the_shipped_decision_is_fitted_on_all_out_of_fold_predictions(predict: Callable[..., Any]) -> None:
    predicted, parts, y = predict()
    rows = np.concatenate([side.held_out for side in parts])
    raw = raw_of(predicted.table, "oof")
    chosen = choose_by_size(y[rows], raw[:, 1], rows // 2).chosen
    point = choose_point(y[rows], apply_to_classes(raw, chosen)[:, 1], "youden")
    assert predicted.shipped.maps == chosen
    assert predicted.shipped.point == point
    assert (predicted.shipped.fitted_on, predicted.shipped.n) == ("oof", len(rows))
    points = operating_points(predicted, "youden", "binary", ["benign", "malignant"])
    assert points is not None
    assert points.shipped == point
    assert points.by_fold == {fold: decision.point for fold, decision in predicted.by_fold.items()}


def test_with_a_given_split_validation_cases_decide(predict: Callable[..., Any]) -> None:
    predicted, parts, y = predict(scheme="given")
    rows = parts[0].validate
    chosen = choose_by_size(y[rows], raw_of(predicted.table, "val")[:, 1], rows // 2).chosen
    assert (predicted.shipped.maps, predicted.shipped.fitted_on) == (chosen, "val")
    assert predicted.by_fold == {}


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_cases_that_are_set_aside_for_sets_choose_nothing(predict: Callable[..., Any], task: str) -> None:
    plain, parts, _ = predict(task, "given", aside=0.333)
    (side,) = parts
    assert len(side.calibrate) > 0
    assert not set(side.calibrate) & {*side.validate, *side.learn}

    def flip(y: Values, parts: list[Sides]) -> Values:
        y[parts[0].calibrate] = 1 - np.minimum(y[parts[0].calibrate], 1)
        return y

    other, _, _ = predict(task, "given", aside=0.333, relabel=flip)
    assert other.shipped == plain.shipped
    rows = plain.table[plain.table["split"] == "calibration"]
    assert set(rows["case_id"]) == {f"c{row}" for row in side.calibrate}
    assert set(rows["member"]) == set(plain.table["member"])
    assert set(plain.table.loc[plain.table["split"] == "val", "case_id"]) == {f"c{row}" for row in side.validate}
    np.testing.assert_array_equal(rows.filter(like="p_"), other.table.loc[rows.index].filter(like="p_"))


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("scheme", ["folds", "given"])
def test_the_table_has_every_case_member_and_target_once(predict: Callable[..., Any], task: str, scheme: str) -> None:
    predicted, _, _ = predict(task, scheme)
    table = predicted.table
    assert not table.duplicated(["case_id", "target", "split", "member"]).any()
    assert set(table["split"]) == ({"oof", "test"} if scheme == "folds" else {"val", "test"})
    ensemble = table[table["member"] == "ensemble"]
    targets = 2 if task == "multilabel" else 1
    assert len(ensemble) == targets * (N if scheme == "folds" else 2 * N // 3)
    per_test = table[table["split"] == "test"].groupby("case_id")["member"].nunique()
    assert (per_test == (7 if scheme == "folds" else 3)).all(), "every member and the ensemble read a test case"
    if task == "regression":
        assert "y_pred" in table
        assert predicted.shipped.maps is None
        assert operating_points(predicted, "youden", task, []) is None
        return
    names = ["absent", "present"] if task == "multilabel" else TARGETS[task]["classes"]
    np.testing.assert_allclose(table[[f"p_{name}" for name in names]].sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(table[[f"raw_{name}" for name in names]].sum(axis=1), 1, atol=1e-12)
    assert set(table["y_true"]) == set(names)


def test_where_no_point_can_be_chosen_a_half_stands_and_is_said(predict: Callable[..., Any]) -> None:
    def all_benign(y: Values, parts: list[Sides]) -> Values:
        y[parts[0].validate] = 0
        return y

    predicted, _, _ = predict(scheme="given", relabel=all_benign)
    assert predicted.shipped.point == 0.5
    assert any(
        "no operating point could be chosen" in text and "0.5 stands" in text for text in predicted.shipped.remarks
    )


def test_each_label_of_several_has_its_own_decision(predict: Callable[..., Any]) -> None:
    predicted, _, _ = predict("multilabel")
    assert isinstance(predicted.shipped.maps, list)
    assert set(predicted.shipped.point) == {"edema", "nodule"}
    points = operating_points(predicted, "youden", "multilabel", ["edema", "nodule"])
    assert points is not None
    assert set(points.by_target) == {"edema", "nodule"}
    assert set(points.of("nodule").by_fold) == {0, 1, 2}


def test_class_names_are_encoded_in_column_names() -> None:
    base = pd.DataFrame({"case_id": ["a"]})
    p = np.array([[0.25, 0.75]])
    rows = prediction_rows(base, "t", "binary", ["normal or benign", "ca. ö/%"], np.array([1.0]), p, p)
    assert list(rows.columns) == [
        *("case_id", "target", "y_true", "p_normal%20or%20benign", "p_ca.%20%C3%B6%2F%25"),
        *("raw_normal%20or%20benign", "raw_ca.%20%C3%B6%2F%25"),
    ]
    assert rows["y_true"].tolist() == ["ca. ö/%"]


def test_an_unknown_label_of_several_is_missing() -> None:
    base = pd.DataFrame({"case_id": ["a", "b"]})
    p = np.array([[0.25, 0.75], [0.5, 0.5]])
    rows = prediction_rows(base, "t", "multilabel", ["x", "y"], np.array([[1.0, np.nan], [0.0, 1.0]]), p, p)
    assert rows["target"].tolist() == ["x", "x", "y", "y"]
    assert rows["y_true"].isna().tolist() == [False, False, True, False]
    assert rows["y_true"].dropna().tolist() == ["present", "absent", "present"]
