import numpy as np
import pytest

from semeion.errors import InputError
from semeion.learn.tabular import KINDS, _make, fit_measurements
from semeion.model.trees import TreeMember, Trees

NAMES = list("abcdef")


def made(classes, n=90, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.normal(size=(n, len(NAMES)))
    x[:, 0] += 1.5 * y
    x[rng.random(x.shape) < 0.05] = np.nan
    return x, y


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_say_what_scikit_learn_says(kind, classes):
    x, y = made(classes)
    member = TreeMember(
        Trees.model_validate(fit_measurements(x, y, np.arange(90), NAMES, classes, seed=3, kinds=(kind,)).arrays)
    )
    filled = member.filled(x)
    wanted = _make(kind, 3).fit(filled, y).predict_proba(filled)
    assert np.abs(member.probabilities(x) - wanted).max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_sum_to_the_finding(kind):
    x, y = made(3)
    member = TreeMember(
        Trees.model_validate(fit_measurements(x, y, np.arange(90), NAMES, 3, seed=0, kinds=(kind,)).arrays)
    )
    start, added = member.contributions(x)
    total = start + added.sum(axis=1)
    if member.trees.link == "softmax":
        total = np.exp(total) / np.exp(total).sum(axis=1, keepdims=True)
    assert np.allclose(total, member.probabilities(x), atol=1e-12)
    # The measurement that decides by construction is the one that is credited most.
    assert np.abs(added).sum(axis=(0, 2)).argmax() == 0


def test_what_stands_for_a_missing_value_is_shared_by_five_patients():
    x, y = made(2)
    x[:, 0] = np.r_[np.linspace(40.1, 41.973, 45), np.full(45, np.nan)]
    x[:, 1] = np.nan
    x[:4, 1] = 7.25
    fill = fit_measurements(x, y, np.arange(90), NAMES, 2, seed=0, kinds=("forest",)).arrays["fill"]
    assert fill[0] == pytest.approx(41.0, abs=0.2)
    assert fill[0] not in x[:, 0]
    assert fill[1] == 0.0


def test_the_inner_probabilities_come_from_other_patients():
    # Labels are noise but every patient has two equal rows: whoever learns from the twin knows the answer.
    rng = np.random.default_rng(1)
    x = np.repeat(rng.normal(size=(60, 6)), 2, axis=0)
    y = np.repeat(rng.integers(0, 2, 60), 2)
    fitted = fit_measurements(x, y, np.repeat(np.arange(60), 2), NAMES, 2, seed=0, kinds=("forest",))
    right = (fitted.inner.argmax(axis=1) == y).mean()
    assert 0.3 < right < 0.7


def test_the_kind_with_the_least_loss_is_taken_and_named():
    x, y = made(2)
    fitted = fit_measurements(x, y, np.arange(90), NAMES, 2, seed=0)
    assert set(fitted.losses) == set(KINDS)
    assert fitted.losses[fitted.kind] == min(fitted.losses.values())


def test_a_class_of_one_patient_is_refused():
    x, y = made(2)
    y[:] = 0
    y[:2] = 1
    with pytest.raises(InputError, match="a class has 1 patients to learn from, and two are needed"):
        fit_measurements(x, y, np.array([0, 0, *range(1, 89)]), NAMES, 2, seed=0)
