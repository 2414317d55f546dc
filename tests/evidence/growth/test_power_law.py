"""The inverse power law: exact where it is exact, as scipy finds it where it is not, refused without ground."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from semeion.evidence.growth.measure import Points
from semeion.evidence.growth.power_law import fit_law, fit_points

SIZES = np.array([20.0, 40.0, 80.0, 160.0, 320.0, 640.0])


def law(n, a, b, c):
    return a + b * n**-c


def points(values, sd=0.004, common=0.02, sizes=SIZES):
    rng = np.random.default_rng(0)
    drawn = values + sd * rng.standard_normal((500, len(values))) + common * rng.standard_normal((500, 1))
    return Points(sizes, np.asarray(values), np.full(len(values), sd), drawn, drawn[:, -1])


@pytest.mark.parametrize(("a", "b", "c"), [(0.05, 0.9, 0.5), (0.0, 0.6, 0.2), (0.2, 3.0, 1.1)])
def test_an_exact_law_is_found(a, b, c):
    found = fit_law(SIZES, law(SIZES, a, b, c)[None], np.ones(6))
    beyond = np.array([1280.0, 2560.0])
    assert found.error(beyond)[0] == pytest.approx(law(beyond, a, b, c), abs=0.003)


def test_noisy_points_are_fitted_as_well_as_by_scipy():
    rng = np.random.default_rng(3)
    weights = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    for _ in range(6):
        errors = law(SIZES, 0.1, 0.8, 0.5) + rng.normal(0, 0.03, 6) / np.sqrt(weights)
        mine = fit_law(SIZES, errors[None], weights)
        theirs, _ = curve_fit(
            law, SIZES, errors, p0=(0.1, 1.0, 0.5), sigma=1 / np.sqrt(weights), bounds=((0, 0, 0.05), (1, 1e4, 2)),
            maxfev=20000,
        )  # fmt: skip
        lost = [((errors - fit) ** 2 * weights).sum() for fit in (mine.error(SIZES)[0], law(SIZES, *theirs))]
        assert lost[0] <= lost[1] * 1.02 + 1e-9
        assert (mine.a >= 0).all()
        assert (mine.b >= 0).all()


def test_a_rising_error_becomes_a_level_line():
    found = fit_law(SIZES, np.linspace(0.1, 0.2, 6)[None], np.ones(6))
    assert found.error(np.array([10.0, 1e6]))[0] == pytest.approx(0.15, abs=1e-9)


def test_a_curve_that_falls_is_carried_on_to_four_times_with_a_band_that_holds_it():
    fitted = fit_points(points(1 - law(SIZES, 0.1, 0.9, 0.5)), "auroc")
    assert (fitted.refused, fitted.reach) == ("", 4.0)
    value, low, high = fitted.at(np.array([2560.0]))
    assert low[0] < 1 - law(2560.0, 0.1, 0.9, 0.5) < high[0]
    gain, least, most = fitted.change(640.0, 1280.0)
    assert least <= gain <= most
    assert most - least < high[0] - low[0], "who is scored is the same now and later"
    assert value[0] == pytest.approx(1 - law(2560.0, 0.1, 0.9, 0.5), abs=0.01)


def test_an_error_is_carried_on_downwards():
    fitted = fit_points(points(law(SIZES, 2.0, 30.0, 0.5), sd=0.05, common=0.2), "mae")
    assert fitted.reach == 4.0
    assert fitted.change(640.0, 1280.0)[0] < 0


@pytest.mark.parametrize(
    ("values", "sd", "sizes", "words"),
    [
        (np.full(6, 0.8), 0.004, SIZES, "does not get better beyond chance"),
        (1 - law(SIZES, 0.1, 0.9, 0.5), 0.4, SIZES, "does not get better beyond chance"),
        (np.array([0.6, 0.8, 0.7, 0.8, 0.85, 0.9]), 0.004, SIZES, "from 40 to 80 patients the figure gets worse"),
        (np.array([0.6, 0.7, 0.8]), 0.004, SIZES[:3], "goes through any three"),
    ],
)
def test_a_curve_without_ground_is_not_carried_on(values, sd, sizes, words):
    fitted = fit_points(points(values, sd, sizes=sizes), "auroc")
    assert words in fitted.refused
    assert fitted.reach == 1.0
