"""Figures of images made worse, against scikit-learn and against a comparison of two models on the same cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, mean_absolute_error, roc_auc_score

from semeion.errors import InputError
from semeion.evidence.pairs.compare import compare
from semeion.evidence.pairs.pairing import Side
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.robustness import falls_first, robustness
from semeion.evidence.weigh import weigh

BINARY = Question("finding", "binary", ("no", "yes"), "yes")
POINTS = OperatingPoints("youden", 0.4)
N = 120


def rows(p: np.ndarray[Any, Any], y: np.ndarray[Any, Any], name: str, strength: float, **own: Any) -> pd.DataFrame:
    columns = {"p_no": 1 - p, "p_yes": p, "y_true": np.where(y == 1, "yes", "no"), "target": "finding", **own}
    known = {
        "case_id": [f"c{k}" for k in range(len(y))],
        "patient_id": [f"p{k // 2}" for k in range(len(y))],
        "split": "test",
        "fold": -1,
        "member": "ensemble",
        "degradation": name,
        "strength": strength,
    }
    return pd.DataFrame(known | columns)


def binary_table(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray[Any, Any], dict[float, np.ndarray[Any, Any]]]:
    rng = np.random.default_rng(seed)
    y = (rng.random(N) < 0.4).astype(int)
    logit = 2.2 * (2 * y - 1) + rng.normal(0, 1.5, N)
    noise = rng.normal(0, 1, N)
    p = {s: 1 / (1 + np.exp(-(logit + s * noise))) for s in (0.0, 1.0, 6.0)}
    parts = [rows(p[0.0], y, "none", 0), rows(p[1.0], y, "noise", 1), rows(p[6.0], y, "noise", 6)]
    return pd.concat([*parts, rows(p[0.0], y, "blur", 1)], ignore_index=True), y, p


def test_figures_are_those_of_scikit_learn_and_calls_those_at_the_same_point() -> None:
    table, y, p = binary_table()
    found = robustness(table, BINARY, POINTS, resamples=200)
    assert (found["n"], found["n_patients"]) == (N, N // 2)
    assert found["undegraded"]["auroc"]["value"] == pytest.approx(roc_auc_score(y, p[0.0]), abs=1e-12)
    assert set(found["undegraded"]) == {"auroc", "recall", "specificity", "balanced_accuracy"}
    for entry, strength in zip(found["curves"]["noise"], (1.0, 6.0), strict=True):
        call, before = p[strength] >= 0.4, p[0.0] >= 0.4
        figures, gain = entry["metrics"], entry["difference"]
        assert entry["strength"] == strength
        assert figures["auroc"]["value"] == pytest.approx(roc_auc_score(y, p[strength]), abs=1e-12)
        assert figures["recall"]["value"] == pytest.approx(call[y == 1].mean(), abs=1e-12)
        assert figures["specificity"]["value"] == pytest.approx((~call)[y == 0].mean(), abs=1e-12)
        assert figures["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(y, call), abs=1e-12)
        assert figures["changed"]["value"] == pytest.approx((call != before).mean(), abs=1e-12)
        area = roc_auc_score(y, p[strength]) - roc_auc_score(y, p[0.0])
        assert gain["auroc"]["value"] == pytest.approx(area, abs=1e-12)
        assert gain["auroc"]["low"] < gain["auroc"]["value"] < gain["auroc"]["high"]
        assert set(gain) == set(found["undegraded"])
        for one in (*figures.values(), *gain.values()):
            assert {"value", "low", "high", "n", "n_patients", "method"} <= set(one)


def test_figures_are_those_of_weigh_and_differences_those_of_a_paired_comparison() -> None:
    table, _, _ = binary_table()
    found = robustness(table, BINARY, POINTS, resamples=400, seed=4)
    a, b = (table[(table["degradation"] == name) & (table["strength"] == s)] for name, s in (("none", 0), ("noise", 6)))
    paired = compare(*(Side("x", one, BINARY, POINTS, "test") for one in (a, b)), resamples=400, seed=4)["figures"]
    weighed = [weigh(one, BINARY, points=POINTS, resamples=400, seed=4)["metrics"]["test"] for one in (a, b)]
    worst = found["curves"]["noise"][1]
    for name in ("auroc", "recall", "specificity", "balanced_accuracy"):
        assert found["undegraded"][name] == weighed[0][name]
        assert worst["metrics"][name] == weighed[1][name]
        known = paired[name]["difference"]
        assert worst["difference"][name]["value"] == pytest.approx(known["value"], abs=1e-12)
        # The same patients in another order are drawn otherwise.
        assert worst["difference"][name]["low"] == pytest.approx(known["low"], abs=0.03)
        assert worst["difference"][name]["high"] == pytest.approx(known["high"], abs=0.03)


def test_what_changes_nothing_differs_by_nothing() -> None:
    table, _, _ = binary_table()
    [same] = robustness(table, BINARY, POINTS, resamples=100)["curves"]["blur"]
    assert {entry["value"] for entry in same["difference"].values()} == {0.0}
    assert same["metrics"]["changed"]["value"] == 0
    assert same["metrics"]["changed"]["high"] > 0


def test_the_order_of_rows_and_the_threads_do_not_matter() -> None:
    table, _, _ = binary_table()
    mixed = pd.concat([part.sample(frac=1, random_state=2) for _, part in table.groupby("degradation", sort=False)])
    mixed = mixed.sort_values(["degradation", "strength"], key=lambda c: c.map(str), kind="stable")
    one = robustness(table, BINARY, POINTS, resamples=100, jobs=1)
    other = robustness(mixed, BINARY, POINTS, resamples=100, jobs=3)
    assert other["curves"]["noise"] == one["curves"]["noise"]
    assert other["undegraded"] == one["undegraded"]


def test_grades_labels_and_values() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, N)
    grades = Question("grade", "ordinal", ("a", "b", "c"))
    parts = []
    scores = {}
    for name, strength, spread in (("none", 0, 0.3), ("blur", 1, 1.5)):
        score = np.eye(3)[y] + rng.normal(0, spread, (N, 3))
        p = scores[name] = np.exp(score) / np.exp(score).sum(1, keepdims=True)
        own = {f"p_{c}": p[:, k] for k, c in enumerate("abc")}
        parts.append(rows(p[:, 0], y, name, strength, target="grade", y_true=np.array(list("abc"))[y], **own))
    found = robustness(pd.concat(parts), grades, None, resamples=50)
    figures = found["curves"]["blur"][0]["metrics"]
    calls = scores["blur"].argmax(1)
    assert figures["kappa_quadratic"]["value"] == pytest.approx(cohen_kappa_score(y, calls, weights="quadratic"))
    assert figures["auroc"]["value"] == pytest.approx(roc_auc_score(y, scores["blur"], multi_class="ovr"))
    assert figures["changed"]["value"] == pytest.approx((calls != scores["none"].argmax(1)).mean())

    truth = rng.normal(20, 4, N)
    said = {name: truth + rng.normal(0, spread, N) for name, spread in (("none", 1), ("blur", 3))}
    values = pd.concat(
        rows(truth, y, name, s, target="size", y_true=truth.astype(str), y_pred=said[name])
        for name, s in (("none", 0), ("blur", 1))
    )
    found = robustness(values, Question("size", "regression"), None, resamples=50)
    figures = found["curves"]["blur"][0]["metrics"]
    assert set(figures) == {"mae", "shift"}
    assert figures["mae"]["value"] == pytest.approx(mean_absolute_error(truth, said["blur"]))
    assert figures["shift"]["value"] == pytest.approx(np.abs(said["blur"] - said["none"]).mean())


def test_labels_are_averaged() -> None:
    table, y, p = binary_table()
    labels = Question("a,b", "multilabel", ("a", "b"))
    points = OperatingPoints("youden", by_target={"a": OperatingPoints("youden", 0.4), "b": OperatingPoints("x", 0.7)})
    table = table[table["degradation"] != "blur"].rename(columns={"p_no": "p_absent", "p_yes": "p_present"})
    table["y_true"] = table["y_true"].map({"yes": "present", "no": "absent"})
    both = pd.concat([table.assign(target="a"), table.assign(target="b")])
    found = robustness(both, labels, points, resamples=50)
    worst = found["curves"]["noise"][1]["metrics"]
    assert found["n"] == N
    assert worst["auroc"]["value"] == pytest.approx(roc_auc_score(y, p[6.0]), abs=1e-12)
    recalls = [(p[6.0] >= at)[y == 1].mean() for at in (0.4, 0.7)]
    assert worst["recall"]["value"] == pytest.approx(np.mean(recalls), abs=1e-12)
    changed = [((p[6.0] >= at) != (p[0.0] >= at)).mean() for at in (0.4, 0.7)]
    assert worst["changed"]["value"] == pytest.approx(np.mean(changed), abs=1e-12)


def test_tables_that_cannot_be_paired_are_refused() -> None:
    table, _, _ = binary_table()
    with pytest.raises(InputError, match="no column 'strength'"):
        robustness(table.drop(columns="strength"), BINARY, POINTS)
    with pytest.raises(InputError, match="0 versions of the images as they are"):
        robustness(table[table["degradation"] != "none"], BINARY, POINTS)
    fewer = table[(table["degradation"] == "none") | (table["case_id"] != "c3")]
    with pytest.raises(InputError, match="noise at 1 has other cases"):
        robustness(fewer, BINARY, POINTS)
    two = table.assign(split=np.where(table["case_id"] < "c3", "val", "test"))
    with pytest.raises(InputError, match="2 splits with labels"):
        robustness(two, BINARY, POINTS)


def curve(*ends: tuple[float, float] | None, figure: str = "auroc") -> list[dict[str, Any]]:
    return [
        {
            "strength": float(step + 1),
            "difference": {
                figure: {"value": None, "low": None, "high": None}
                if end is None
                else {"value": sum(end) / 2, "low": end[0], "high": end[1]}
            },
        }
        for step, end in enumerate(ends)
    ]


def test_where_a_figure_first_falls() -> None:
    down, far, none, up = (-0.1, -0.02), (-0.3, -0.2), (-0.1, 0.02), (0.01, 0.1)
    assert falls_first({"noise": curve(none, none), "blur": curve(up, None)}, "auroc") is None
    # A dip that the stronger ones do not share is chance.
    assert falls_first({"noise": curve(down, none)}, "auroc") is None
    first = falls_first({"noise": curve(none, down), "blur": curve(down, down), "crop": curve(far, far)}, "auroc")
    assert first == {"degradation": "crop", "strength": 1.0, "step": 0, "figure": "auroc"}
    late = falls_first({"noise": curve(none, far), "blur": curve(none, down)}, "auroc")
    assert late is not None
    assert (late["degradation"], late["step"]) == ("noise", 1)
    error = {"noise": curve(none, up, figure="mae"), "blur": curve(down, far, figure="mae")}
    risen = falls_first(error, "mae")
    assert risen is not None
    assert (risen["degradation"], risen["strength"]) == ("noise", 2.0)
