from __future__ import annotations

import builtins

import numpy as np
import pytest

from semeion.audit.label_errors import label_errors
from support.judged import judged, table


@pytest.mark.parametrize("flipped", [0.04, 0.06, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_flipped_labels_are_warned_of_and_ranked_first(flipped: float, seed: int) -> None:
    found = table(600, strength=8.0, seed=seed, flipped=flipped)
    audit = label_errors(judged(found))
    assert audit.verdict == "warn"
    turned = found.attrs["flipped"]
    first = audit.cases[: len(turned) // 2]
    assert np.mean([case in turned for case in first]) >= 0.5
    assert "contradict the model as often where it is surest as anywhere" in audit.advice
    assert audit.figures["estimated_share"] == pytest.approx(flipped, abs=0.04)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("seed", range(5))
def test_hard_cases_are_no_warning(strength: float, seed: int) -> None:
    """A calibrated model is contradicted as often as it foretells, be it weak or strong."""
    audit = label_errors(judged(table(600, strength=strength, seed=seed)))
    assert audit.verdict in ("note", "clear")
    assert audit.figures["estimated_standard_errors"] < 2.33


@pytest.mark.parametrize("slope", [0.4, 3.0])
@pytest.mark.parametrize("moved", [-1.5, 1.5])
def test_a_model_that_is_too_sure_or_off_everywhere_is_no_warning(slope: float, moved: float) -> None:
    found = table(600, strength=3.0, seed=2)
    p = 1 / (1 + np.exp(-(slope * np.log(found["p_malignant"] / found["p_benign"]) + moved)))
    audit = label_errors(judged(found.assign(p_malignant=p, p_benign=1 - p)))
    assert audit.verdict in ("note", "clear")
    flipped = table(600, strength=8.0, seed=2, flipped=0.08)
    p = 1 / (1 + np.exp(-(slope * np.log(flipped["p_malignant"] / flipped["p_benign"]) + moved)))
    audit = label_errors(judged(flipped.assign(p_malignant=p, p_benign=1 - p)))
    assert audit.verdict == "warn"


@pytest.mark.parametrize("flipped", [0.05, 0.1])
def test_a_model_calibrated_on_the_wrong_labels_does_not_hide_them(flipped: float) -> None:
    """It foretells as many contradictions as there are."""
    from semeion.evidence.calibration.slope import logistic

    found = table(800, strength=8.0, seed=1, flipped=flipped)
    y, p = (found["y_true"] == "malignant").to_numpy(), found["p_malignant"].to_numpy()
    slope, intercept = logistic(y, p)(np.ones((1, len(y))))[0][:2]
    p = 1 / (1 + np.exp(-(intercept + slope * np.log(p / (1 - p)))))
    audit = label_errors(judged(found.assign(p_malignant=p, p_benign=1 - p)))
    assert audit.verdict == "warn"
    assert audit.figures["estimated_share"] == pytest.approx(flipped, abs=0.03)
    assert 0 < audit.figures["estimated_share_low"] < audit.figures["estimated_share"]


def test_what_is_foretold_by_hand() -> None:
    found = table(60).assign(p_malignant=0.05, p_benign=0.95)
    found["y_true"] = ["malignant"] * 9 + ["benign"] * 51
    figures = label_errors(judged(found)).figures
    assert figures["contradicted"] == 9
    assert figures["contradicted_expected"] == pytest.approx(60 * 0.05)
    # One probability for all: an offset explains them, and nothing is known of wrong labels.
    assert figures["estimated_share_low"] == 0
    assert figures["estimated_standard_errors"] == pytest.approx(0, abs=1e-3)


def test_too_few_cases_are_not_looked_at() -> None:
    audit = label_errors(judged(table(30)))
    assert (audit.verdict, audit.tier) == ("not_run", "train")
    assert "50 cases and 5 of each class are needed" in audit.advice


def test_without_cleanlab_it_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *given: object, **named: object) -> object:
        if name.startswith("cleanlab"):
            raise ImportError(name)
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    audit = label_errors(judged(table(100)))
    assert audit.verdict == "not_run"
    assert "pip install 'semeion[train]'" in audit.advice
