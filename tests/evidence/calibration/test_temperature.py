from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from semeion.calibration import apply_temperature
from semeion.errors import InputError
from semeion.evidence.calibration.temperature import fit_temperature


def drawn(n: int, k: int, factor: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from softmax(z), and the probabilities softmax(factor * z)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=1.5, size=(n, k))
    true = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (rng.random((n, 1)) > np.cumsum(true, axis=1)).sum(axis=1).clip(max=k - 1)
    raw = np.exp(factor * z)
    return y, raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_that_spoiled_the_probabilities_is_found(k: int, factor: float) -> None:
    y, raw = drawn(20000, k, factor)
    fitted = fit_temperature(y, raw)
    assert fitted.value == pytest.approx(factor, rel=0.05)
    assert (fitted.n, fitted.reason) == (20000, "")


@pytest.mark.parametrize("k", [2, 4])
def test_no_other_temperature_has_less_loss(k: int) -> None:
    y, raw = drawn(200, k, 2.5, seed=3)
    best = fit_temperature(y, raw).value

    def loss(t: float) -> float:
        return float(log_loss(y, apply_temperature(raw, t), labels=range(k)))

    assert all(loss(best) <= loss(t) for t in [*np.geomspace(0.05, 20, 300), best * 1.001, best * 0.999])


def test_certain_probabilities_do_not_break_the_fit() -> None:
    y = np.array([0, 1] * 20)
    raw = np.eye(2)[y]
    raw[:4] = raw[:4, ::-1]
    fitted = fit_temperature(y, raw)
    # 36 of 40 are right, each claimed with a logit of 16.1: the best one is log(36 / 4).
    assert fitted.value == pytest.approx(np.log((1 - 1e-7) / 1e-7) / np.log(9), rel=1e-6)


@pytest.mark.parametrize(
    ("y", "p", "value", "reason"),
    [
        ([0, 1] * 9, [0.4, 0.3] * 9, 1, "only 18 labelled cases, fewer than 20: not calibrated"),
        ([1] * 30, [0.4] * 30, 1, "one class only among the cases: not calibrated"),
        ([0, 1] * 20, [0.5] * 40, 1, "every class has the same probability in every case: not calibrated"),
        (
            [0, 1] * 20,
            [0.4, 0.6] * 20,
            1,
            "the classes are separated on these cases, no temperature is best: not calibrated",
        ),
        ([0, 1] * 20, [0.9, 0.1] * 20, 20, "the probabilities say little about the truth: temperature at 20"),
        (
            [0, 1] * 20 + [0],
            [0.49999, 0.50001] * 20 + [0.50001],
            0.05,
            "the probabilities are far too cautious: temperature at 0.05",
        ),
    ],
)
def test_where_it_cannot_be_fitted_it_says_so(y: list[int], p: list[float], value: float, reason: str) -> None:
    fitted = fit_temperature(y, np.column_stack([1 - np.array(p), p]))
    assert (fitted.value, fitted.reason) == (value, reason)


@pytest.mark.parametrize(
    ("y", "raw", "message"),
    [
        ([0, 1], [0.5, 0.5], "calibration: (2,) labels for probabilities of shape (2,); give one label a case"),
        ([0, 2], [[0.5, 0.5]] * 2, "calibration: class index outside 0 to 1; number the classes in their order"),
        ([0, 1], [[np.nan, 0.5]] * 2, "calibration: a probability is not a number; leave out failed cases"),
    ],
)
def test_unusable_input_is_refused(y: list[int], raw: list[object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        fit_temperature(y, raw)  # type: ignore[arg-type]
    assert message in str(caught.value)
