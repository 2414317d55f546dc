"""Points of a curve: who is learned from, who is scored, and what chance does to the figure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, mean_absolute_error, roc_auc_score

from semeion.errors import InputError
from semeion.evidence.growth.figure import METRICS, Scored, as_error, ends_of, metric_of, values_of
from semeion.evidence.growth.measure import draw_variance, independent_spread, read_sizes, scored_cases, weigh_points
from semeion.evidence.growth.subsets import Side, pool_of, sizes_of
from semeion.evidence.question import Question

BINARY = Question("finding", "binary", ("no", "yes"), "yes")


def cohort(n=200, scored=80, seed=0, strength=1.0):
    """Return features, truth, groups (two cases a patient) and the one side."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n + scored) < 0.4).astype(float)
    x = rng.standard_normal((n + scored, 8))
    x[:, :3] += strength * y[:, None] * np.array([0.9, 0.6, 0.3])
    side = Side(np.arange(n), np.arange(n, n + scored))
    return x, y, np.arange(n + scored) // 2, side


def ridge(x, y, told=None):
    """Return a learner: ridge regression of the class, as a probability."""

    def learn(rows, score):
        if told is not None:
            told.append((rows.copy(), score.copy()))
        middle = x[rows].mean(0)
        centred = x[rows] - middle
        w = np.linalg.solve(centred.T @ centred + 5 * np.eye(x.shape[1]), centred.T @ (y[rows] - y[rows].mean()))
        p = 1 / (1 + np.exp(-4 * (x[score] - middle) @ w))
        return np.column_stack([1 - p, p])

    return learn


def readings(sides, y, groups, learn, **more):
    pools = [pool_of(side.learn, groups, y.astype(np.int64), y[:, None] == [0, 1]) for side in sides]
    sizes = sizes_of(pools)
    return sizes, read_sizes(sides, pools, groups, sizes, learn, seed=1, **more)


def test_subsets_are_nested_and_the_same_cases_are_always_scored():
    x, y, groups, side = cohort()
    told = []
    sizes, found = readings([side], y, groups, ridge(x, y, told), draws=3)
    assert len(told) == 3 * (len(sizes) - 1) + 1, "the whole pool is learned from once"
    assert all(np.array_equal(score, side.score) for _, score in told)
    assert not any(np.isin(groups[rows], groups[side.score]).any() for rows, _ in told)
    first = [rows for rows, _ in told[: len(sizes)]]
    assert all(set(small) < set(large) for small, large in pairwise(first))
    assert found.cases == tuple(2.0 * size for size in sizes)
    scored = scored_cases([side], y, groups)
    points = weigh_points(found, scored, BINARY, "auroc", pool=sizes[-1], resamples=60, jobs=1)
    own = [np.mean([roc_auc_score(y[side.score], p[:, 1]) for p in each]) for each in found.outputs]
    assert points.value == pytest.approx(own)
    assert points.drawn.shape == (60, len(sizes))
    assert points.between[0] > points.between[-1] > 0


def test_draws_go_on_as_long_as_they_may_and_all_sizes_have_the_same():
    x, y, groups, side = cohort()
    asked = []
    _, found = readings([side], y, groups, ridge(x, y), draws=9, go_on=lambda made, _: asked.append(made) or made < 5)
    assert asked == [3, 4, 5]
    assert {len(each) for each in found.outputs} == {5}


def test_folds_are_scored_by_what_never_saw_them_and_ranked_within_themselves():
    x, y, groups, _ = cohort()
    fold = groups % 4
    rows = np.arange(len(y))
    sides = [Side(rows[fold != k], rows[fold == k]) for k in range(4)]
    told = []
    sizes, found = readings(sides, y, groups, ridge(x, y, told), draws=3)
    assert not any(np.isin(groups[learned], groups[score]).any() for learned, score in told)
    scored = scored_cases(sides, y, groups)
    points = weigh_points(found, scored, BINARY, "auroc", pool=sizes[-1], resamples=20, jobs=1)
    whole = found.outputs[-1][0][:, 1]
    each = [roc_auc_score(scored.y[scored.fold == k], whole[scored.fold == k]) for k in range(4)]
    weight = np.bincount(scored.fold)
    assert points.value[-1] == pytest.approx(np.average(each, weights=weight), abs=1e-3)


def test_a_patient_on_both_sides_is_refused():
    x, y, groups, side = cohort()
    groups = groups.copy()
    groups[side.score[0]] = groups[0]
    with pytest.raises(InputError, match="a patient is learned from and scored"):
        readings([side], y, groups, ridge(x, y))


@pytest.mark.parametrize("wrong", [np.zeros((3, 2)), np.full((80, 2), np.nan), np.zeros(80)])
def test_a_learner_that_returns_something_else_is_refused(wrong):
    _, y, groups, side = cohort()
    with pytest.raises(InputError, match="one row of finite outputs for every case"):
        readings([side], y, groups, lambda *_: wrong)


def test_one_class_among_the_scored_has_no_area():
    x, y, groups, side = cohort()
    truth = y.copy()
    truth[side.score] = 0
    sizes, found = readings([side], y, groups, ridge(x, y), draws=3)
    with pytest.raises(InputError, match="one class alone"):
        weigh_points(found, scored_cases([side], truth, groups), BINARY, "auroc", pool=sizes[-1], resamples=5)


def test_classes_of_one_scored_patient_each_are_refused():
    rng = np.random.default_rng(0)
    y = np.r_[np.arange(200) % 5, np.zeros(40), 1, 2, 3, 4].astype(float)
    side = Side(np.arange(200), np.arange(200, 244))
    groups = np.arange(244)
    pool = pool_of(side.learn, groups, y.astype(np.int64))
    outputs = rng.dirichlet(np.ones(5), 244)
    sizes = sizes_of([pool])
    found = read_sizes([side], [pool], groups, sizes, lambda _, score: outputs[score], seed=0, draws=3)
    question = Question("k", "multiclass", ("a", "b", "c", "d", "e"))
    with pytest.raises(InputError, match="auroc is undefined in most resamples"):
        weigh_points(found, scored_cases([side], y, groups), question, "auroc", pool=200, resamples=40, jobs=1)


def test_the_spread_of_independent_sets_undoes_the_common_pool():
    rng = np.random.default_rng(0)
    sizes = np.array([20.0, 40.0, 80.0, 160.0, 400.0])
    true = 1.2 / np.sqrt(sizes)
    seen = true * np.sqrt(1 - np.minimum(sizes / 400, 1))
    values = 0.8 + seen[:, None] * rng.standard_normal((5, 400))
    assert independent_spread(values.var(axis=1, ddof=1), sizes, 400) == pytest.approx(true, rel=0.12)
    assert (independent_spread(np.zeros(5), sizes, 400) == 0).all()


def test_the_variance_of_draws_is_that_of_a_fold_and_unknown_of_one_draw():
    values = np.array([[0.7, 0.8, 0.9], [0.8, 0.8, 0.8]])
    assert draw_variance(values, 1) == pytest.approx([0.01, 0.0])
    assert draw_variance(values, 4) == pytest.approx([0.02, 0.0])
    assert (draw_variance(values[:, :1], 1) == 0).all()


def test_each_task_has_its_figures_and_no_others():
    assert metric_of("binary", None) == "auroc"
    assert metric_of("regression", None) == "mae"
    with pytest.raises(InputError, match="'auroc' is no figure of a curve of the task regression; use one of mae"):
        metric_of("regression", "auroc")
    with pytest.raises(InputError, match="did you mean 'auroc'"):
        metric_of("binary", "aurocs")
    with pytest.raises(InputError, match="no learning curve of the task 'segmentation'"):
        metric_of("segmentation", None)


@pytest.mark.parametrize("task", list(METRICS))
def test_figures_of_every_task_are_scikit_learns(task):
    rng = np.random.default_rng(2)
    n, one = 60, np.ones((1, 60))
    patient, fold = np.arange(n), np.zeros(n, dtype=np.int64)
    if task == "regression":
        y = rng.random(n)
        p = (y + rng.normal(0, 0.2, n))[:, None]
        question, metric, wanted = Question("d", task), "mae", mean_absolute_error(y, p[:, 0])
    elif task == "multilabel":
        y, p = (rng.random((n, 2)) < 0.4).astype(float), rng.random((n, 2))
        y[0, 1] = np.nan
        question, metric = Question("s", task, ("a", "b")), "auprc"
        known = np.isfinite(y[:, 1])
        parts = [average_precision_score(y[:, 0], p[:, 0]), average_precision_score(y[known, 1], p[known, 1])]
        wanted = np.average(parts, weights=[n, n - 1])
    elif task == "binary":
        y = (rng.random(n) < 0.4).astype(float)
        p = rng.dirichlet((1, 1), n)
        question, metric, wanted = BINARY, "accuracy", accuracy_score(y, p[:, 1] >= 0.5)
    else:
        y = rng.integers(0, 3, n).astype(float)
        p = rng.dirichlet((1, 1, 1), n)
        question, metric = Question("k", task, ("a", "b", "c")), "accuracy"
        wanted = accuracy_score(y, p.argmax(1))
    meter = values_of(p, Scored(y, patient, fold), question, metric)
    assert meter(one)[0] == pytest.approx(wanted)
    for name in METRICS[task]:
        assert np.isfinite(values_of(p, Scored(y, patient, fold), question, name)(one)).all()


def test_errors_fall_and_intervals_stay_within_zero_and_one():
    assert as_error(np.array([0.9]), "auroc") == pytest.approx(0.1)
    assert as_error(np.array([3.0]), "mae") == pytest.approx(3.0)
    rng = np.random.default_rng(0)
    drawn = np.column_stack([0.97 + 0.02 * rng.standard_normal(400), np.ones(400)])
    low, high = ends_of(np.array([0.97, 1.0]), drawn, "auroc")
    assert 0 < low[0] < 0.94
    assert 0.97 < high[0] < 1
    assert (low[1], high[1]) == (1.0, 1.0)
    low, high = ends_of(np.array([2.0]), 2 + 0.5 * rng.standard_normal((400, 1)), "mae")
    assert (low[0], high[0]) == pytest.approx((1.0, 3.0), abs=0.2)
