"""Every way to learn heeds weights and votes: half of the labels are wrong, and say so."""

from __future__ import annotations

import numpy as np
import pytest

from learn.tiny import pictures, plan_of, sides_of, store_of
from semeion.learn.covariates import LEARNERS, fit_covariates
from semeion.learn.linear_layers import fit_layers
from semeion.learn.member import train_member
from semeion.learn.objective import validation_loss
from semeion.learn.standing import Hooks
from semeion.model.linear import Linear, LinearMember
from semeion.plan.teaching import Teaching

TASKS = ["binary", "ordinal", "multilabel", "regression"]


def spoiled(y: np.ndarray, task: str, learn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which half are turned round, and weights that make these count little."""
    rng = np.random.default_rng(3)
    wrong = np.zeros(len(y), dtype=bool)
    wrong[rng.permutation(learn)[: len(learn) // 2]] = True
    turned = 1040 - y if task == "regression" else np.nanmax(y) - y
    return np.where(wrong if y.ndim == 1 else wrong[:, None], turned, y), np.where(wrong, 0.01, 1.0)


@pytest.mark.parametrize("task", TASKS)
def test_a_network_heeds_weights(task: str, tmp_path) -> None:
    images, y = pictures(task)
    given, weight = spoiled(y, task, sides_of().learn)
    store, plan = store_of(images, tmp_path / "store"), plan_of(task, steps=40)
    found = []
    for name, taught in (("plain", None), ("weighted", Teaching(weight))):
        (tmp_path / name).mkdir()
        learned = train_member(plan, plan.members[0], store, given, sides_of(), tmp_path / name, Hooks(), taught=taught)
        found.append(learned.facts["val_loss"])
    assert found[1] < 0.9 * found[0]


def test_a_network_is_taught_shares(tmp_path) -> None:
    """Votes that are right outdo labels that are wrong by half."""
    images, y = pictures("binary")
    given, _ = spoiled(y, "binary", sides_of().learn)
    store, plan = store_of(images, tmp_path / "store"), plan_of(steps=40)
    taught = Teaching(np.ones(len(y)), 0.1 + 0.8 * np.eye(2)[y.astype(int)])
    learned = train_member(plan, plan.members[0], store, given, sides_of(), tmp_path, Hooks(), taught=taught)
    chance = validation_loss(np.full((30, 2), 0.5), y[100:130], "binary")
    assert learned.facts["val_loss"] < 0.7 * chance


@pytest.mark.parametrize("task", ["binary", "ordinal", "multilabel", "regression"])
def test_linear_heads_heed_weights(task: str) -> None:
    x, y = table(task)
    classes = {"ordinal": 3, "regression": 1}.get(task, 2)
    given, weight = spoiled(y[:150], task, np.arange(150))
    layers = [np.arange(0, 2), np.arange(2, 4)]
    fitted = fit_layers(x[:150].astype(np.float32), layers, given, np.arange(150), task, classes, seed=0, weight=weight)
    said, truth = LinearMember(Linear.model_validate(fitted.arrays)).outputs(x[150:]), y[150:]
    if task == "regression":
        assert np.corrcoef(said[:, 0], truth)[0, 1] > 0.85
    else:
        assert ((said > 0.5) == truth if task == "multilabel" else said.argmax(1) == truth).mean() > 0.8


@pytest.mark.parametrize("kind", LEARNERS)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_covariates_heed_weights(task: str, kind: str) -> None:
    x, y = table(task)
    given, weight = spoiled(y[:150], task, np.arange(150))
    asked = x[:150], given, np.arange(150), list("abcd"), task, 2 if task == "binary" else 1
    clean, truth = weight == 1, (np.eye(2)[y[:150].astype(int)] if task == "binary" else y[:150, None])
    plain, heeded = (
        np.abs(fit_covariates(*asked, seed=0, learners=[kind], weight=one).inner - truth)[clean].mean()
        for one in (None, weight)
    )
    assert heeded < 0.8 * plain


def table(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features of which the first tells the answer, and the answer."""
    x = np.random.default_rng(0).normal(size=(300, 4))
    y = {"ordinal": np.digitize(2 * x[:, 0], [-1, 1]) * 1.0, "regression": 520 + 20 * x[:, 0]}.get(
        task, (x[:, 0] > 0) * 1.0
    )
    return x, np.stack([y, x[:, 1] > 0], axis=1) * 1.0 if task == "multilabel" else y


def test_shares_reach_linear_heads_as_copies() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    p = 1 / (1 + np.exp(-1.5 * x[:, 0]))
    shares = np.stack([1 - p, p], axis=1)
    y = (rng.random(300) < p) * 1.0
    places, lesson, weight = Teaching(np.ones(300), shares).copies(np.arange(300), y)
    fitted = fit_layers(x[places], [np.arange(4)], lesson, places, "binary", 2, seed=0, weight=weight)
    said = LinearMember(Linear.model_validate(fitted.arrays)).outputs(x)[:, 1]
    hard = fit_layers(x, [np.arange(4)], y, np.arange(300), "binary", 2, seed=0)
    plain = LinearMember(Linear.model_validate(hard.arrays)).outputs(x)[:, 1]
    assert np.abs(said - p).mean() < 0.02 < np.abs(plain - p).mean()
