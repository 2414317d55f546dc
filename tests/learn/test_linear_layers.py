from __future__ import annotations

import numpy as np
import pytest

from semeion.learn.linear_layers import STRUCTURES, fit_layers
from semeion.model.linear import Linear, LinearMember

LAYERS = [np.arange(0, 3), np.arange(3, 43)]


def cohort(cases, seed=0, task="binary"):
    """Return features of two layers, of which the small one carries the signal, and the reference standard."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(cases, 43)).astype(np.float32)
    x[:, 5] = 7.0  # constant
    score = 2 * x[:, 0] - x[:, 1]
    if task == "regression":
        return x, 10 + 3 * score + rng.normal(size=cases)
    if task == "multilabel":
        return x, np.stack([score > 0, x[:, 2] > 0.5], axis=1).astype(float)
    cuts = [0.0] if task == "binary" else [-1.0, 1.0]
    return x, np.digitize(score + rng.normal(size=cases), cuts).astype(float)


def member_of(fitted):
    return LinearMember(Linear.model_validate(fitted.arrays))


@pytest.mark.parametrize(
    ("task", "classes"), [("binary", 2), ("multiclass", 3), ("ordinal", 3), ("multilabel", 2), ("regression", 1)]
)
def test_one_head_says_what_was_chosen(task, classes):
    x, y = cohort(240, task=task)
    fitted = fit_layers(x, LAYERS, y, np.arange(240), task, classes, seed=0)
    assert fitted.structure == min(fitted.losses, key=fitted.losses.get)
    assert set(fitted.losses) == set(STRUCTURES)
    fresh, truth = cohort(400, seed=1, task=task)
    said = member_of(fitted).outputs(fresh)
    assert said.shape == (400, classes)
    if task == "regression":
        assert np.abs(said[:, 0] - truth).mean() < 0.5 * np.abs(truth - y.mean()).mean()
        assert fitted.temperature == 1.0
    else:
        assert said.min() >= 0
        right = (said > 0.5) == truth if task == "multilabel" else said.argmax(1) == truth
        assert right.mean() > (0.75 if task in ("binary", "multilabel") else 0.6)


def test_few_cases_are_answered_by_a_head_a_layer():
    x, y = cohort(30)
    fitted = fit_layers(x, LAYERS, y, np.arange(30), "binary", 2, seed=0)
    assert fitted.losses["by layer"] < fitted.losses["together"]


def test_the_mean_of_logits_is_exact():
    """Each layer's own head, refitted alone, averages to the head that ships."""
    from semeion.learn.linear import fit_linear

    x, y = cohort(60)
    fitted = fit_layers(x, LAYERS, y, np.arange(60), "binary", 2, seed=0)
    parts = {"together": [slice(None)], "by layer": LAYERS, "both": None}
    if fitted.structure == "both":
        pytest.skip("this draw chose the mean of both")
    scores = []
    for columns in parts[fitted.structure]:
        one = fit_linear(x[:, columns], y, np.arange(60), "binary", 2, seed=0)
        scores.append(LinearMember(Linear.model_validate(one.arrays)).scores(x[:, columns]))
    wanted = np.mean(scores, axis=0) / fitted.temperature
    assert np.allclose(member_of(fitted).scores(x), wanted, atol=1e-6)


def test_held_out_predictions_are_what_the_loss_is_of():
    x, y = cohort(120)
    fitted = fit_layers(x, LAYERS, y, np.arange(120), "binary", 2, seed=0)
    untempered = fitted.losses[fitted.structure]
    tempered = -np.log(np.clip(fitted.inner[np.arange(120), y.astype(int)], 1e-6, 1)).mean()
    assert tempered <= untempered + 1e-9


def test_one_layer_has_nothing_to_average():
    x, y = cohort(60)
    fitted = fit_layers(x, [np.arange(43)], y, np.arange(60), "binary", 2, seed=0)
    assert fitted.structure == "together"
