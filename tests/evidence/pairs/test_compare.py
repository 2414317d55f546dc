"""The paired difference of two models, against a loop over scikit-learn on the same draws; and what is no pair."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, cohen_kappa_score, mean_absolute_error, roc_auc_score

from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import multiplicities, outcome_strata
from semeion.evidence.pairs.compare import compare, verdict
from semeion.evidence.pairs.pairing import Side
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints

BINARY = Question("finding", "binary", ("0", "1"), "1")
SEVERAL = Question("grade", "ordinal", ("0", "1", "2"))
HALF = OperatingPoints("given", 0.5)


def frame(p: np.ndarray, y: np.ndarray, question: Question = BINARY, **changed: Any) -> pd.DataFrame:
    n = len(y)
    rows = {
        "case_id": [f"c{i:03}" for i in range(n)],
        "patient_id": [f"p{i // 2}" for i in range(n)],
        "split": "test",
        "fold": -1,
        "member": "ensemble",
        "target": question.target,
        "y_true": [question.classes[j] for j in y],
        **{f"p_{name}": p[:, j] for j, name in enumerate(question.classes)},
    }
    return pd.DataFrame({**rows, **changed})


def truth(n: int = 80, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, n)


def binary(y: np.ndarray, noise: float, seed: int, **changed: Any) -> pd.DataFrame:
    p = 1 / (1 + np.exp(-(1.5 * y - 0.75 + noise * np.random.default_rng(seed).normal(size=len(y)))))
    return frame(np.column_stack([1 - p, p]), y, **changed)


def side(predictions: pd.DataFrame, question: Question = BINARY, name: str = "a", **changed: Any) -> Side:
    points = HALF if question.task == "binary" else None
    return replace(Side(name, predictions, question, points, "test"), **changed)


def both(n: int = 80) -> tuple[Side, Side]:
    y = truth(n)
    return side(binary(y, 4.0, 1)), side(binary(y, 0.7, 2), name="b")


def test_values_are_those_of_scikit_learn_and_differences_are_paired() -> None:
    a, b = both()
    found = compare(a, b, resamples=60, seed=3)["figures"]
    y = truth()
    p = [one.predictions["p_1"].to_numpy() for one in (a, b)]
    functions = {
        "auroc": lambda p, w: roc_auc_score(y, p, sample_weight=w),
        "accuracy": lambda p, w: accuracy_score(y, p >= 0.5, sample_weight=w),
        "brier": lambda p, w: brier_score_loss(y, p, sample_weight=w),
    }
    patient = np.arange(80) // 2
    # Patients are numbered in the order of the cases; the area is drawn within strata of outcome.
    strata = outcome_strata(patient, y, 40)
    for name, of in functions.items():
        whole = [of(each, np.ones(80)) for each in p]
        entry = found[name]
        assert entry["a"]["value"] == pytest.approx(whole[0], abs=1e-12)
        assert entry["b"]["value"] == pytest.approx(whole[1], abs=1e-12)
        assert entry["difference"]["value"] == pytest.approx(whole[1] - whole[0], abs=1e-12)
        assert (entry["difference"]["n"], entry["difference"]["n_patients"]) == (80, 40)
        rows = multiplicities(40, 0, 60, 3, strata if name == "auroc" else ())[:, patient]
        loop = [of(p[1], row) - of(p[0], row) for row in rows]
        assert min(loop) <= entry["difference"]["low"] <= entry["difference"]["high"] <= max(loop)
        assert "the same draws for both" in entry["difference"]["method"]
    assert found["auroc"]["verdict"] == "b"
    assert found["brier"]["better"] == "lower"
    assert found["brier"]["difference"]["value"] < 0
    assert found["brier"]["verdict"] == "b"
    ends = found["auroc"]["difference"]["delong"]
    assert ends["low"] < found["auroc"]["difference"]["value"] < ends["high"]


def test_pairing_narrows_the_interval() -> None:
    """Two models that err on the same cases differ by less than two that err on others, drawn apart."""
    y = truth(200)
    p = binary(y, 1.2, 1)["p_1"].to_numpy()
    near = np.clip(p + 0.02 * np.random.default_rng(5).normal(size=200), 0, 1)
    a, b = side(frame(np.column_stack([1 - p, p]), y)), side(frame(np.column_stack([1 - near, near]), y))
    entry = compare(a, b, resamples=200)["figures"]["auroc"]
    alone = entry["a"]["high"] - entry["a"]["low"]
    assert entry["difference"]["high"] - entry["difference"]["low"] < 0.3 * alone


def test_a_model_against_itself_shows_no_difference() -> None:
    a, _ = both()
    found = compare(a, a, resamples=40)
    for name, entry in found["figures"].items():
        gain = entry["difference"]
        assert (gain["value"], gain["low"], gain["high"]) == (0, 0, 0), name
        assert entry["verdict"] == "none"
    assert found["calls"]["only_a_right"] == found["calls"]["only_b_right"] == 0
    assert found["left_out"] == {"a": 0, "b": 0}


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000), shuffle=st.randoms(use_true_random=False))
def test_turning_the_sides_turns_the_sign_and_the_order_of_rows_is_nothing(seed: int, shuffle: Any) -> None:
    y = truth(30, seed % 7)
    a, b = side(binary(y, 1.5, seed)), side(binary(y, 1.0, seed + 1))
    rows = list(range(30))
    shuffle.shuffle(rows)
    one = compare(a, b, resamples=20)["figures"]
    same = compare(replace(a, predictions=a.predictions.iloc[rows]), b, resamples=20)["figures"]
    turned = compare(b, a, resamples=20)["figures"]
    assert one == same
    for name, entry in one.items():
        value = entry["difference"]["value"]
        if value is not None:
            assert turned[name]["difference"]["value"] == pytest.approx(-value, abs=1e-12)
            assert {entry["verdict"], turned[name]["verdict"]} in ({"a", "b"}, {"none"}, {"differs"}, {"unknown"})


def test_only_common_cases_are_weighed_and_the_others_counted() -> None:
    a, b = both()
    part = replace(b, predictions=b.predictions.iloc[10:])
    found = compare(replace(a, predictions=a.predictions.iloc[:-4]), part, resamples=20)
    assert (found["n"], found["n_patients"], found["left_out"]) == (66, 33, {"a": 10, "b": 4})
    exact = compare(
        replace(a, predictions=a.predictions.iloc[10:-4]),
        replace(b, predictions=b.predictions.iloc[10:-4]),
        resamples=20,
    )
    assert found["figures"] == exact["figures"]


def test_classes_that_no_case_in_common_has_are_named() -> None:
    a, b = both()
    assert compare(a, b, resamples=5)["absent"] == []
    rows = b.predictions
    assert compare(a, replace(b, predictions=rows[rows["y_true"] == "0"]), resamples=5)["absent"] == ["1"]
    y = np.arange(40) % 2
    p = np.random.default_rng(0).dirichlet(np.ones(3), 40)
    graded = side(frame(p, y, SEVERAL), SEVERAL)
    assert compare(graded, graded, resamples=5)["absent"] == ["2"]


def test_each_model_keeps_its_own_operating_point() -> None:
    a, b = both()
    found = compare(a, replace(b, points=OperatingPoints("given", 0.9)), resamples=10)
    y, p = truth(), b.predictions["p_1"].to_numpy()
    assert found["figures"]["accuracy"]["b"]["value"] == accuracy_score(y, p >= 0.9)
    assert sum(found["calls"].values()) == 80


def test_several_classes_in_another_order_and_other_members() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    p, q = rng.dirichlet(np.ones(3), 60), rng.dirichlet(np.ones(3), 60)
    noise = frame(q, y, SEVERAL, member="seed0")
    multi = Question("grade", "multiclass", ("0", "1", "2"))
    turned = Question("grade", "multiclass", ("2", "0", "1"))
    found = compare(
        side(frame(p, y, SEVERAL), multi), side(pd.concat([noise, frame(q, y, SEVERAL)]), turned), resamples=20
    )
    wanted = roc_auc_score(y, q, multi_class="ovr") - roc_auc_score(y, p, multi_class="ovr")
    assert found["figures"]["auroc"]["difference"]["value"] == pytest.approx(wanted)
    assert set(found["curves"]) == {"0", "1", "2"}
    graded = compare(side(frame(p, y, SEVERAL), SEVERAL), side(frame(q, y, SEVERAL), SEVERAL), resamples=20)
    kappa = [cohen_kappa_score(y, each.argmax(axis=1), weights="quadratic") for each in (p, q)]
    assert graded["figures"]["kappa_quadratic"]["difference"]["value"] == pytest.approx(kappa[1] - kappa[0])


def test_labels_are_compared_one_by_one_and_on_average() -> None:
    question = Question("a,b", "multilabel", ("a", "b"))
    y = {"a": truth(60, 1), "b": truth(60, 2)}

    def made(noise: float, seed: int) -> pd.DataFrame:
        parts = [binary(y[name], noise, seed + k, target=name) for k, name in enumerate("ab")]
        rows = pd.concat(parts, ignore_index=True).rename(columns={"p_0": "p_absent", "p_1": "p_present"})
        return rows.assign(y_true=rows["y_true"].map({"0": "absent", "1": "present"}))

    points = OperatingPoints("given", by_target={"a": HALF, "b": HALF})
    a, b = (Side(name, made(noise, 3), question, points, "test") for name, noise in (("a", 2.0), ("b", 1.0)))
    found = compare(a, b, resamples=30)
    each = [found["targets"][name]["figures"]["auroc"]["difference"]["value"] for name in "ab"]
    assert found["figures"]["auroc"]["difference"]["value"] == pytest.approx(np.mean(each))
    assert found["n"] == 60
    assert set(found["curves"]) == {"a", "b"}
    one = b.predictions.copy()
    one.loc[one["target"] == "b", "y_true"] = "absent"
    lost = a.predictions.copy()
    lost.loc[lost["target"] == "b", "y_true"] = "absent"
    only = compare(replace(a, predictions=lost), replace(b, predictions=one), resamples=10)["figures"]["auroc"]
    assert only["difference"]["value"] == pytest.approx(each[0])
    assert "left out, undefined for one of the models: b" in only["difference"]["reason"]


def test_a_measured_value() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=40)
    question = Question("age", "regression")
    tables = [
        frame(np.zeros((40, 2)), truth(40), target="age", y_true=y, y_pred=y + rng.normal(size=40) * s) for s in (2, 1)
    ]
    found = compare(side(tables[0], question), side(tables[1], question), resamples=30)
    mae = [mean_absolute_error(y, one["y_pred"]) for one in tables]
    assert found["figures"]["mae"]["difference"]["value"] == pytest.approx(mae[1] - mae[0])
    assert found["figures"]["mae"]["better"] == "lower"
    assert (found["calls"], found["curves"]) == ({}, {})


def test_undefined_differences_say_why() -> None:
    y = np.ones(12, dtype=int)
    found = compare(side(binary(y, 1, 1)), side(binary(y, 1, 2)), resamples=10)["figures"]
    assert found["auroc"]["difference"]["value"] is None
    assert found["auroc"]["verdict"] == "unknown"
    assert found["auroc"]["difference"]["reason"] == "only one class among the cases"
    one = compare(
        side(binary(truth(8), 1, 1, patient_id="p")), side(binary(truth(8), 1, 2, patient_id="p")), resamples=10
    )
    assert one["figures"]["auroc"]["difference"]["reason"] == "no interval: fewer than 2 patients"
    assert one["figures"]["auroc"]["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("low", "high", "better", "expected"),
    [
        (0.1, 0.2, "higher", "b"),
        (-0.2, -0.1, "higher", "a"),
        (0.1, 0.2, "lower", "a"),
        (-0.2, -0.1, "lower", "b"),
        (-0.1, 0.1, "higher", "none"),
        (0.0, 0.1, "higher", "none"),
        (0.1, 0.2, None, "differs"),
        (None, None, "higher", "unknown"),
    ],
)
def test_the_verdict_follows_the_interval(
    low: float | None, high: float | None, better: str | None, expected: str
) -> None:
    assert verdict({"low": low, "high": high}, better) == expected


def test_patients_of_one_side_serve_both() -> None:
    a, b = both()
    own = b.predictions.assign(patient_id=b.predictions["case_id"])
    found = compare(a, replace(b, predictions=own, has_patients=False), resamples=20)
    assert found == compare(a, b, resamples=20)
    other = b.predictions.assign(patient_id="x" + b.predictions["patient_id"])
    assert compare(a, replace(b, predictions=other), resamples=20) == found, "only who belongs together matters"


def refused(a: Side, b: Side) -> str:
    with pytest.raises(InputError) as caught:
        compare(a, b, resamples=5)
    return str(caught.value)


def test_what_is_no_pair_is_refused() -> None:
    a, b = both()
    rows = b.predictions
    assert "a and b: the targets differ: 'finding' and 'grade'" in refused(
        a, replace(b, predictions=rows.assign(target="grade"), question=replace(BINARY, target="grade"))
    )
    assert "--target NAME" in refused(a, replace(b, question=replace(BINARY, target="grade")))
    renamed = rows.rename(columns={"p_0": "p_x", "p_1": "p_y"})
    assert "the classes differ: 0, 1 and x, y" in refused(
        a, replace(b, predictions=renamed, question=Question("finding", "binary", ("x", "y"), "y"))
    )
    assert "the positive classes differ: '1' and '0'" in refused(a, replace(b, question=replace(BINARY, positive="0")))
    assert "the tasks differ: binary (0, 1) and multiclass (0, 1)" in refused(
        a, replace(b, question=Question("finding", "multiclass", ("0", "1")))
    )
    assert "the grades are ordered differently: 0, 1, 2 and 2, 1, 0" in refused(
        replace(a, question=SEVERAL), replace(b, question=Question("grade", "ordinal", ("2", "1", "0")))
    )
    apart = rows.assign(case_id="z" + rows["case_id"])
    assert (
        "no case is in both (80 cases of the split test, 80 of test); compare predictions of the same cases"
        in refused(a, replace(b, predictions=apart))
    )
    assert "b: no labelled case of the split 'val'" in refused(a, replace(b, split="val"))
    wrong = rows.copy()
    wrong.loc[[3, 5], "y_true"] = [str(1 - int(value)) for value in wrong.loc[[3, 5], "y_true"]]
    assert "the truth differs in 2 cases: c003, c005" in refused(a, replace(b, predictions=wrong))
    torn = rows.assign(patient_id=["q"] * 3 + rows["patient_id"].tolist()[3:])
    message = refused(a, replace(b, predictions=torn))
    assert (
        "cases that are one patient's in one file are of several in the other: 4 cases: c000, c001, c002, c003"
        in message
    )
    with pytest.raises(InputError, match="resamples: 0 resamples; use 2000"):
        compare(a, b, resamples=0)


def test_the_result_is_plain_json() -> None:
    a, b = both(20)
    found = compare(a, b, resamples=5)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
