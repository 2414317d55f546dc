from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from evidence import naive
from semeion.artefacts import finite
from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import multiplicities, outcome_strata
from semeion.evidence.metrics import figure_names
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import weigh

BINARY = Question("finding", "binary", ("0", "1"), "1")
SEVERAL = Question("grade", "ordinal", ("0", "1", "2"))
POINTS = OperatingPoints("youden", 0.5, {0: 0.3, 1: 0.7})


def frame(p: np.ndarray, y: np.ndarray, question: Question = BINARY, **changed: Any) -> pd.DataFrame:
    n = len(y)
    columns = {f"p_{name}": p[:, j] for j, name in enumerate(question.classes)}
    rows = {
        "case_id": [f"c{i}" for i in range(n)],
        "patient_id": [f"p{i // 2}" for i in range(n)],
        "split": "test",
        "fold": -1,
        "member": "ensemble",
        "target": question.target,
        "y_true": [question.classes[j] for j in y],
        **columns,
    }
    return pd.DataFrame({**rows, **changed})


def binary(n: int = 120, seed: int = 0, **changed: Any) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    p = rng.integers(1, 20, n) / 20
    return frame(np.column_stack([1 - p, p]), (rng.random(n) < p).astype(int), **changed)


def labels(n: int = 150, seed: int = 0) -> tuple[pd.DataFrame, Question]:
    question = Question("a,b,c", "multilabel", ("a", "b", "c"))
    parts = []
    for k, name in enumerate(question.classes):
        part = binary(n, seed + k, target=name)
        part = part.rename(columns={"p_0": "p_absent", "p_1": "p_present"})
        part["y_true"] = part["y_true"].map({"0": "absent", "1": "present"})
        parts.append(part)
    return pd.concat(parts, ignore_index=True), question


def loop(
    compute: Callable[[np.ndarray], dict[str, float]],
    patient: np.ndarray,
    outcome: np.ndarray,
    resamples: int,
    seed: int,
    conditional: Collection[str],
) -> Callable[[str], tuple[float, float]]:
    """Return a function of a figure's name that gives its BCa interval; conditional ones are drawn within strata."""
    n = int(patient.max()) + 1
    drawn, stratum = {}, {}
    for within in (False, True):
        strata = outcome_strata(np.tile(patient, len(outcome) // len(patient)), outcome, n) if within else ()
        stratum[within] = np.zeros(n, dtype=int)
        for number, members in enumerate(strata):
            stratum[within][members] = number
        drawn[within] = [compute(row[patient]) for row in multiplicities(n, 0, resamples, seed, strata)]
    without = [compute((patient != k) * 1.0) for k in range(n)]
    whole = compute(np.ones(len(patient)))

    def ends(name: str) -> tuple[float, float]:
        within = name in conditional
        skew = naive.skew_of([one[name] for one in without], stratum[within])
        return naive.bca(whole[name], np.array([one[name] for one in drawn[within]]), skew)

    return ends


def numbered(table: pd.DataFrame) -> np.ndarray:
    return np.asarray(np.unique(table["patient_id"].to_numpy(str), return_inverse=True)[1])


def test_intervals_equal_a_loop_over_scikit_learn() -> None:
    table = binary()
    found = weigh(table, BINARY, points=POINTS, resamples=30, seed=7)["metrics"]["test"]
    y, p = table["y_true"].astype(int).to_numpy(), table["p_1"].to_numpy()
    patient = numbered(table)

    def compute(w: np.ndarray) -> dict[str, float]:
        return naive.binary(y, p, (p >= 0.5).astype(int), w)

    conditional = {"auroc", "recall", "specificity", "balanced_accuracy", "recall_macro", "recall_0", "recall_1"}
    ends = loop(compute, patient, y, 30, 7, conditional)
    scored = {"precision_0", "recall", "recall_1"}
    for name, value in compute(np.ones(120)).items():
        entry = found[name]
        assert (entry["n"], entry["n_patients"]) == (120, 60)
        assert entry["value"] == pytest.approx(value, abs=1e-10)
        if name in scored:
            assert entry["method"].startswith("95 % Wilson")
            continue
        assert (entry["low"], entry["high"]) == pytest.approx(ends(name), abs=1e-9), name
        how = "within strata of outcome" if name in conditional else "from all"
        assert entry["method"].startswith(f"95 % BCa bootstrap over patients, 30 resamples; patients drawn {how}")
    assert set(found) == set(figure_names(BINARY))
    assert found["calibration_slope"]["low"] < found["calibration_slope"]["value"] < found["calibration_slope"]["high"]
    assert found["auroc"]["delong"]["low"] < found["auroc"]["value"] < found["auroc"]["delong"]["high"]


def test_multiclass_intervals_equal_a_loop_over_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), 120)
    y = np.array([rng.choice(3, p=row) for row in p])
    table = frame(p, y, SEVERAL)
    result = weigh(table, SEVERAL, resamples=20, seed=2)
    found = result["metrics"]["test"]
    patient = numbered(table)

    def compute(w: np.ndarray) -> dict[str, float]:
        return naive.several(y, p, p.argmax(axis=1), w)

    conditional = {"balanced_accuracy", "recall_macro", "recall_0", "recall_1", "recall_2"}
    ends = loop(compute, patient, y, 20, 2, conditional)
    compared = 0
    for name, value in compute(np.ones(120)).items():
        entry = found[name]
        assert entry["value"] == pytest.approx(value, abs=1e-10)
        if entry["method"].startswith("95 % BCa"):
            assert (entry["low"], entry["high"]) == pytest.approx(ends(name), abs=1e-9), name
            compared += 1
    assert compared >= 14
    slope = loop(lambda w: {"slope": naive.multinomial(y, p, w)}, patient, y, 20, 2, ())("slope")
    assert (found["calibration_slope"]["low"], found["calibration_slope"]["high"]) == pytest.approx(slope, abs=1e-5)
    assert set(result["curves"]["test"]) == {"0", "1", "2"}
    assert np.sum(result["confusion"]["test"]["counts"]) == 120
    assert found["auroc"]["method"].endswith("macro one-versus-rest")
    assert "delong" not in found["auroc"]


def test_patients_stay_together() -> None:
    """Copies of every case under the same patient change no interval; as patients of their own they would narrow it."""
    one = binary(100, patient_id=[f"p{i}" for i in range(100)])
    copies = pd.concat([one, one.assign(case_id=one["case_id"] + "x")], ignore_index=True)
    kept = weigh(one, BINARY, points=POINTS, resamples=300)["metrics"]["test"]
    same = weigh(copies, BINARY, points=POINTS, resamples=300)["metrics"]["test"]
    for name, entry in kept.items():
        for end in ("value", "low", "high"):
            assert same[name][end] == pytest.approx(entry[end], abs=1e-9), name
    own = copies.assign(patient_id=copies["case_id"])
    narrow = weigh(own, BINARY, points=POINTS, resamples=300)["metrics"]["test"]["auroc"]
    assert narrow["high"] - narrow["low"] < 0.85 * (kept["auroc"]["high"] - kept["auroc"]["low"])


def test_the_order_of_rows_other_members_and_the_number_of_threads_change_nothing() -> None:
    table = binary()
    noise = table.assign(member="seed1", p_0=0.9, p_1=0.1)
    first = weigh(table, BINARY, points=POINTS, resamples=50, seed=3, jobs=1)
    again = weigh(pd.concat([noise, table]), BINARY, points=POINTS, resamples=50, seed=3, jobs=2)
    assert first == again
    shuffled = table.sample(frac=1, random_state=0)
    assert weigh(shuffled, BINARY, points=POINTS, resamples=50, seed=3) == first
    other = weigh(table, BINARY, points=POINTS, resamples=50, seed=4)
    assert other["metrics"]["test"]["auroc"]["low"] != first["metrics"]["test"]["auroc"]["low"]


def test_out_of_fold_cases_are_called_at_their_own_folds_point() -> None:
    table = binary(200, split="oof", fold=[0, 1] * 100)
    result = weigh(table, BINARY, points=POINTS, resamples=10)
    p, y = table["p_1"].to_numpy(), table["y_true"].to_numpy()
    call = np.where(table["fold"] == 0, p >= 0.3, p >= 0.7)
    counts = result["confusion"]["oof"]["counts"]
    assert counts[1][1] == (call & (y == "1")).sum()
    assert counts[0][1] == (call & (y == "0")).sum()
    with pytest.raises(InputError, match="no operating point for fold 1"):
        weigh(table, BINARY, points=OperatingPoints("youden", 0.5, {0: 0.3}), resamples=10)
    with pytest.raises(InputError, match="no operating point for the split 'test'"):
        weigh(binary(), BINARY, resamples=10)


def test_every_split_but_training_is_weighed() -> None:
    table = binary(120, split=["train", "val", "test"] * 40)
    result = weigh(table, BINARY, points=POINTS, resamples=10)
    assert set(result["metrics"]) == set(result["confusion"]) == set(result["curves"]) == {"val", "test"}
    assert set(result["splits"]) == {"train", "val", "test"}
    counts = result["splits"]["test"]
    assert counts["n"] == 40
    assert sum(counts["class_counts"].values()) == 40
    curves = result["curves"]["test"]
    assert set(curves) == {"roc", "pr", "calibration", "points"}
    assert POINTS.shipped in curves["points"]["threshold"]
    only = weigh(table[table["split"] == "train"], BINARY, points=POINTS)
    assert only["metrics"] == {}
    assert only["notes"] == ["No labelled case outside the training split: there are no figures."]


def test_undefined_figures_are_null_with_a_reason() -> None:
    one = frame(np.tile([0.4, 0.6], (6, 1)), np.ones(6, dtype=int))
    found = weigh(one, BINARY, points=POINTS, resamples=20)["metrics"]["test"]
    auroc = {key: found["auroc"][key] for key in ("value", "low", "high", "reason")}
    assert auroc == {"value": None, "low": None, "high": None, "reason": "only one class among the cases"}
    assert found["specificity"]["reason"] == "no case of class '0'"
    assert found["precision_0"]["reason"] == "no case was called '0'"
    assert found["calibration_slope"]["reason"].startswith("no finite slope fits")
    theirs = binomtest(6, 6).proportion_ci(method="wilson")
    # Six cases of three patients, all found: they count as three.
    assert found["recall"]["value"] == found["recall"]["high"] == 1
    assert found["recall"]["low"] == pytest.approx(binomtest(3, 3).proportion_ci(method="wilson").low)
    assert found["recall"]["low"] < theirs.low
    assert found["brier"]["reason"].startswith("interval unreliable: every resample gives the same value")


def test_a_single_patient_has_values_without_intervals() -> None:
    found = weigh(binary(30, patient_id="p"), BINARY, points=POINTS, resamples=20)["metrics"]["test"]["auroc"]
    assert found["value"] > 0.5
    assert (found["low"], found["high"]) == (None, None)
    assert found["reason"] == "no interval: fewer than 2 patients"


def test_resamples_that_lose_a_class_are_stated() -> None:
    p = np.linspace(0.1, 0.9, 20)
    y = np.zeros(20, dtype=int)
    y[15] = 1
    found = weigh(frame(np.column_stack([1 - p, p]), y), BINARY, points=POINTS, resamples=500)["metrics"]["test"]
    assert "of the resamples have no such figure and are left out" in found["auprc"]["reason"]
    assert "interval unreliable: " in found["auprc"]["reason"]
    assert found["auprc"]["low"] is not None
    assert found["auroc"]["method"].startswith("95 % score interval (Newcombe's method 5) of 1 and 10 patients")


def test_labels_share_their_draws_and_are_averaged() -> None:
    table, question = labels()
    points = OperatingPoints("youden", by_target=dict.fromkeys(question.classes, POINTS))
    result = weigh(table, question, points=points, resamples=40, seed=5)
    each = [result["targets"][name]["metrics"]["test"] for name in question.classes]
    macro = result["metrics"]["test"]
    for name in ("auroc", "auprc", "f1", "brier"):
        assert macro[name]["value"] == pytest.approx(np.mean([metrics[name]["value"] for metrics in each]))
    parts = [table[table["target"] == name] for name in question.classes]
    truths = [(part["y_true"] == "present").astype(int).to_numpy() for part in parts]
    scores = [part["p_present"].to_numpy() for part in parts]
    patient = numbered(parts[0])

    def compute(w: np.ndarray) -> dict[str, float]:
        both = list(zip(truths, scores, strict=True))
        return {
            "auroc": float(np.mean([roc_auc_score(y, p, sample_weight=w) for y, p in both])),
            "brier": float(np.mean([np.average((p - y) ** 2, weights=w) for y, p in both])),
        }

    pattern = np.concatenate([2 * k + y for k, y in enumerate(truths)])
    ends = loop(compute, patient, pattern, 40, 5, {"auroc"})
    for name in ("auroc", "brier"):
        assert (macro[name]["low"], macro[name]["high"]) == pytest.approx(ends(name), abs=1e-9)
    assert "delong" in each[0]["auroc"]
    assert "delong" not in macro["auroc"]
    assert macro["auroc"]["method"].endswith("mean over labels")
    assert result["targets"]["b"]["operating_point"] == {
        "rule": "youden",
        "value": 0.5,
        "by_fold": {"0": 0.3, "1": 0.7},
    }
    shown = {"metrics", "confusion", "curves", "reliability", "utility", "abstaining", "sets", "statuses"}
    shown |= {"operating_point"}
    assert set(result["targets"]["a"]) == shown
    assert result["confusion"] == {}
    assert result["splits"]["test"]["n"] == 150


def test_labels_that_say_nothing_are_left_out_of_the_mean_and_named() -> None:
    table, question = labels()
    table.loc[table["target"] == "b", "y_true"] = "absent"
    table.loc[table["target"] == "c", "y_true"] = None
    points = OperatingPoints("youden", by_target=dict.fromkeys(question.classes, POINTS))
    result = weigh(table, question, points=points, resamples=20)
    macro = result["metrics"]["test"]["auroc"]
    assert macro["value"] == result["targets"]["a"]["metrics"]["test"]["auroc"]["value"]
    assert macro["reason"] == "left out, undefined: c, b"
    assert result["metrics"]["test"]["brier"]["reason"] == "left out, undefined: c"
    assert result["targets"]["c"]["metrics"]["test"]["auroc"]["reason"] == "no case with this label known"
    with pytest.raises(InputError, match="no operating point for the label 'a'"):
        weigh(table, question, points=POINTS, resamples=20)


def test_a_label_never_called_counts_as_zero_precision() -> None:
    table, question = labels()
    by_target = {"a": POINTS, "b": POINTS, "c": OperatingPoints("youden", 0.99)}
    result = weigh(table, question, points=OperatingPoints("youden", by_target=by_target), resamples=20)
    macro = result["metrics"]["test"]["precision"]
    own = [result["targets"][name]["metrics"]["test"]["precision"]["value"] for name in question.classes]
    assert own[2] is None
    assert macro["value"] == pytest.approx((own[0] + own[1]) / 3)
    assert "never called, precision counts as 0: c" in macro["reason"]


def test_a_measured_value() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=80)
    question = Question("age", "regression")
    table = binary(80).assign(target="age", y_true=y, y_pred=y + rng.normal(size=80))
    result = weigh(table, question, resamples=50)
    expected = naive.regression(y, table["y_pred"].to_numpy(), np.ones(80))
    assert {name: entry["value"] for name, entry in result["metrics"]["test"].items()} == pytest.approx(expected)
    assert result["confusion"] == {}
    assert len(result["curves"]["test"]["scatter"]["truth"]) == 80


def test_strata_are_weighed_level_by_level() -> None:
    table = binary(120)
    sites = ["A"] * 60 + ["B"] * 45 + ["C"] * 5 + [None] * 10
    one_class = np.where(table["y_true"] == "1", "x", "y")
    strata = pd.DataFrame({"case_id": table["case_id"], "site": sites, "sex": one_class})
    result = weigh(table, BINARY, points=POINTS, resamples=40, seed=1, strata=strata)["strata"]
    assert list(result["site"]) == ["A", "B", "C"]
    alone = weigh(table.iloc[:60], BINARY, points=POINTS, resamples=40, seed=1)
    assert result["site"]["A"]["metrics"] == alone["metrics"]
    small = result["site"]["C"]["metrics"]["test"]["auroc"]
    assert (small["value"], small["n"], small["reason"]) == (None, 5, "5 cases, fewer than 10")
    assert result["sex"]["x"]["metrics"]["test"]["recall"]["reason"] == "only one class among the cases"


def test_only_the_largest_levels_are_weighed() -> None:
    table = binary(120)
    strata = pd.DataFrame({"case_id": table["case_id"], "ward": [f"w{i % 30:02}" for i in range(115)] + ["w29"] * 5})
    result = weigh(table, BINARY, points=POINTS, resamples=5, strata=strata)
    assert len(result["strata"]["ward"]) == 20
    assert next(iter(result["strata"]["ward"])) == "w29"
    assert result["notes"] == ["ward: the 20 largest of 30 levels are weighed one by one."]


@pytest.mark.parametrize(
    ("strata", "message"),
    [
        ({"case": ["c1"]}, "strata: no column 'case_id'; say which case each row is"),
        ({"case_id": ["c1", "c1"]}, "strata: case 'c1' stands twice; keep one row a case"),
    ],
)
def test_strata_without_keys_are_refused(strata: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        weigh(binary(), BINARY, points=POINTS, resamples=5, strata=pd.DataFrame(strata))
    assert str(caught.value) == message


def test_no_resamples_are_refused() -> None:
    with pytest.raises(InputError, match="resamples: 0 resamples; use 2000"):
        weigh(binary(), BINARY, points=POINTS, resamples=0)


def test_the_result_is_plain_json() -> None:
    result = weigh(binary(), BINARY, points=POINTS, resamples=5)
    assert json.loads(json.dumps(result, allow_nan=False)) == finite(result) == result


def test_ten_thousand_cases_are_weighed_in_bounded_memory() -> None:
    import tracemalloc

    table = binary(10_000, patient_id=[f"p{i}" for i in range(10_000)])
    tracemalloc.start()
    weigh(table, BINARY, points=POINTS, resamples=60, jobs=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
