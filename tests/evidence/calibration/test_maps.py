from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from semeion.calibration import apply_temperature, logit
from semeion.calibration.maps import TILT, map_from_json
from semeion.errors import InputError
from semeion.evidence.calibration.maps import MAPS, fit_beta, fit_isotonic, fit_one_temperature, fit_platt
from semeion.evidence.calibration.temperature import fit_temperature


def drawn(n: int = 400, seed: int = 0, slope: float = 0.5, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Truth drawn from sigmoid(slope * z + shift), probabilities sigmoid(z)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=2, size=n)
    return (rng.random(n) < 1 / (1 + np.exp(-slope * z - shift))).astype(int), 1 / (1 + np.exp(-z))


def targets(y: np.ndarray) -> np.ndarray:
    return np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / ((1 - y).sum() + 2))


class Logit(ClassifierMixin, BaseEstimator):
    """A classifier whose decision is the logit of the only feature."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Logit:
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return logit(x[:, 0])

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classes_[(self.decision_function(x) > 0).astype(int)]


def test_platt_is_scikit_learn_s_sigmoid_on_the_logit() -> None:
    y, p = drawn()
    fitted = CalibratedClassifierCV(FrozenEstimator(Logit().fit(p[:, None], y)), method="sigmoid").fit(p[:, None], y)
    np.testing.assert_allclose(fit_platt(y, p).apply(p), fitted.predict_proba(p[:, None])[:, 1], atol=1e-5)


def test_platt_and_beta_have_the_greatest_likelihood() -> None:
    y, p = drawn()
    t = targets(y)
    for design, found in (
        (np.column_stack([logit(p)]), fit_platt(y, p)),
        (np.column_stack([np.log(p), -np.log1p(-p)]), fit_beta(y, p)),
    ):
        # A soft target is a case of each class with these weights.
        twice = LogisticRegression(C=1e12, tol=1e-12, max_iter=10000).fit(
            np.vstack([design, design]), np.repeat([1, 0], len(y)), sample_weight=np.concatenate([t, 1 - t])
        )
        coefficients = list(vars(found).values())
        np.testing.assert_allclose(coefficients, [*twice.coef_[0], twice.intercept_[0]], atol=2e-4)


@pytest.mark.parametrize("seed", range(6))
def test_the_fit_is_not_stopped_where_the_rounding_of_the_loss_hides_the_way(seed: int) -> None:
    """The slope of the likelihood is 0 to the last digits: losses near its top differ by less than they are rounded."""
    y, p = drawn(120, seed)
    for design, found in (
        (np.column_stack([logit(p), np.ones(120)]), fit_platt(y, p)),
        (np.column_stack([np.log(p), -np.log1p(-p), np.ones(120)]), fit_beta(y, p)),
    ):
        values = np.array(list(vars(found).values()))
        free = values != 0  # a slope that is held at 0 has a slope of its own
        rest = design.T @ (targets(y) - 1 / (1 + np.exp(-design @ values)))
        assert np.abs(rest[free]).max() < 2e-12


def test_beta_sets_a_slope_below_zero_to_zero() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    # The truth depends on log(p) rising and on -log(1 - p) falling: the free fit has b < 0.
    y = (rng.random(4000) < 1 / (1 + np.exp(-(2 * np.log(p) + 0.7 * np.log1p(-p) + 2)))).astype(int)
    found = fit_beta(y, p)
    assert found.b == 0
    assert found.a > 0
    mirrored = fit_beta(1 - y, 1 - p)
    assert (mirrored.a, mirrored.b, mirrored.c) == pytest.approx((0, found.a, -found.c), abs=1e-6)


def test_temperature_is_the_shipped_one() -> None:
    y, p = drawn(shift=0)
    both = np.column_stack([1 - p, p])
    found = fit_one_temperature(y, p)
    assert found.value == fit_temperature(y, both).value
    np.testing.assert_allclose(found.apply(p), apply_temperature(both, found.value)[:, 1], atol=1e-12)
    np.testing.assert_array_equal(found.apply(both), apply_temperature(both, found.value))


@pytest.mark.parametrize("grid", [10, 10**6])
def test_isotonic_is_scikit_learn_s_drawn_in_to_platt_s_targets(grid: int) -> None:
    y, p = drawn()
    p = np.round(p * grid) / grid
    found, t = fit_isotonic(y, p), targets(y)
    wanted = np.linspace(0, 1, 501)
    regressed = (found.apply(wanted) - TILT * wanted) / (1 - TILT)
    expected = IsotonicRegression(out_of_bounds="clip").fit(p, t).predict(wanted)
    np.testing.assert_allclose(regressed, expected, atol=1e-9)
    plain = IsotonicRegression(out_of_bounds="clip").fit(p, y).predict(wanted)
    np.testing.assert_allclose(regressed, t.min() + (t.max() - t.min()) * plain, atol=1e-9)
    assert 0 < min(found.y) <= max(found.y) < 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 50, 10**6]), st.sampled_from(["platt", "beta", "isotonic"]))
def test_every_fitted_map_rises_and_can_be_written_down(seed: int, grid: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(60) ** 2 * grid) / grid
    y = (rng.random(60) < p).astype(int)
    try:
        found = MAPS[kind].fit(y, p)
    except InputError as error:
        assert "rank" in str(error) or "one class" in str(error) or "same" in str(error)
        return
    at = np.unique(np.append(rng.random(50), [0, 1]))
    values = found.apply(at)
    assert ((values >= 0) & (values <= 1)).all()
    assert (np.diff(values) > 0).all(), "the order of cases is kept, and none become equal"
    again = map_from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    np.testing.assert_array_equal(again.apply(at), values)


def test_separated_classes_and_certain_probabilities_have_a_finite_fit() -> None:
    y, p = np.repeat([0, 1], 30), np.repeat([0.0, 1.0], 30)
    for kind in ("platt", "beta", "isotonic"):
        values = MAPS[kind].fit(y, p).apply(p)
        # The best fit to Platt's targets is the targets.
        np.testing.assert_allclose(values, targets(y), atol=TILT if kind == "isotonic" else 1e-6)


@pytest.mark.parametrize("kind", ["platt", "beta", "isotonic"])
@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        (
            [0, 1] * 9,
            [0.4, 0.6] * 9,
            "recalibration: only 18 cases, fewer than 20; leave the probabilities as they are",
        ),
        ([1] * 30, [0.4] * 30, "one class only among the cases"),
        ([0, 1] * 15, [0.4] * 30, "every case has the same probability"),
        ([0, 1] * 15, [0.6, 0.4] * 15, "the probabilities do not rank these cases the right way"),
        ([0, 1] * 15, [0.6] * 29, "(30,) labels for probabilities of shape (29,)"),
        ([0, 2] * 15, [0.6] * 30, "a label is neither 0 nor 1"),
        ([0, 1] * 15, [0.6, np.nan] * 15, "a probability is not between 0 and 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(kind: str, y: list[int], p: list[float], message: str) -> None:
    with pytest.raises(InputError) as caught:
        MAPS[kind].fit(y, p)
    assert message in str(caught.value)


def test_a_temperature_that_stays_one_says_why() -> None:
    with pytest.raises(InputError, match="one class only among the cases: not calibrated"):
        fit_one_temperature([1] * 30, np.linspace(0.1, 0.9, 30))
