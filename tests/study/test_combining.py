import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from semeion.errors import InputError
from semeion.study.combining import choose_single, choose_weights
from semeion.study.weight_rules import RULES, Told, paired


def said(y, skill, seed, classes=2):
    """Return probabilities whose logits are the truth, `skill` strong, and noise."""
    rng = np.random.default_rng(seed)
    logits = skill * np.eye(classes)[y] + rng.normal(size=(len(y), classes))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def truth(n=200, classes=2):
    return np.random.default_rng(0).integers(0, classes, n)


def choose(validation, y, task="binary", patient=None, **options):
    return choose_weights(validation, y, np.arange(len(y)) if patient is None else patient, task, seed=3, **options)


def test_members_that_only_guess_count_the_same():
    y = truth()
    chosen = choose({f"m{i}": said(y, 0, i) for i in range(4)}, y)
    assert chosen.method == "equal"
    np.testing.assert_allclose(list(chosen.weights.values()), 0.25)
    assert "no other way did better by a standard error" in chosen.reason
    assert (chosen.gain, chosen.low, chosen.high) == (0, 0, 0)
    assert chosen.loss_chosen == chosen.loss_equal


def test_members_that_are_alike_count_the_same():
    y = truth()
    assert choose({f"m{i}": said(y, 2, i) for i in range(5)}, y).method == "equal"


@pytest.mark.parametrize("classes", [2, 4])
def test_a_member_that_knows_outweighs_one_that_guesses(classes):
    y = truth(classes=classes)
    chosen = choose(
        {"guesses": said(y, 0, 1, classes), "knows": said(y, 12, 2, classes)},
        y,
        "binary" if classes == 2 else "multiclass",
    )
    assert chosen.weights["knows"] > 0.9
    assert chosen.gain > 0
    assert chosen.low < chosen.gain < chosen.high
    assert chosen.losses["knows"] < chosen.losses["guesses"]
    assert "less loss (standard error" in chosen.reason
    assert chosen.loss_equal - chosen.loss_chosen == pytest.approx(chosen.gain)


def test_what_makes_the_mean_worse_is_left_out():
    y = truth(400)
    table = {f"good{i}": said(y, 2, i) for i in range(3)} | {"bad": said(y, -3, 9)}
    chosen = choose(table, y)
    assert chosen.weights["bad"] < 0.02
    assert min(chosen.weights[f"good{i}"] for i in range(3)) > 0.1


def test_being_sharper_is_not_being_better():
    y = truth(400)
    timid, bold = said(y, 2, 1), said(y, 2, 2)
    timid = timid**0.2 / (timid**0.2).sum(axis=1, keepdims=True)
    chosen = choose({"timid": timid, "bold": bold}, y)
    assert abs(chosen.losses["timid"] - chosen.losses["bold"]) < 0.08


def test_seeds_of_a_recipe_share_its_weight():
    y = truth()
    table = {f"weak{i}": said(y, 0.1, i) for i in range(4)} | {"strong": said(y, 6, 9)}
    chosen = choose(table, y, kinds={name: name[:4] for name in table})
    assert chosen.weights["strong"] > 0.8
    assert len({round(chosen.weights[f"weak{i}"], 12) for i in range(4)}) == 1
    alone = choose({name: table[name] for name in ("weak0", "weak1")}, y, kinds={"weak0": "w", "weak1": "w"})
    assert alone.weights == {"weak0": 0.5, "weak1": 0.5}
    assert "there is one recipe" in alone.reason


def test_missing_labels_are_left_out():
    y = np.random.default_rng(0).integers(0, 2, (200, 3)).astype(float)
    knows = np.clip(y + np.random.default_rng(1).normal(size=y.shape) * 0.1, 0.05, 0.95)
    y[np.random.default_rng(2).random(y.shape) < 0.4] = np.nan
    y[0] = [1, np.nan, np.nan]
    y[1] = np.nan
    chosen = choose({"knows": knows, "guesses": np.random.default_rng(3).random(y.shape)}, y, "multilabel")
    assert chosen.weights["knows"] > 0.9
    assert chosen.n == np.isfinite(y).any(axis=1).sum() < 200


def test_measured_values_are_judged_by_absolute_error():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200) * 10 + 50
    near, far = y + rng.normal(size=200), y + rng.normal(size=200) * 20
    chosen = choose({"near": near[:, None], "far": far[:, None]}, y, "regression")
    assert chosen.weights["near"] > 0.9
    assert chosen.losses["far"] == pytest.approx(np.abs(far - y).mean())
    alike = {f"m{i}": (y + rng.normal(size=200))[:, None] for i in range(4)}
    assert choose(alike, y, "regression").method == "equal"


def test_soft_labels_are_shares_of_a_case():
    y = truth()
    table = {"a": said(y, 1, 1), "b": said(y, 8, 2)}
    hard, soft = choose(table, y), choose(table, np.eye(2)[y])
    assert soft.losses == pytest.approx(hard.losses)
    assert soft.method == hard.method


def test_the_order_of_members_does_not_matter():
    y = truth()
    table = {f"m{i}": said(y, i, i) for i in range(4)}
    turned = dict(reversed(table.items()))
    one, other = choose(table, y), choose(turned, y)
    assert one == other
    assert json.loads(json.dumps(one.to_json()))["weights"] == one.weights


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(2, 60),
    members=st.integers(1, 4),
    per=st.integers(1, 3),
    skill=st.floats(-3, 6),
    seed=st.integers(0, 99),
)
def test_weights_are_shares_whatever_comes(n, members, per, skill, seed):
    y = np.random.default_rng(seed).integers(0, 3, n)
    table = {f"m{i}": said(y, skill * i, i, 3) for i in range(members)}
    chosen = choose(table, y, "multiclass", np.arange(n) // per)
    assert min(chosen.weights.values()) >= 0
    assert sum(chosen.weights.values()) == pytest.approx(1)
    assert chosen.weights.keys() == table.keys()


def test_on_fresh_cases_what_was_chosen_is_not_worse_than_equal_shares():
    gains = []
    for seed, skills in enumerate([(1, 1, 1), (2, 0.3, 0.3), (1, 0.8, 0.6), (0, 0, 0), (1.5, 1.5, -1)]):
        y, fresh = (np.random.default_rng(100 + seed + k).integers(0, 2, n) for k, n in ((0, 200), (50, 4000)))
        table = {f"m{i}": said(y, skill, 10 * seed + i) for i, skill in enumerate(skills)}
        told = told_of([said(fresh, skill, 1000 + 10 * seed + i) for i, skill in enumerate(skills)], fresh)
        weights = np.array(list(choose(table, y).weights.values()))
        gains.append(told.mean(told.fitted(np.full(3, 1 / 3))) - told.mean(told.fitted(weights)))
    assert min(gains) > -0.01
    assert np.mean(gains) > 0


def test_few_patients_choose_nothing():
    y = truth(60)
    chosen = choose({"a": said(y, 9, 1), "b": said(y, 0, 2)}, y, patient=np.arange(60) // 6)
    assert chosen.reason == "10 validation patients are too few to choose weights: every member counts the same"
    assert chosen.weights == {"a": 0.5, "b": 0.5}


def test_the_smallest_of_the_best_ships_alone():
    y = truth(400)
    table = {"large": said(y, 3, 1), "small": said(y, 3, 2), "tiny": said(y, 0, 3)}
    size = {"large": 9.0, "small": 2.0, "tiny": 1.0}
    one = choose_single(table, y, np.arange(400), "binary", cost=size)
    assert one.name == "small"
    assert "small" in one.reason
    table["small"] = said(y, 1, 2)
    one = choose_single(table, y, np.arange(400), "binary", cost=size)
    assert one.name == "large"
    assert one.reason.startswith("large has the least loss")
    with pytest.raises(ValueError, match="the size of tiny is not given"):
        choose_single(table, y, np.arange(400), "binary", cost={"large": 1, "small": 1})


def told_of(table, y):
    cases = np.arange(len(y))
    return Told(np.stack(table), y, cases, cases, np.ones(len(y)), True)


def test_shares_of_least_loss_are_the_minimum(monkeypatch):
    monkeypatch.setattr("semeion.study.weight_rules.PRIOR", 1e-9)
    monkeypatch.setattr("semeion.study.weight_rules.STEPS", 20_000)
    monkeypatch.setattr("semeion.study.weight_rules.ENOUGH", 1e-10)
    y = truth(300)
    told = told_of([said(y, s, i) for i, s in enumerate([1.0, 1.5, 0.3])], y)
    ours = RULES["least"](told, np.ones(3), np.random.default_rng(0))
    found = minimize(
        lambda w: told.mean(told.plain(w)),
        np.full(3, 1 / 3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12},
    )
    np.testing.assert_allclose(ours, found.x, atol=2e-3)


def test_the_remedy_is_a_logistic_regression_of_the_logit():
    y = truth(300)
    told = told_of([said(y, 2, 1) ** [0.3, 0.2], said(y, 2, 1)], y)
    for weights in (np.array([0.0, 1.0]), np.array([0.3, 0.7])):
        logit = np.diff(np.log(np.tensordot(weights, told.told, axes=1)))
        peer = LogisticRegression(C=np.inf).fit(logit, y)
        np.testing.assert_allclose(told.remedy(weights), [peer.coef_[0, 0], peer.intercept_[0]], atol=0.03)


def test_the_remedy_of_several_classes_lowers_the_loss():
    y = truth(300, 4)
    p = said(y, 2, 1, 4) ** 0.4 * [1, 3, 1, 0.2]
    told = told_of([p / p.sum(axis=1, keepdims=True)], y)
    one = np.ones(1)
    wanted = told_of([said(y, 2, 1, 4)], y)
    assert told.mean(told.fitted(one)) == pytest.approx(wanted.mean(wanted.fitted(one)), abs=0.01)
    assert told.mean(told.plain(one)) > told.mean(told.fitted(one)) + 0.1


def test_a_difference_of_cases_is_that_of_means():
    told = told_of([said(truth(50), 1, 1)], truth(50))
    first, second = np.random.default_rng(0).normal(size=(2, 50))
    gain, error = paired(told, first, second)
    assert gain == pytest.approx((first - second).mean())
    assert error == pytest.approx((first - second).std(ddof=1) / np.sqrt(50))


def test_what_cannot_be_combined_is_refused():
    y = truth(30)
    sound = said(y, 1, 1)
    gap = sound.copy()
    gap[2, 0] = np.nan
    with pytest.raises(InputError, match="b: a validation prediction is missing; leave the member out"):
        choose({"a": sound, "b": gap}, y)
    with pytest.raises(InputError, match="a target is missing; leave out unlabelled cases"):
        choose({"a": sound}, np.where(np.arange(30) == 0, np.nan, y))
    with pytest.raises(InputError, match="no label of any case is known"):
        choose({"a": sound}, np.full((30, 2), np.nan), "multilabel")
    with pytest.raises(ValueError, match="no member to combine"):
        choose({}, y)
    with pytest.raises(ValueError, match=r"predictions of b have shape \(29, 2\)"):
        choose({"a": sound, "b": sound[1:]}, y)
    with pytest.raises(ValueError, match="predictions of a are no probabilities"):
        choose({"a": sound * 9}, y)
    with pytest.raises(ValueError, match="no index from 0 to 1"):
        choose({"a": sound}, y + 5)
    with pytest.raises(ValueError, match="30 targets and 3 patients for 30 cases"):
        choose({"a": sound}, y, patient=np.arange(3))
