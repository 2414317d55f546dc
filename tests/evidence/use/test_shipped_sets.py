"""Thresholds that ship: never below the conformal one, never one patient's, measured as findings use them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.calibration.sets import held_classes, told_sets
from semeion.evidence.question import Question
from semeion.evidence.use.conformal import fit_sets
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.sets import SetsAsked, ShippedRule
from semeion.evidence.use.shipped_sets import patients_needed, shared_threshold, too_few
from semeion.evidence.weigh import weigh

CLASSES = ("cyst", "mass", "scar")
QUESTION = Question("kind", "multiclass", CLASSES)


def cases_of(n: int, split: str, seed: int, *, fold: Any = -1, classes: tuple[str, ...] = CLASSES) -> pd.DataFrame:
    """Return `n` predictions that are calibrated, one a patient."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(len(classes), 0.6), n)
    y = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=len(classes) - 1)
    table = pd.DataFrame(
        {
            "case_id": [f"{split}{row}" for row in range(n)],
            "patient_id": [f"{split}-{row}" for row in range(n)],
            "split": split,
            "fold": fold,
            "member": "ensemble",
            "target": "kind",
            "y_true": np.array(classes)[y],
        }
    )
    for k, name in enumerate(classes):
        table[f"p_{name}"] = table[f"raw_{name}"] = p[:, k]
    return table


def arrays(table: pd.DataFrame, prefix: str = "p") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = table["y_true"].map({name: k for k, name in enumerate(CLASSES)}).to_numpy()
    return y, table[[f"{prefix}_{name}" for name in CLASSES]].to_numpy(), table["patient_id"].to_numpy()


def weighed(*tables: pd.DataFrame, question: Question = QUESTION, **asked: Any) -> dict[str, Any]:
    found = weigh(
        pd.concat(tables, ignore_index=True),
        question,
        resamples=20,
        jobs=1,
        sets=SetsAsked(**asked),
        points=OperatingPoints("youden", 0.4) if question.task == "binary" else None,
    )
    json.dumps(found)
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 120), st.sampled_from([0.5, 0.8, 0.9, 0.95]), st.sampled_from([3, 10**6])
)
def test_a_threshold_is_never_lower_than_the_promise_needs(seed: int, n: int, coverage: float, grid: int) -> None:
    scores = np.random.default_rng(seed).integers(0, grid + 1, n) / grid
    found = shared_threshold(scores, coverage)
    rank = math.ceil((n + 1) * coverage - 1e-9)
    assert (found is not None) == (n >= patients_needed(coverage))
    if found is None:
        return
    ordered = np.sort(scores)
    least = ordered[rank - 1]
    assert least <= found <= 1
    # Shared: the mean of five neighbours of which the threshold is one, to the sixth decimal.
    runs = [ordered[k : k + 5].mean() for k in range(max(0, rank - 5), min(rank, n - 4))]
    assert min(abs(found - run) for run in runs) <= 1.000001e-6
    # The rule that is promised holds every calibration patient that the threshold of one would hold.
    assert (scores <= found).sum() >= (scores <= least).sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_scores_that_many_patients_share_are_held(seed: int, digits: int) -> None:
    # As of calibrated probabilities with steps: 1 - p has a trace above the decimals that are kept.
    p = np.round(np.random.default_rng(seed).random((50, 3)), digits)
    for column in p.T:
        for scores in (np.full(60, 1 - column[0]), 1 - np.repeat(column, 2)):
            found = shared_threshold(scores, 0.9)
            assert found is not None
            assert found >= np.sort(scores)[math.ceil((len(scores) + 1) * 0.9 - 1e-9) - 1]


def test_how_many_patients_are_needed() -> None:
    assert [patients_needed(c, shared=1) for c in (0.8, 0.9, 0.95, 0.99)] == [4, 9, 19, 99]
    assert [patients_needed(c) for c in (0.8, 0.9, 0.95, 0.99)] == [24, 49, 99, 499]
    assert shared_threshold(np.arange(48) / 100, 0.9) is None
    assert shared_threshold(np.arange(49) / 100, 0.9) == pytest.approx(0.44, abs=2e-6)
    assert too_few(12, 0.9) == (
        "12 patients calibrate sets of classes, and a stated coverage of 0.9 takes 49: 9 for the promise, the others "
        "so that no threshold is that of one patient."
    )


def test_new_patients_are_held_as_often_as_is_stated() -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(600):
        scores = rng.random(100)
        threshold = shared_threshold(scores, 0.9)
        assert threshold is not None
        held.append(threshold)  # of scores between 0 and 1, all alike, so many are below it
    assert 0.9 <= np.mean(held) <= 0.92


def test_each_class_has_its_own_where_all_have_patients_enough() -> None:
    calibrating, test = cases_of(300, "calibration", 1), cases_of(200, "test", 2)
    found = weighed(calibrating, test)
    rule = found["set_rule"]
    plain = fit_sets(*arrays(calibrating), per_class=True)
    assert rule["kind"] == "per_class"
    assert rule["n_patients"] == list(plain.n_patients)
    assert (np.array(rule["thresholds"]) >= plain.thresholds).all()
    assert rule["scored"] == "p"
    assert rule["calibration"] == {"split": "calibration", "n": 300, "n_patients": 300}
    assert "at least 0.9, of the cases of each class by themselves" in rule["promise"]
    told = found["statuses"]["test"]
    y, p, _ = arrays(test)
    call = p.argmax(axis=1)
    named = told_sets(held_classes(p, rule["thresholds"]), call)
    size = named.sum(axis=1)
    assert told["held"]["value"] == pytest.approx(named[np.arange(200), y].mean())
    assert told["called"]["value"] == pytest.approx((size == 1).mean())
    assert told["set"]["value"] == pytest.approx((size > 1).mean())
    assert told["error_called"]["value"] == pytest.approx((call != y)[size == 1].mean())
    assert told["error_all"]["value"] == pytest.approx((call != y).mean())
    scar = told["by_class"]["scar"]
    assert scar["called"]["value"] == pytest.approx((size == 1)[y == 2].mean())
    assert scar["wrong"]["value"] == pytest.approx(((size == 1) & (call != y))[y == 2].mean())
    assert scar["called"]["n"] == (y == 2).sum()
    assert all({"low", "high"} <= set(one) for one in scar.values())


def test_all_patients_together_where_a_class_is_rare() -> None:
    calibrating = cases_of(90, "calibration", 4)
    rare = calibrating[(calibrating["y_true"] != "scar") | (calibrating.index < 20)]
    rule = weighed(rare, cases_of(60, "test", 5))["set_rule"]
    count = int((rare["y_true"] == "scar").sum())
    assert rule["kind"] == "marginal"
    assert len(set(rule["thresholds"])) == 1
    assert rule["why"].startswith(
        f"{count} calibration patients have scar, and a promise for each class by itself takes"
    )


def test_too_few_patients_ship_nothing_and_are_told_how_many_it_takes() -> None:
    found = weighed(cases_of(20, "calibration", 6), cases_of(30, "test", 7), coverage=0.95)
    assert found["set_rule"]["reason"].startswith(
        "20 patients calibrate sets of classes, and a stated coverage of 0.95"
    )
    assert "takes 99: 19 for the promise" in found["set_rule"]["reason"]
    assert found["statuses"] == {}


def test_out_of_fold_cases_calibrate_before_calibration_and_are_measured_by_the_other_folds() -> None:
    oof = cases_of(300, "oof", 8, fold=np.arange(300) % 3)
    raw = [f"raw_{name}" for name in CLASSES]
    # Calibrated otherwise than scored: only the raw columns may count.
    oof[[f"p_{name}" for name in CLASSES]] = oof[raw].to_numpy() ** 2 / (oof[raw].to_numpy() ** 2).sum(1, keepdims=True)
    found = weighed(oof)
    rule = found["set_rule"]
    assert rule["scored"] == "raw"
    assert "nothing is promised at the worst" in rule["promise"]
    y, p, _ = arrays(oof, "raw")
    call, fold = p.argmax(axis=1), oof["fold"].to_numpy()
    held = np.zeros(300, dtype=bool)
    for number in range(3):
        rest = fold != number
        own = [shared_threshold(1 - p[rest & (y == k), k], 0.9) for k in range(3)]
        named = told_sets(held_classes(p[~rest], own), call[~rest])
        held[~rest] = named[np.arange(len(named)), y[~rest]]
    told = found["statuses"]["oof"]
    assert told["held"]["value"] == pytest.approx(held.mean())
    assert told["promise"].startswith("None for this measurement")


def test_folds_that_are_sites_ship_nothing() -> None:
    oof = cases_of(300, "oof", 9, fold=np.arange(300) % 3)
    rule = weighed(oof, folds="Each fold is one hospital.")["set_rule"]
    assert rule == {"coverage": 0.9, "reason": "Each fold is one hospital."}


def test_a_model_that_is_weighed_elsewhere_brings_its_own() -> None:
    cases = cases_of(150, "external", 10)
    rule = ShippedRule(0.9, "per_class", "raw", (0.6, 0.7, 0.8))
    found = weighed(cases, shipped={"kind": rule})
    y, p, _ = arrays(cases)
    sets = held_classes(p, rule.thresholds)
    told = found["sets"]["external"]
    assert told["per_class"]["coverage"]["value"] == pytest.approx(sets[np.arange(150), y].mean())
    assert told["per_class"]["promise"].startswith("None: these cases are of another source")
    assert "marginal" not in told
    assert found["statuses"]["external"]["called"]["n"] == 150
    none = weighed(cases, shipped={}, reason="It ships with none.")
    assert none["sets"]["external"]["reason"] == "It ships with none."
    assert none["statuses"] == {}


def test_a_set_never_lacks_the_class_at_the_operating_point() -> None:
    question = Question("kind", "binary", ("benign", "malignant"), "malignant")
    names = question.classes
    tables = [cases_of(200, split, seed, classes=names) for seed, split in enumerate(("calibration", "test"))]
    found = weighed(*tables, question=question)
    p = tables[1][[f"p_{name}" for name in names]].to_numpy()
    y = (tables[1]["y_true"] == "malignant").to_numpy().astype(int)
    call = (p[:, 1] >= 0.4).astype(int)
    held = held_classes(p, found["set_rule"]["thresholds"])
    named = told_sets(held, call)
    assert (named >= held).all()
    some = held.any(axis=1)
    assert named[np.flatnonzero(some), call[some]].all()
    assert not named[~some].any()
    assert found["statuses"]["test"]["held"]["value"] == pytest.approx(named[np.arange(200), y].mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_grades_in_a_set_are_next_to_one_another(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    sets, call = rng.random((30, k)) < 0.4, rng.integers(0, k, 30)
    told = told_sets(sets, call, ordered=True)
    assert (told >= sets).all()
    for before, row, own in zip(sets, told, call, strict=True):
        places = np.flatnonzero(row)
        assert len(places) == (places[-1] - places[0] + 1 if len(places) else 0)
        wanted = {*np.flatnonzero(before).tolist(), int(own)} if before.any() else set()
        assert (set() if not len(places) else {int(places[0]), int(places[-1])}) == (
            {min(wanted), max(wanted)} if wanted else set()
        )
