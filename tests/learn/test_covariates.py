import numpy as np
import pytest

from semeion.errors import InputError
from semeion.learn.covariates import fit_covariates, loss_of
from semeion.model.covariates import IMAGES, CovariateHead, CovariateMember, feature_names, image_features, open_head
from semeion.prepare.covariate_fit import fit_encoding

N = 160
KINDS = {"age": "number", "sex": "levels", "smoker": "yes-no", "noise": "number"}
TASKS = ["binary", "multiclass", "ordinal", "multilabel", "regression"]


def cases(task, seed=0, n=N, signal=2.0):
    """Patients of two cases each, whose age and smoking tell the answer."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(n // 2), 2)
    age = rng.normal(60, 10, n // 2)[patients]
    smoker = rng.random(n // 2)[patients] < 0.5
    rows = {
        "age": [None if rng.random() < 0.1 else float(a) for a in age],
        "sex": np.where(rng.random(n) < 0.5, "f", "m").tolist(),
        "smoker": ["yes" if s else "no" for s in smoker],
        "noise": rng.normal(size=n).tolist(),
    }
    latent = signal * ((age - 60) / 10 + smoker - 0.5) + rng.logistic(size=n // 2)[patients]
    y = {
        "binary": (latent > 0) * 1.0,
        "multiclass": np.digitize(latent, [-1, 1]) * 1.0,
        "ordinal": np.digitize(latent, [-1, 1]) * 1.0,
        "multilabel": np.stack([latent > 0, smoker, rng.random(n) < 0.5], axis=1) * 1.0,
        "regression": 50 + 5 * latent,
    }[task]
    if task == "multilabel":
        y[rng.random(y.shape) < 0.1] = np.nan
    return rows, y, patients


def learned(task, learners=("linear", "boosting"), **more):
    rows, y, patients = cases(task, **more)
    encoding = fit_encoding(rows, KINDS, patients)
    k = {"binary": 2, "regression": 1}.get(task, 3)
    fitted = fit_covariates(
        encoding.encode(rows), y, patients, encoding.features, task, k, seed=1, learners=tuple(learners)
    )
    head = CovariateHead.model_validate({"task": task, "outputs": k, "encoding": encoding, **fitted.head})
    return rows, y, fitted, CovariateMember(head)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("learner", ["linear", "boosting"])
def test_what_ships_answers_and_explains_every_task(task, learner):
    rows, y, fitted, member = learned(task, [learner])
    said = member.outputs(rows)
    assert fitted.kind == learner
    assert said.shape == fitted.inner.shape
    assert np.isfinite(said).all()
    if task not in ("regression", "multilabel"):
        assert np.allclose(said.sum(axis=1), 1)
    # Better than saying the same of everybody, also of patients left out.
    if task == "multilabel":
        known = ~np.isnan(y)
        prior = np.array([y[known[:, label], label].mean() for label in range(3)])
        assert fitted.losses[learner] < loss_of(np.tile(prior, (N, 1)), y, task)
    elif task == "regression":
        assert fitted.losses[learner] < 0.8 * np.abs(y - np.median(y)).mean()
    else:
        shares = np.bincount(y.astype(int)) / N
        assert fitted.losses[learner] < loss_of(np.tile(shares, (N, 1)), y, task)
    assert loss_of(said, y, task) < fitted.losses[learner] + 0.05
    added = member.contributions(rows)
    assert list(added) == list(KINDS)
    weight = {name: np.abs(one).mean() for name, one in added.items()}
    assert weight["age"] > weight["noise"]
    assert weight["age"] > weight["sex"]


def test_boosted_trees_say_what_scikit_learn_says_of_a_value():
    from semeion.learn.covariates import _grown

    rows, y, _, member = learned("regression", ["boosting"])
    x = member.features(rows)
    head = member.head.trees[0]
    model = _grown(x, y, np.ones(N, bool), "regression", len(head.roots), 1, None)
    assert np.abs(model.predict(x) - member.outputs(rows)[:, 0]).max() < 1e-9
    start = head.base[0] + sum(head.value[root][0] for root in head.roots)
    total = sum(member.contributions(rows).values())[:, 0]
    assert np.allclose(start + total, member.outputs(rows)[:, 0])


def test_log_odds_are_the_sum_of_what_each_column_added():
    rows, _, _, member = learned("binary", ["boosting"])
    p = member.outputs(rows)[:, 1]
    total = sum(member.contributions(rows).values())[:, 0]
    rest = np.log(p / (1 - p)) - total
    assert np.ptp(rest) < 1e-9


def test_noise_is_not_believed():
    _, _, fitted, _ = learned("binary", signal=0.0, seed=3)
    assert min(fitted.losses.values()) < np.log(2) * 1.1
    assert (fitted.inner[:, 1] > 0.5).mean() == pytest.approx(0.5, abs=0.4)


def test_no_case_is_judged_by_who_knew_its_patient():
    # The answer is noise; twins of one patient share it and a number that only they have.
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(80), 2)
    y = rng.integers(0, 2, 80)[patients].astype(float)
    x = rng.normal(size=80)[patients][:, None]
    for learner in ("linear", "boosting"):
        inner = fit_covariates(x, y, patients, ["a"], "binary", 2, seed=0, learners=[learner]).inner
        assert 0.3 < (inner.argmax(axis=1) == y).mean() < 0.7


def test_the_same_seed_gives_the_same_learner():
    one, other = learned("binary")[2], learned("binary")[2]
    assert one.head == other.head
    assert one.losses == other.losses


def test_no_patients_value_ships_to_the_last_digit():
    # An odd number of patients: the median of a column is what one of them has.
    rng = np.random.default_rng(0)
    x, y = rng.normal(60, 10, (81, 1)), rng.integers(0, 2, 81).astype(float)
    fitted = fit_covariates(x, y, np.arange(81), ["a"], "binary", 2, seed=0, learners=["boosting"])
    head = fitted.head["trees"][0]
    assert not set(x[:, 0]) & {*head["fill"], *head["threshold"]}


def test_a_label_that_is_always_absent_is_learned_as_that():
    rows, y, patients = cases("multilabel")
    y[:, 1] = 0
    encoding = fit_encoding(rows, KINDS, patients)
    x = encoding.encode(rows)
    fitted = fit_covariates(x, y, patients, encoding.features, "multilabel", 3, seed=0, learners=["boosting"])
    head = CovariateHead.model_validate({"task": "multilabel", "outputs": 3, "encoding": encoding, **fitted.head})
    assert CovariateMember(head).outputs(rows)[:, 1].max() < 0.01


def test_one_patient_is_refused():
    with pytest.raises(InputError, match="one patient is all there is to learn from"):
        fit_covariates([[1.0], [2.0]], [0, 1], [1, 1], ["a"], "binary", 2, seed=0)


@pytest.mark.parametrize("task", TASKS)
def test_what_others_say_of_the_images_is_a_feature(task):
    rows, y, patients = cases(task)
    encoding = fit_encoding(rows, KINDS, patients)
    k = {"binary": 2, "regression": 1}.get(task, 3)
    rng = np.random.default_rng(5)
    said = rng.random((N, k))
    if task in ("binary", "multiclass", "ordinal"):
        said /= said.sum(axis=1, keepdims=True)
    names = feature_names(encoding, task, k, images=True)
    x = np.hstack([encoding.encode(rows), image_features(said, task)])
    fitted = fit_covariates(x, y, patients, names, task, k, seed=1, learners=["linear"])
    head = CovariateHead.model_validate(
        {"task": task, "outputs": k, "encoding": encoding, "after": ["frozen-fold0"], **fitted.head}
    )
    member = CovariateMember(open_head(head.model_dump_json(by_alias=True).encode(), where="here"))
    assert member.outputs(rows, said).shape == (N, k)
    assert list(member.contributions(rows, said)) == [*KINDS, IMAGES]
    with pytest.raises(ValueError, match="what others say"):
        member.outputs(rows)


def test_a_class_of_a_single_patient_is_learned_by_the_kind_that_can():
    rng = np.random.default_rng(0)
    y = np.zeros(30)
    y[:2] = 1
    patients = np.array([0, 0, *range(1, 29)])
    fitted = fit_covariates(rng.normal(size=(30, 2)), y, patients, ["a", "b"], "binary", 2, seed=0)
    assert fitted.kind == "boosting"
    with pytest.raises(InputError, match="fewer than two patients"):
        fit_covariates(rng.normal(size=(30, 2)), y, patients, ["a", "b"], "binary", 2, seed=0, learners=["linear"])
