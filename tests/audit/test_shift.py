from __future__ import annotations

import numpy as np
import pytest

from semeion.audit.shift import calibration_shift
from support.judged import judged, known, table


def shifted(by: float, n: int = 600):
    """Return predictions whose odds are off by ``exp(by)`` at the second site."""
    found = table(n)
    site = np.where(np.arange(n) % 2 == 0, "north", "south")
    logit = np.log(found["p_malignant"] / found["p_benign"]) - by * (site == "south")
    p = 1 / (1 + np.exp(-logit))
    return found.assign(p_malignant=p, p_benign=1 - p), known(found, site=site)


@pytest.mark.parametrize("by", [0.8, 1.2, 2.0])
def test_a_site_with_other_odds_is_named(by: float) -> None:
    audit = calibration_shift(judged(*shifted(by)))
    assert audit.verdict == "warn"
    assert "At south the odds are" in audit.advice
    entry = audit.figures["site=south"]
    assert entry["low"] < by < entry["high"]
    assert audit.figures["site=north"]["low"] < 0 < audit.figures["site=north"]["high"]


def test_the_intercept_is_that_of_a_logistic_regression() -> None:
    from scipy.optimize import minimize_scalar

    found, columns = shifted(1.0)
    south = (columns["site"] == "south").to_numpy()
    y = (found["y_true"] == "malignant").to_numpy()[south]
    logit = np.log(found["p_malignant"] / found["p_benign"]).to_numpy()[south]
    best = minimize_scalar(lambda a: np.sum(np.logaddexp(0, logit + a) - y * (logit + a)))
    entry = calibration_shift(judged(found, columns)).figures["site=south"]
    assert entry["intercept"] == pytest.approx(best.x, abs=1e-6)


def test_alike_sites_are_clear_and_one_site_is_not_run() -> None:
    found, columns = shifted(0.0)
    alike = calibration_shift(judged(found, columns))
    assert alike.verdict == "clear"
    assert "they could be by a factor of 1." in alike.advice
    assert calibration_shift(judged(found, columns.assign(site="north"))).verdict == "not_run"
    audit = calibration_shift(judged(found))
    assert audit.verdict == "not_run"
    assert "no column 'site'" in audit.advice
