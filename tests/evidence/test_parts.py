"""Figures of the parts of an averaged verdict, and the paired gain of the average."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from semeion.evidence.intervals.delong import delong
from semeion.evidence.parts import Verdict, weigh_parts
from semeion.evidence.question import Question

BINARY = Question("group", "binary", ("healthy", "failing"), "failing")
SEVERAL = Question("group", "multiclass", ("a", "b", "c"))


def verdict(p: np.ndarray) -> Verdict:
    return Verdict(p, p.argmax(axis=1).astype(np.int64))


def drawn(n: int, classes: int, signal: float, y: np.ndarray, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(n, classes)) + signal * np.eye(classes)[y]
    raised = np.exp(logits)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("question", [BINARY, SEVERAL])
def test_figures_are_those_of_scikit_learn_and_the_gain_is_paired(question: Question) -> None:
    k = len(question.classes)
    y = np.random.default_rng(0).integers(0, k, 90)
    one, other = drawn(90, k, 1.5, y, 1), drawn(90, k, 1.0, y, 2)
    given = {"measurements": verdict(one), "images": verdict(other), "average": verdict((one + other) / 2)}
    found = weigh_parts(given, y, np.arange(90) // 2, question, whole="average", without="measurements", resamples=200)
    for name, said in given.items():
        wanted = roc_auc_score(y, said.p[:, 1]) if k == 2 else roc_auc_score(y, said.p, multi_class="ovr")
        assert found[name]["auroc"]["value"] == pytest.approx(wanted)
        assert found[name]["accuracy"]["value"] == accuracy_score(y, said.call)
        assert found[name]["auroc"]["low"] <= wanted <= found[name]["auroc"]["high"]
        assert found[name]["auroc"]["n"] == 90
        assert found[name]["auroc"]["n_patients"] == 45
    for figure in ("accuracy", "auroc"):
        gain = found["average"][figure]["value"] - found["measurements"][figure]["value"]
        assert found["difference"][figure]["value"] == pytest.approx(gain)
        assert found["difference"][figure]["low"] <= gain <= found["difference"][figure]["high"]


def test_the_area_of_two_classes_has_delong_beside_it_and_the_gain_the_paired_one() -> None:
    y = np.random.default_rng(0).integers(0, 2, 90)
    one, other = drawn(90, 2, 1.5, y, 1), drawn(90, 2, 1.0, y, 2)
    given = {"a": verdict(one), "b": verdict(other)}
    found = weigh_parts(given, y, np.arange(90) // 2, BINARY, whole="a", without="b", resamples=200)
    areas = delong(y == 1, np.stack([one[:, 1], other[:, 1]]), np.arange(90) // 2)
    for number, name in enumerate(given):
        own = found[name]["auroc"]["delong"]
        assert (own["low"], own["high"]) == pytest.approx(areas.interval(number))
    paired = found["difference"]["auroc"]
    assert (paired["delong"]["low"], paired["delong"]["high"]) == pytest.approx(areas.difference()[1])
    # Two ways to the same width.
    width = paired["delong"]["high"] - paired["delong"]["low"]
    assert paired["high"] - paired["low"] == pytest.approx(width, rel=0.25)
    assert "within strata of outcome; the same draws for every part" in paired["method"]
    assert "patients drawn from all; the same draws" in found["difference"]["accuracy"]["method"]
    several = weigh_parts(
        {"a": verdict(drawn(60, 3, 1.0, y[:60], 3)), "b": verdict(drawn(60, 3, 1.0, y[:60], 4))},
        y[:60], np.arange(60), SEVERAL, whole="a", without="b", resamples=30,
    )  # fmt: skip
    assert "delong" not in several["a"]["auroc"]
    assert "patients drawn from all" in several["a"]["auroc"]["method"]


def test_a_part_that_is_always_right_keeps_an_interval() -> None:
    y = np.arange(40) % 2
    right, other = verdict(np.eye(2)[y] * 0.8 + 0.1), verdict(drawn(40, 2, 1.0, y, 1))
    found = weigh_parts(
        {"a": right, "b": other}, y, np.arange(40), BINARY, whole="a", without="b", resamples=50
    )["a"]  # fmt: skip
    for figure in ("accuracy", "auroc"):
        assert found[figure]["high"] == found[figure]["value"] == 1
        assert 0.7 < found[figure]["low"] < 0.95


def test_a_verdict_averaged_with_itself_gains_nothing_whatever_is_drawn() -> None:
    y = np.random.default_rng(0).integers(0, 2, 40)
    same = verdict(drawn(40, 2, 1.0, y, 1))
    found = weigh_parts({"a": same, "b": same}, y, np.arange(40), BINARY, whole="b", without="a", resamples=100)
    for figure in ("accuracy", "auroc"):
        entry = found["difference"][figure]
        assert (entry["value"], entry["low"], entry["high"]) == (0.0, 0.0, 0.0)


def test_one_class_or_one_patient_says_why_something_is_missing() -> None:
    p = verdict(np.full((4, 2), 0.5))
    found = weigh_parts({"a": p, "b": p}, np.ones(4), np.arange(4), BINARY, whole="b", without="a", resamples=20)
    assert found["a"]["auroc"]["value"] is None
    assert found["difference"]["auroc"]["reason"] == "only one class among the cases"
    alone = weigh_parts({"a": p, "b": p}, [0, 1, 0, 1], ["p"] * 4, BINARY, whole="b", without="a", resamples=20)
    assert alone["a"]["accuracy"]["value"] == 0.5
    assert alone["a"]["accuracy"]["reason"] == "no interval: fewer than 2 patients"
