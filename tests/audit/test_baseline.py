from __future__ import annotations

import numpy as np
import pytest

from semeion.audit.baseline import covariate_features, trivial_baseline
from support.judged import judged, known, table


def test_a_good_model_is_clear() -> None:
    found = table(400, strength=3.0)
    age = np.random.default_rng(9).normal(60, 10, 400)
    audit = trivial_baseline(judged(found, known(found, age=age), ("age",)))
    assert audit.verdict == "clear"
    assert audit.figures["brier_skill_low"] > 0
    assert audit.figures["gain_over_covariates_low"] > 0
    assert "the class balance and age" in audit.advice


@pytest.mark.parametrize("share", [1.0, 0.95, 0.9])
def test_a_model_that_says_only_what_age_says_is_warned_of(share: float) -> None:
    """Age tells what the model tells; with less of it, the images must not be shown to add."""
    found = table(400, strength=1.5)
    logit = np.log(found["p_malignant"] / found["p_benign"]).to_numpy()
    noise = np.random.default_rng(9).normal(0, 1.5, 400)
    age = 60 + 10 * (share * logit + (1 - share) * noise)
    audit = trivial_baseline(judged(found, known(found, age=age), ("age",)))
    assert audit.verdict == "warn"
    assert "is not shown to tell more than age (AUROC" in audit.advice


def test_noise_is_no_better_than_chance() -> None:
    found = table(200)
    found["y_true"] = np.random.default_rng(5).permutation(found["y_true"])
    audit = trivial_baseline(judged(found))
    assert audit.verdict == "warn"
    assert "no better than chance" in audit.advice
    assert audit.figures["classic_network"] == "not compared"


def test_the_brier_skill_is_against_the_share_of_each_class() -> None:
    found = table(300)
    y = (found["y_true"] == "malignant").to_numpy(float)
    brier, trivial = np.mean((found["p_malignant"] - y) ** 2), y.mean() * (1 - y.mean())
    assert trivial_baseline(judged(found)).figures["brier_skill"] == pytest.approx(1 - brier / trivial)


def test_covariates_are_numbers_or_few_words() -> None:
    found = table(40)
    columns = known(
        found,
        age=np.arange(40.0),
        sex=["f", None] * 20,
        name=[f"n{k}" for k in range(40)],
        same=[1.0] * 40,
    )
    names, values = covariate_features(columns, ("age", "sex", "name", "same", "absent"))
    assert names == ["age"]
    columns["sex"] = ["f", "m"] * 20
    names, values = covariate_features(columns, ("age", "sex"))
    assert names == ["age", "sex"]
    assert values.shape == (40, 3)
    assert covariate_features(columns, ("name",)) is None
