from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from semeion.study.members.standing import standing


def test_two_classes_have_their_area():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80).astype(float)
    p = np.clip(0.5 + 0.2 * (2 * y - 1) + rng.normal(0, 0.2, 80), 0.01, 0.99)
    said = standing(np.stack([1 - p, p], axis=1), y, np.arange(80), "binary", 1)
    area, low, high = map(float, re.findall(r"\d\.\d+", said))
    assert area == pytest.approx(roc_auc_score(y, p), abs=1e-3)
    assert low < area < high
    # The positive class may be the first.
    assert standing(np.stack([p, 1 - p], axis=1), 1 - y, np.arange(80), "binary", 0) == said


def test_one_class_has_none():
    assert standing(np.full((3, 2), 0.5), np.zeros(3), np.arange(3), "binary", 1) == ""


@pytest.mark.parametrize(("task", "word"), [("multiclass", "log loss"), ("regression", "mean absolute error")])
def test_all_else_has_its_loss(task, word):
    rng = np.random.default_rng(1)
    values = rng.dirichlet(np.ones(3), 40) if task == "multiclass" else rng.normal(size=(40, 1))
    y = rng.integers(0, 3, 40).astype(float)
    said = standing(values, y, np.arange(40) // 2, task, None)
    assert said.startswith(word)
    mean, low, high = map(float, re.findall(r"\d+\.?\d*", said))
    assert low < mean < high
