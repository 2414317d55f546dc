from __future__ import annotations

import builtins

import numpy as np
import pytest

from semeion.audit.label_errors import label_errors
from support.judged import judged, table


@pytest.mark.parametrize("flipped", [0.04, 0.06, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_flipped_labels_are_warned_of_and_ranked_first(flipped: float, seed: int) -> None:
    found = table(600, strength=4.0, seed=seed, flipped=flipped)
    audit = label_errors(judged(found))
    assert audit.verdict == "warn"
    turned = found.attrs["flipped"]
    first = audit.cases[: len(turned) // 2]
    assert np.mean([case in turned for case in first]) >= 0.5
    assert "contradict the model where it is sure" in audit.advice
    assert audit.figures["estimated_share"] == pytest.approx(flipped, abs=0.03)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("seed", range(5))
def test_hard_cases_are_no_warning(strength: float, seed: int) -> None:
    """A calibrated model is contradicted as often as it foretells, be it weak or strong."""
    audit = label_errors(judged(table(600, strength=strength, seed=seed)))
    assert audit.verdict in ("note", "clear")
    assert audit.figures["estimated_standard_errors"] < 2.58


def test_what_is_foretold_by_hand() -> None:
    found = table(60).assign(p_malignant=0.05, p_benign=0.95)
    found["y_true"] = ["malignant"] * 9 + ["benign"] * 51
    figures = label_errors(judged(found)).figures
    assert figures["contradicted"] == 9
    assert figures["contradicted_expected"] == pytest.approx(60 * 0.05)
    # Of 60 labels 9 have probability 0.05 where 0.15 is seen: e solves 0.05 (1 - e) + 0.95 e = 0.15.
    assert figures["estimated_share"] == pytest.approx(0.1 / 0.9, abs=1e-9)
    ratio = 9 * np.log(0.15 / 0.05) + 51 * np.log(0.85 / 0.95)
    assert figures["estimated_standard_errors"] == pytest.approx(np.sqrt(2 * ratio))


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
