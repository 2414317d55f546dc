"""Figures of the parts of an averaged verdict, and the paired gain of the average."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

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
