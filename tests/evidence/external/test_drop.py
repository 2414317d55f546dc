from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semeion.errors import InputError
from semeion.evidence.external.drop import DROPPED, drop_of, stated_drop
from semeion.evidence.pairs.pairing import Side
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import weigh

QUESTION = Question("finding", "binary", ("benign", "malignant"), "malignant")
POINTS = OperatingPoints("youden", 0.5, {0: 0.4, 1: 0.6})


def table(n, seed, *, split="external", strength=1.5, shift=0.0, per_patient=1, prefix="e"):
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(n // per_patient), per_patient)
    y = (rng.random(n // per_patient) < 0.4)[patients]
    score = rng.normal(strength * (y - 0.5), 1) + rng.normal(0, 0.5, n // per_patient)[patients] + shift
    p = 1 / (1 + np.exp(-score))
    return pd.DataFrame(
        {
            "case_id": [f"{prefix}{k}" for k in range(n)],
            "patient_id": [f"{prefix}{k}" for k in patients],
            "split": split,
            "fold": np.arange(n) % 2 if split == "oof" else -1,
            "member": "ensemble",
            "target": "finding",
            "y_true": np.where(y, "malignant", "benign"),
            "p_benign": 1 - p,
            "p_malignant": p,
        }
    )


def side(frame, split="external", points=POINTS, question=QUESTION):
    return Side(split, frame, question, points, split)


def test_values_are_those_of_each_side_weighed_by_itself():
    inside, outside = table(200, 1, split="oof", per_patient=2, prefix="i"), table(150, 2, shift=0.7)
    found = drop_of(side(inside, "oof"), side(outside), resamples=200)["finding"]
    assert tuple(found) == DROPPED["binary"]
    one = weigh(inside, QUESTION, points=POINTS, resamples=5)
    other = weigh(outside, QUESTION, points=POINTS, resamples=5)
    for name, entry in found.items():
        if name == "ici":
            a = one["reliability"]["oof"]["figures"]["ici"]["value"]
            b = other["reliability"]["external"]["figures"]["ici"]["value"]
        else:
            a, b = one["metrics"]["oof"][name]["value"], other["metrics"]["external"][name]["value"]
        assert (entry["internal"], entry["external"]) == pytest.approx((a, b), abs=1e-12)
        assert entry["difference"]["value"] == pytest.approx(b - a, abs=1e-12)
        assert entry["difference"]["low"] <= entry["difference"]["value"] <= entry["difference"]["high"]
        assert (entry["difference"]["n"], entry["difference"]["n_patients"]) == (350, 250)
        assert "patients of each side drawn by themselves" in entry["difference"]["method"]


def test_the_interval_of_a_mean_is_that_of_two_independent_samples():
    inside, outside = table(400, 3, split="test", prefix="i"), table(300, 4)
    found = drop_of(side(inside, "test"), side(outside))["finding"]["brier"]["difference"]
    squares = [((t["p_malignant"] - (t["y_true"] == "malignant")) ** 2).to_numpy() for t in (inside, outside)]
    se = np.sqrt(sum(one.var() / len(one) for one in squares))
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * se, rel=0.06)


def test_a_true_drop_is_seen_and_none_is_not():
    inside = table(600, 5, split="test", prefix="i", strength=3)
    worse = drop_of(side(inside, "test"), side(table(600, 6, strength=0.6)), resamples=500)["finding"]
    assert worse["auroc"]["verdict"] == "worse"
    assert worse["brier"]["verdict"] == "worse"
    assert worse["calibration_slope"]["verdict"] == "differs"
    same = drop_of(side(inside, "test"), side(table(600, 7, strength=3)), resamples=500)["finding"]
    assert same["auroc"]["verdict"] == "none"


def test_the_same_seed_gives_the_same_interval_whatever_the_order_of_rows():
    inside, outside = table(80, 1, split="test", prefix="i"), table(90, 2)
    one = drop_of(side(inside, "test"), side(outside), resamples=100)
    assert one == drop_of(side(inside.sample(frac=1, random_state=1), "test"), side(outside), resamples=100, jobs=2)


def test_one_class_alone_leaves_a_difference_undefined_with_its_reason():
    outside = table(60, 2)
    outside["y_true"] = "benign"
    found = drop_of(side(table(80, 1, split="test", prefix="i"), "test"), side(outside), resamples=50)["finding"]
    assert found["auroc"]["external"] is None
    assert found["auroc"]["difference"]["value"] is None
    assert "one class" in found["auroc"]["difference"]["reason"]
    assert found["auroc"]["verdict"] == "unknown"
    assert found["specificity"]["difference"]["value"] is not None


@pytest.mark.parametrize("task", ["multiclass", "regression", "multilabel"])
def test_other_tasks(task):
    rng = np.random.default_rng(0)
    n = 90

    def rows(split, prefix):
        base = pd.DataFrame({"case_id": [f"{prefix}{k}" for k in range(n)], "split": split, "fold": -1})
        base["patient_id"], base["member"] = base["case_id"], "ensemble"
        if task == "regression":
            truth = rng.normal(50, 10, n)
            return base.assign(target="size", y_true=truth, y_pred=truth + rng.normal(0, 3, n))
        if task == "multiclass":
            y = np.arange(n) % 3
            p = rng.dirichlet(np.ones(3), n) + 0.5 * np.eye(3)[y]
            p /= p.sum(axis=1, keepdims=True)
            return base.assign(
                target="kind", y_true=np.array(["a", "b", "c"])[y], p_a=p[:, 0], p_b=p[:, 1], p_c=p[:, 2]
            )
        parts = []
        for label in ("edema", "nodule"):
            p = rng.random(n)
            y = np.where(rng.random(n) < p, "present", "absent")
            parts.append(base.assign(target=label, y_true=y, p_absent=1 - p, p_present=p))
        return pd.concat(parts, ignore_index=True)

    question = {
        "multiclass": Question("kind", "multiclass", ("a", "b", "c")),
        "regression": Question("size", "regression"),
        "multilabel": Question("edema,nodule", "multilabel", ("edema", "nodule")),
    }[task]
    half = OperatingPoints("youden", 0.5)
    points = {"multilabel": OperatingPoints("youden", by_target={"edema": half, "nodule": half})}.get(task)
    inside, outside = side(rows("test", "i"), "test", points, question), side(rows("external", "e"), points=points)
    found = drop_of(inside, Side("external", outside.predictions, question, points, "external"), resamples=100)
    assert set(found) == set(question.targets)
    wanted = DROPPED["binary" if task == "multilabel" else task]
    for target in question.targets:
        assert tuple(found[target]) == wanted
        assert all(entry["difference"]["low"] is not None for entry in found[target].values())


def test_another_question_or_an_absent_split_is_refused():
    inside, outside = table(40, 1, split="val", prefix="i"), table(40, 2)
    with pytest.raises(InputError, match="no labelled case of the split test"):
        drop_of(side(inside, "test"), side(outside))
    other = Question("finding", "binary", ("malignant", "benign"), "malignant")
    with pytest.raises(InputError, match="answer different questions"):
        drop_of(side(inside, "val", question=other), side(outside))


def test_stated_intervals_are_combined_as_in_newcombe():
    # Newcombe, Stat Med 17:873 (1998), table II, method 10: 56/70 less 48/80 is 0.2, 0.0524 to 0.3339, from Wilson's
    # intervals 0.6917 to 0.8775 and 0.4907 to 0.7006 (each to 4 places).
    external = {"auroc": {"value": 56 / 70, "low": 0.69170, "high": 0.87741}}
    internal = {"auroc": {"value": 48 / 80, "low": 0.49054, "high": 0.70038}}
    found = stated_drop(internal, external, "binary")["auroc"]
    assert found["difference"]["value"] == pytest.approx(0.2)
    assert found["difference"]["low"] == pytest.approx(0.0524, abs=2e-4)
    assert found["difference"]["high"] == pytest.approx(0.3339, abs=2e-4)
    assert "Zou and Donner" in found["difference"]["method"]
    assert found["verdict"] == "better"


def test_a_figure_that_only_one_side_states_has_no_difference():
    stated = {"auroc": {"value": 0.8, "low": None, "high": None}, "brier": {"value": None}}
    found = stated_drop(stated, {"auroc": {"value": 0.7, "low": 0.6, "high": 0.8}, "ici": {"value": 0.1}}, "binary")
    assert list(found) == ["auroc"]
    assert found["auroc"]["difference"]["reason"] == "no interval: one of the figures has none"
    assert found["auroc"]["verdict"] == "unknown"
