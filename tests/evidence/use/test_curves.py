from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, confusion_matrix, roc_auc_score

from semeion.evidence.use.curves import confusion, one_class_curves, reliability, scatter, threshold_table, wilson


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 150), st.sampled_from([5, 10**6]))
def test_small_curves_hold_the_whole_area(seed: int, n: int, grid: int) -> None:
    rng = np.random.default_rng(seed)
    y, p = np.append([True, False], rng.random(n) < 0.4), np.append([0.5, 0.5], rng.integers(0, grid, n) / grid)
    curves = one_class_curves(y, p)
    roc, pr = curves["roc"], curves["pr"]
    assert auc(roc["x"], roc["y"]) == pytest.approx(roc_auc_score(y, p))
    assert np.sum(np.diff(pr["x"]) * np.array(pr["y"])[1:]) == pytest.approx(average_precision_score(y, p))
    for curve in (roc, pr):
        assert curve["threshold"][0] is None
        assert all(a > b for a, b in zip(curve["threshold"][1:], curve["threshold"][2:], strict=False))
    for x, sensitivity, threshold in zip(roc["x"][1:], roc["y"][1:], roc["threshold"][1:], strict=True):
        assert (p[~y] >= threshold).mean() == pytest.approx(x)
        assert (p[y] >= threshold).mean() == pytest.approx(sensitivity)


def test_large_curves_have_at_most_201_points_and_keep_their_ends() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    y = rng.random(20000) < p
    curves = one_class_curves(y, p)
    for name in ("roc", "pr"):
        assert 150 < len(curves[name]["x"]) <= 201
        assert len(curves[name]["x"]) == len(curves[name]["y"]) == len(curves[name]["threshold"])
    assert (curves["roc"]["x"][0], curves["roc"]["y"][0]) == (0, 0)
    assert (curves["roc"]["x"][-1], curves["roc"]["y"][-1]) == (1, 1)
    assert curves["pr"]["x"][-1] == 1
    assert auc(curves["roc"]["x"], curves["roc"]["y"]) == pytest.approx(roc_auc_score(y, p), abs=1e-3)


def test_a_curve_without_one_of_its_classes_is_empty() -> None:
    one = one_class_curves(np.array([True, True]), np.array([0.1, 0.2]))
    assert one["roc"]["x"] == []
    assert one["pr"]["y"] == [1.0, 1.0, 1.0]
    assert one_class_curves(np.array([False]), np.array([0.1]))["pr"]["x"] == []
    assert reliability(np.zeros(0, dtype=bool), np.zeros(0))["n"] == []


def test_reliability_bins_hold_equally_many_cases() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    y = rng.random(1000) < p
    found = reliability(y, p)
    assert found["n"] == [100] * 10
    first = np.argsort(p)[:100]
    assert found["x"][0] == pytest.approx(p[first].mean())
    assert found["y"][0] == pytest.approx(y[first].mean())
    assert all(a <= b <= c for a, b, c in zip(found["low"], found["y"], found["high"], strict=True))


def test_equal_probabilities_share_a_bin() -> None:
    p = np.array([0.2] * 30 + [0.7] * 10)
    y = np.arange(40) % 2 == 0
    found = reliability(y, p)
    assert found["n"] == [30, 10]
    assert found["x"] == pytest.approx([0.2, 0.7])


def test_wilson_is_the_textbook_interval() -> None:
    low, high = wilson(np.array([0.0, 5.0, 10.0]), np.array([10.0, 10.0, 10.0]))
    assert low == pytest.approx([0, 0.2366, 0.7225], abs=1e-4)
    assert high == pytest.approx([0.2775, 0.7634, 1], abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_the_slider_counts_every_case_at_every_threshold(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.integers(0, 1001, n) / 1000, rng.random(n) < 0.5
    table = threshold_table(y, p, include=0.12345)
    assert 0.12345 in table["threshold"]
    assert len(table["threshold"]) <= 201
    assert table["threshold"][0] == 0
    assert table["threshold"][-1] == 1
    for k, threshold in enumerate(table["threshold"]):
        call = p >= threshold
        expected = [(call & y).sum(), (call & ~y).sum(), (~call & ~y).sum(), (~call & y).sum()]
        assert [table[name][k] for name in ("tp", "fp", "tn", "fn")] == expected


def test_confusion_has_the_truth_in_rows() -> None:
    y, call = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2])
    found = confusion(y, call, ("a", "b", "c"))
    assert found == {"classes": ["a", "b", "c"], "counts": confusion_matrix(y, call).tolist()}


def test_a_scatter_is_thinned_evenly() -> None:
    truth = np.arange(1000.0)
    found = scatter(truth, truth + 1)["scatter"]
    assert len(found["truth"]) == 201
    assert (found["truth"][0], found["truth"][-1]) == (0, 999)
    assert np.array_equal(np.array(found["pred"]) - 1, found["truth"])
