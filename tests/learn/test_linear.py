import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression, Ridge

from semeion.errors import InputError
from semeion.learn import linear_solve
from semeion.learn.linear import STRENGTHS, fit_linear
from semeion.learn.linear_solve import Problem, basis_of
from semeion.model.linear import Linear, LinearMember


def made(n=60, width=12, classes=2, seed=0):
    """Return features of unlike scales, of which the first tells the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.normal(size=(n, width))
    x[:, 0] += 1.2 * y
    return x * rng.uniform(0.1, 50, size=width) + rng.normal(size=width) * 100, y


def fit(x, y, task="binary", classes=2, groups=None, **options):
    return fit_linear(x, y, np.arange(len(x)) if groups is None else groups, task, classes, seed=1, **options)


def shipped(fitted):
    return LinearMember(Linear.model_validate_json(json.dumps(fitted.arrays)))


def standard(x):
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    return z / np.sqrt(x.shape[1])


# Few features of many cases and many features of few cases take different ways to the same minimum.
WIDTHS = (12, 150)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("strength", [3.0, 0.1])
def test_two_classes_are_logistic_regression(width, strength):
    x, y = made(width=width)
    weight = np.random.default_rng(1).uniform(0.2, 2, size=len(y))
    ours = shipped(fit(x, y, strengths=[strength], weight=weight)).outputs(x)
    peer = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000)
    wanted = peer.fit(standard(x), y, sample_weight=weight / weight.mean()).predict_proba(standard(x))
    np.testing.assert_allclose(ours, wanted, atol=2e-4)


@pytest.mark.parametrize("width", WIDTHS)
def test_several_classes_are_multinomial_regression(width):
    x, y = made(n=90, width=width, classes=3)
    ours = shipped(fit(x, y, "multiclass", 3, strengths=[0.3])).outputs(x)
    peer = LogisticRegression(C=1 / 0.3, tol=1e-10, max_iter=10_000).fit(standard(x), y)
    np.testing.assert_allclose(ours, peer.predict_proba(standard(x)), atol=2e-4)


@pytest.mark.parametrize("width", WIDTHS)
def test_values_are_ridge_regression(width):
    x, y = made(width=width)
    value = 70 + 5 * y + np.random.default_rng(2).normal(size=len(y))
    ours = shipped(fit(x, value, "regression", 1, strengths=[0.5])).outputs(x)[:, 0]
    peer = Ridge(alpha=0.5).fit(standard(x), value)
    np.testing.assert_allclose(ours, peer.predict(standard(x)), atol=2e-3)


def test_each_label_learns_from_the_cases_where_it_is_known():
    x, y = made()
    labels = np.column_stack([y, np.roll(y, 1)]).astype(float)
    labels[10:25, 1] = np.nan
    ours = shipped(fit(x, labels, "multilabel", 2, strengths=[0.3])).outputs(x)
    for label in range(2):
        known = np.isfinite(labels[:, label])
        peer = LogisticRegression(C=1 / 0.3, tol=1e-10, max_iter=10_000)
        peer.fit(standard(x)[known], labels[known, label])
        np.testing.assert_allclose(ours[:, label], peer.predict_proba(standard(x))[:, 1], atol=2e-4)


def test_soft_labels_are_cases_shared_between_classes():
    x, y = made(n=40)
    shares = np.column_stack([np.where(y, 0.25, 1.0), np.where(y, 0.75, 0.0)])
    ours = shipped(fit(x, shares, strengths=[0.3])).outputs(x)
    twice = np.vstack([standard(x), standard(x)])
    peer = LogisticRegression(C=1 / 0.3, tol=1e-10, max_iter=10_000)
    peer.fit(twice, np.repeat([0, 1], 40), sample_weight=np.concatenate([shares[:, 0], shares[:, 1]]))
    np.testing.assert_allclose(ours, peer.predict_proba(standard(x)), atol=2e-4)


def test_grades_without_a_feature_that_tells_have_their_shares():
    y = np.repeat([0, 1, 2, 3], [40, 10, 30, 20])
    member = shipped(fit(np.ones((100, 2)), y, "ordinal", 4, strengths=[1.0]))
    np.testing.assert_allclose(member.outputs(np.ones((1, 2))), [[0.4, 0.1, 0.3, 0.2]], atol=1e-4)


def test_grades_of_a_latent_scale_are_found_again():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2))
    score = 2.0 * x[:, 0] - 1.0 * x[:, 1]
    y = np.digitize(score + rng.logistic(size=4000), [-1.0, 0.5, 2.0])
    member = shipped(fit(x, y, "ordinal", 4, strengths=[1e-3]))
    weights = member.linear.coefficients[0] / np.array(member.linear.scale)
    np.testing.assert_allclose(weights, [2, -1], atol=0.15)
    np.testing.assert_allclose(
        member.linear.intercepts - weights @ np.array(member.linear.mean), [-1, 0.5, 2], atol=0.2
    )


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity", "ordered"])
def test_slopes_are_those_of_the_loss(link):
    rng = np.random.default_rng(3)
    n, folds, outputs = 9, 2, 4
    truth = np.eye(outputs)[rng.integers(0, outputs, n)]
    known = np.ones_like(truth)
    if link == "sigmoid":
        known = (rng.random(truth.shape) < 0.7).astype(float)
        truth[:, 0] = 0
    problem = Problem(link, truth, known, rng.uniform(0, 2, size=(n, folds)))
    rows, inner = problem.scores, outputs - (link == "ordered")
    cut = n * folds * rows

    def loss(flat):
        z, b = flat[:cut].reshape(n, folds, rows), flat[cut:].reshape(folds, inner)
        return linear_solve._loss(problem, z, b, problem.empty)

    def slope(flat):
        return np.concatenate([part.ravel() for part in loss(flat)[1:]])

    for _ in range(3):
        at = rng.normal(size=cut + folds * inner)
        assert check_grad(lambda flat: loss(flat)[0], slope, at, seed=0) < 1e-4


def test_held_out_probabilities_are_those_of_a_fit_without_the_patient():
    x, y = made(n=40)
    fitted = fit(x, y, strengths=[0.3])
    assert fitted.inner.shape == (40, 2)
    assert np.isfinite(fitted.inner).all()
    # A patient of one case of each class keeps its place whichever is which, and so what the others say of it.
    groups = np.array([0, 0, *range(1, 39)])
    swapped = np.array([y[1], y[0], *y[2:]])
    one, other = (fit(x, labels, strengths=[0.3], groups=groups).inner for labels in (y, swapped))
    np.testing.assert_allclose(one[:2], other[:2], atol=1e-4)
    assert np.abs(one[2:] - other[2:]).max() > 1e-2


def test_noise_is_shrunk_and_a_clear_sign_is_not():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    noise = fit(rng.normal(size=(40, 800)), y)
    assert noise.strength >= 3
    assert noise.losses[noise.strength] == min(noise.losses.values())
    assert noise.losses[noise.strength] < np.log(2) + 0.05
    clear, y = made(n=400, width=3)
    assert fit(clear * 1, y).strength <= 0.3


def test_few_cases_with_thousands_of_features():
    rng = np.random.default_rng(0)
    y = np.arange(1020) % 2
    x = rng.normal(size=(1020, 2000)).astype(np.float32)
    x[:, :200] += 0.5 * y[:, None]
    told = shipped(fit(x[:20], y[:20])).outputs(x[20:])
    assert (told.argmax(axis=1) == y[20:]).mean() > 0.8


def test_the_same_seed_gives_the_same_arrays():
    x, y = made()
    one, other = fit(x, y), fit(x, y)
    assert one.arrays == other.arrays
    assert one.inner.tolist() == other.inner.tolist()


def test_penalties_go_from_strong_to_weak_and_stop_when_it_gets_worse():
    x, y = made(n=60, width=150)
    tried = list(fit(x, y).losses)
    assert all(a > b for a, b in pairwise(tried))
    assert tried[0] == max(STRENGTHS)
    assert len(tried) < len(STRENGTHS)


def test_constant_features_count_for_nothing():
    x, y = made(width=4)
    x[:, 1] = 7.3
    x[:, 2] = 0
    member = shipped(fit(x, y))
    assert np.array(member.linear.coefficients)[:, 1:3].tolist() == [[0, 0], [0, 0]]
    x[:, 1] = 1e6
    assert np.isfinite(member.outputs(x)).all()


@settings(max_examples=25, deadline=None)
@given(
    task=st.sampled_from(["binary", "multiclass", "multilabel", "ordinal", "regression"]),
    n=st.integers(8, 40),
    width=st.integers(1, 60),
    seed=st.integers(0, 99),
)
def test_whatever_comes_the_numbers_are_finite_and_sum_to_one(task, n, width, seed):
    rng = np.random.default_rng(seed)
    classes = {"binary": 2, "multiclass": 3, "ordinal": 3, "multilabel": 3, "regression": 1}[task]
    x = rng.normal(size=(n, width)) * rng.uniform(0, 1e4, size=width)
    y = {
        "regression": rng.normal(size=n) * 1e3,
        "multilabel": np.where(rng.random((n, 3)) < 0.2, np.nan, rng.random((n, 3)) < 0.1),
    }.get(task, np.arange(n) % classes)
    if task == "multilabel":
        y[0] = 0
    fitted = fit(x, y, task, classes, groups=np.arange(n) // 2 if task in ("multilabel", "regression") else None)
    out = shipped(fitted).outputs(x)
    assert out.shape == fitted.inner.shape == (n, classes)
    assert np.isfinite(out).all()
    assert np.isfinite(fitted.inner).all()
    if task in ("binary", "multiclass", "ordinal"):
        np.testing.assert_allclose(fitted.inner.sum(axis=1), 1)


def test_a_class_of_one_patient_is_never_held_out_and_that_is_said():
    x, y = made(n=60, classes=3)
    groups = np.where(y == 2, 1000, np.arange(60))
    fitted = fit(x, y, "multiclass", 3, groups=groups)
    assert fitted.notes == ("class number 2 has cases of a single patient, who is never held out",)
    assert np.isnan(fitted.inner[y == 2]).all()
    assert np.isfinite(fitted.inner[y != 2]).all()
    assert np.isfinite(fitted.losses[fitted.strength])


def test_a_label_that_no_case_has_is_rare_and_not_infinite():
    x, y = made(n=60)
    labels = np.column_stack([y, np.zeros(60)])
    told = shipped(fit(x, labels, "multilabel", 2)).outputs(x)
    assert 0.001 < told[:, 1].mean() < 0.05


def test_what_cannot_be_learned_from_is_refused():
    x, y = made()
    gap = x.copy()
    gap[3, 2] = np.nan
    with pytest.raises(InputError, match=r"feature 2 is not a finite number in row 3 \(1 of 60 rows\); fill in"):
        fit(gap, y)
    with pytest.raises(InputError, match="feature 'age' is not a finite number"):
        fit(gap, y, features=["a", "b", "age", *map(str, range(9))])
    with pytest.raises(InputError, match="class number 2 has no case to learn from; bring cases"):
        fit(x, y, "multiclass", 3)
    with pytest.raises(InputError, match="class number 1 has cases of fewer than two patients"):
        fit(x, y, groups=np.where(y == 1, 1000, np.arange(60)))
    with pytest.raises(InputError, match="all of one patient"):
        fit(x, y, groups=np.zeros(60))
    with pytest.raises(InputError, match="the target is missing in row 5"):
        fit(x, np.where(np.arange(60) == 5, np.nan, y))
    with pytest.raises(InputError, match="no index from 0 to 1"):
        fit(x, y * 2)
    with pytest.raises(InputError, match="neither 0, 1 nor unknown"):
        fit(x, np.full((60, 2), 0.5), "multilabel", 2)
    with pytest.raises(InputError, match="no label of any case is known"):
        fit(x, np.full((60, 2), np.nan), "multilabel", 2)
    with pytest.raises(InputError, match="do not sum to 1"):
        fit(x, np.full((60, 2), 0.7))
    with pytest.raises(InputError, match="a case's weight is negative"):
        fit(x, y, weight=-np.ones(60))
    with pytest.raises(ValueError, match="strengths must be positive"):
        fit(x, y, strengths=[])


def test_a_large_table_in_single_precision_says_the_same(monkeypatch):
    x, y = made(n=80, width=20)
    exact = shipped(fit(x, y, strengths=[0.3])).outputs(x)
    monkeypatch.setattr(linear_solve, "LARGE", 100)
    assert basis_of(x.astype(np.float32)).scores.dtype == np.float32
    np.testing.assert_allclose(shipped(fit(x.astype(np.float32), y, strengths=[0.3])).outputs(x), exact, atol=1e-3)


def plain_basis(x, kind):
    """The same in whole tables, as it is written in textbooks."""
    mean = x.mean(axis=0, dtype=np.float64)
    z = (x - mean).astype(kind)
    scale = np.sqrt(np.einsum("nf,nf->f", z, z, dtype=np.float64) / len(x))
    constant = (scale <= 1e-6 * np.abs(mean)) | (scale <= 1e-30)
    scale[constant] = 1.0
    z /= scale.astype(kind)
    z[:, constant] = 0
    narrow = np.sqrt(max(1, int((~constant).sum())))
    z /= kind(narrow)
    tall = len(x) > x.shape[1]
    size, turned = np.linalg.eigh((z.T @ z if tall else z @ z.T).astype(np.float64))
    kept = np.flatnonzero(size > 1e-12 * size[-1])[::-1]
    size, turned = size[kept], turned[:, kept]
    scores = z @ turned.astype(kind) if tall else turned * np.sqrt(size)
    back = turned if tall else (z.T @ turned) / np.sqrt(size)
    return scores, size, np.where(constant[:, None], 0, back / narrow), mean, scale


@pytest.mark.parametrize(("cases", "width", "large"), [(700, 30, 100), (700, 30, 10**9), (40, 90, 100)])
def test_a_table_in_pieces_gives_the_same_directions_to_the_last_bit(monkeypatch, cases, width, large):
    monkeypatch.setattr(linear_solve, "LARGE", large)
    monkeypatch.setattr(linear_solve, "ROWS", 64)
    x = np.random.default_rng(0).normal(3, 2, (cases, width)).astype(np.float32)
    x[:, 4] = 7.5
    found = basis_of(x)
    wanted = plain_basis(x, np.float32 if cases > width and x.size > large else np.float64)
    for one, other in zip((found.scores, found.size, found.back, found.mean, found.scale), wanted, strict=True):
        np.testing.assert_array_equal(one, other)
