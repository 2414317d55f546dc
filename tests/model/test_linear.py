import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from semeion.errors import InputError
from semeion.model.linear import Linear, LinearMember, ordered_probabilities

# At age 60 (mean 50, scale 10) and size 3 (mean 1, scale 2) both features stand one scale above their mean.
SOUND = {
    "features": ["age", "size"],
    "mean": [50.0, 1.0],
    "scale": [10.0, 2.0],
    "coefficients": [[0.0, 0.0], [1.0, 2.0]],
    "intercepts": [0.0, -1.0],
    "link": "softmax",
}


def linear(**changes):
    return Linear.model_validate({**SOUND, **changes})


def rounded(values):
    return [float(f"{value:.9g}") for value in values]


def odds(logit):
    return 1 / (1 + np.exp(-logit))


def test_each_link_by_hand():
    x = [[60.0, 3.0], [50.0, 1.0]]
    softmax = LinearMember(linear())
    np.testing.assert_allclose(softmax.outputs(x)[:, 1], odds(np.array([2.0, -1.0])))
    np.testing.assert_allclose(softmax.outputs(x).sum(axis=1), 1)
    np.testing.assert_allclose(LinearMember(linear(link="sigmoid")).outputs(x), odds(np.array([[0, 2], [0, -1]])))
    value = linear(link="identity", coefficients=[[1, 2]], intercepts=[70])
    np.testing.assert_allclose(LinearMember(value).outputs(x), [[73], [70]])
    graded = LinearMember(linear(link="ordered", coefficients=[[1, 2]], intercepts=[-1.0, 4.0]))
    np.testing.assert_allclose(graded.outputs(x)[0], [odds(-4), odds(1) - odds(-4), 1 - odds(1)])
    assert graded.linear.outputs == 3


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity", "ordered"])
def test_contributions_sum_to_the_scores(link):
    rng = np.random.default_rng(0)
    rows = 1 if link in ("identity", "ordered") else 4
    member = LinearMember(
        linear(
            features=7,
            mean=rng.normal(size=7).tolist(),
            scale=rng.uniform(0.5, 2, size=7).tolist(),
            coefficients=rng.normal(size=(rows, 7)).tolist(),
            intercepts=[-1.0, 0.5, 2.0] if link == "ordered" else rng.normal(size=rows).tolist(),
            link=link,
        )
    )
    x = rng.normal(size=(5, 7))
    start, added = member.contributions(x)
    assert added.shape == (5, 7, rows)
    np.testing.assert_allclose(start + added.sum(axis=1), member.scores(x), atol=1e-12)
    np.testing.assert_allclose((x - member.usual)[:, :, None] * member.slopes.T, added, atol=1e-12)


def test_json_round_trip_is_compact_and_says_what_is_used():
    rng = np.random.default_rng(0)
    wide = linear(
        features=3000,
        mean=rounded(rng.normal(size=3000)),
        scale=rounded(rng.uniform(1, 2, size=3000)),
        coefficients=[rounded(row) for row in rng.normal(size=(2, 3000))],
    )
    text = wide.to_json()
    assert Linear.model_validate_json(text) == wide
    assert " " not in text
    assert len(text) < 4 * 3000 * 14
    assert '"schema":1' in text


@settings(max_examples=100, deadline=None)
@given(
    score=arrays(np.float64, 4, elements=st.floats(-900, 900)),
    thresholds=st.lists(st.floats(-900, 900), min_size=1, max_size=5, unique=True),
)
def test_grades_are_probabilities_whatever_the_score(score, thresholds):
    p = ordered_probabilities(score, sorted(thresholds))
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)


def test_a_far_grade_keeps_its_digits():
    # 1 - sigmoid(40) is 4.2e-18, and would be 0 as a difference from 1
    np.testing.assert_allclose(ordered_probabilities([0.0], [39.0, 40.0])[0, 1], odds(-39) - odds(-40), rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"features": ["age", "age"]}, "a feature is named twice"),
        ({"features": 3}, "mean and scale must hold one number a feature"),
        ({"features": 0}, "greater than or equal to 1"),
        ({"features": 10**9}, "less than or equal to 40000"),
        ({"scale": [1.0]}, "mean and scale must hold one number a feature"),
        ({"scale": [1.0, 0.0]}, "scale.1"),
        ({"mean": [1e31, 0.0]}, "mean.0"),
        ({"mean": [float("nan"), 0.0]}, "finite number"),
        ({"coefficients": [[0.0, 0.0], [1.0]]}, "one number a feature in every row"),
        ({"coefficients": [[0.0, 0.0]]}, "one number a row of coefficients"),
        ({"coefficients": [[1.0, 2.0]], "intercepts": [0.0]}, "softmax needs two rows"),
        ({"link": "ordered"}, "one row of coefficients"),
        ({"link": "ordered", "coefficients": [[1.0, 2.0]], "intercepts": [1.0, 1.0]}, "must rise"),
        ({"link": "exec"}, "Input should be 'softmax'"),
        ({"schema": 2}, "Input should be 1"),
        ({"code": "import os"}, "Extra inputs are not permitted"),
    ],
)
def test_a_damaged_file_is_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        linear(**changes)


def test_the_largest_numbers_allowed_do_not_overflow():
    member = LinearMember(
        linear(mean=[-1e30] * 2, scale=[1e-30] * 2, coefficients=[[1e30] * 2, [-1e30] * 2], intercepts=[1e30, -1e30])
    )
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(member.outputs(np.full((1, 2), np.finfo(np.float32).max)), [[1, 0]])


def test_features_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit 2 features"):
        LinearMember(linear()).outputs([[1.0]])
    with pytest.raises(InputError, match="feature 'size' is not a finite number in row 1"):
        LinearMember(linear()).outputs([[1.0, 2.0], [1.0, np.nan]])
    with pytest.raises(InputError, match="feature 0 is not a finite number in row 0"):
        LinearMember(linear(features=2)).outputs([[np.inf, 2.0]])
