from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semeion.audit.shift import calibration_shift
from support.judged import judged, known, table


def moved(by: float = 0.0, slope: float = 1.0, *, all_by: float = 0.0, all_slope: float = 1.0, n: int = 900, seed=0):
    """Return predictions and columns; at the third of the sites odds are off by ``exp(by)`` and the slope is `slope`.

    `all_by` and `all_slope` are of every site.
    """
    found = table(n, seed=seed)
    site = np.array(["north", "east", "south"])[np.arange(n) % 3]
    here = site == "south"
    logit = np.log(found["p_malignant"] / found["p_benign"])
    logit = (logit - all_by) / all_slope
    logit = np.where(here, (logit - by) / slope, logit)
    p = 1 / (1 + np.exp(-logit))
    return found.assign(p_malignant=p, p_benign=1 - p), known(found, site=site)


@pytest.mark.parametrize("by", [1.0, -1.2, 2.0])
@pytest.mark.parametrize("all_by", [0.0, 1.5])
def test_a_site_with_other_odds_than_the_others_is_named(by: float, all_by: float) -> None:
    audit = calibration_shift(judged(*moved(by, all_by=all_by)))
    assert audit.verdict == "warn"
    assert "t south the odds are" in audit.advice
    assert "at north" not in audit.advice.lower()
    entry = audit.figures["site=south"]
    assert entry["intercept_difference_low"] < by < entry["intercept_difference_high"]
    assert entry["intercept_p_adjusted"] < 0.01
    # Recalibrated on the others, what is left is the shift.
    assert entry["left_out_intercept"] == pytest.approx(by, abs=0.5)


@pytest.mark.parametrize("slope", [0.4, 2.5])
def test_a_site_with_another_slope_is_named(slope: float) -> None:
    audit = calibration_shift(judged(*moved(slope=slope, n=1800)))
    assert audit.verdict == "warn"
    assert f"the calibration slope is {audit.figures['site=south']['slope']:.2g}, and" in audit.advice
    assert ("less extreme" if slope > 1 else "more extreme") in audit.advice
    entry = audit.figures["site=south"]
    assert entry["slope_low"] < slope < entry["slope_high"]
    assert entry["left_out_slope"] == pytest.approx(slope, rel=0.25)
    assert audit.figures["site=north"]["slope_low"] < 1 < audit.figures["site=north"]["slope_high"]


@pytest.mark.parametrize(("by", "slope"), [(1.5, 1.0), (-2.0, 1.0), (0.0, 0.4), (1.0, 2.5)])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_off_everywhere_alike_is_no_shift(by: float, slope: float, seed: int) -> None:
    audit = calibration_shift(judged(*moved(all_by=by, all_slope=slope, seed=seed)))
    assert audit.verdict == "note"
    assert "that is no shift, but see calibration" in audit.advice
    assert audit.figures["all"]["slope_low"] < slope < audit.figures["all"]["slope_high"]


def test_alike_sites_are_clear() -> None:
    audit = calibration_shift(judged(*moved()))
    assert audit.verdict == "clear"
    assert "where least is known the odds could by a factor of 1." in audit.advice
    assert audit.figures["comparisons"] == 6


def test_chance_warns_seldom() -> None:
    verdicts = [calibration_shift(judged(*moved(seed=seed, n=300))).verdict for seed in range(30)]
    assert verdicts.count("warn") <= 1


def test_two_sites_are_one_comparison_and_the_one_that_is_off_is_named() -> None:
    found, columns = moved(1.5)
    columns["site"] = columns["site"].replace("east", "north")
    audit = calibration_shift(judged(found, columns))
    assert audit.verdict == "warn"
    assert audit.figures["comparisons"] == 2
    assert audit.advice.startswith("At south the odds are")
    here, there = audit.figures["site=south"], audit.figures["site=north"]
    assert here["intercept_difference"] == pytest.approx(-there["intercept_difference"], abs=1e-6)
    assert here["intercept_p_adjusted"] == there["intercept_p_adjusted"]


def test_figures_are_those_of_a_logistic_regression() -> None:
    from scipy.optimize import minimize

    found, columns = moved(1.0, 1.4)
    south = (columns["site"] == "south").to_numpy()
    y = (found["y_true"] == "malignant").to_numpy()[south]
    x = np.log(found["p_malignant"] / found["p_benign"]).to_numpy()[south]

    def loss(at: np.ndarray) -> float:
        eta = at[0] + at[1] * x
        return float(np.sum(np.logaddexp(0, eta) - y * eta))

    entry = calibration_shift(judged(found, columns)).figures["site=south"]
    assert entry["slope"] == pytest.approx(minimize(loss, [0.0, 1.0], tol=1e-10).x[1], abs=1e-4)
    held = minimize(lambda at: loss(np.array([at[0], 1.0])), [0.0], tol=1e-10).x[0]
    assert entry["intercept"] == pytest.approx(held, abs=1e-4)


def test_cases_of_one_patient_widen_the_intervals() -> None:
    found, columns = moved(1.0)
    alone = calibration_shift(judged(found, columns)).figures["site=south"]
    few = found.assign(patient_id=[f"p{k // 12}.{k % 3}" for k in range(len(found))])
    crowded = calibration_shift(judged(few, columns)).figures["site=south"]
    widths = [one["intercept_high"] - one["intercept_low"] for one in (alone, crowded)]
    assert widths[1] == pytest.approx(2 * widths[0], rel=1e-6)


def test_classes_that_do_not_overlap_have_no_slope_and_say_why() -> None:
    found, columns = moved()
    here = (columns["site"] == "south").to_numpy()
    sure = np.where(found["y_true"] == "malignant", 0.9, 0.1)
    p = np.where(here, sure, found["p_malignant"])
    entry = calibration_shift(judged(found.assign(p_malignant=p, p_benign=1 - p), columns)).figures["site=south"]
    assert entry["slope"] is None
    assert entry["slope_reason"] == "the classes hardly overlap"


def test_without_sites_it_is_not_run() -> None:
    found, columns = moved()
    assert calibration_shift(judged(found, columns.assign(site="north"))).verdict == "not_run"
    assert "no column 'site'" in calibration_shift(judged(found)).advice
    few = columns.assign(site=pd.Series(["north"] * (len(found) - 10) + ["south"] * 10))
    assert "Fewer than two levels" in calibration_shift(judged(found, few)).advice
