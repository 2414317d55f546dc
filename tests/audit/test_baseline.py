from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from semeion.audit.baseline import covariate_features, trivial_baseline
from semeion.audit.judged import judge
from semeion.audit.luck import seed_luck
from semeion.evidence.question import Question
from semeion.evidence.table import validate_predictions
from support.judged import judged, known, table


def beside(found: pd.DataFrame, noise: float, seed: int = 3) -> pd.DataFrame:
    """Return predictions with those of a classic network, in another order: noisier in the logit, or surer of the
    truth.
    """
    stream = np.random.default_rng(seed)
    logit = np.log(found["p_malignant"] / found["p_benign"])
    truth = (found["y_true"] == "malignant").to_numpy()
    logit += np.where(truth, -noise, noise) if noise < 0 else stream.normal(0, noise, len(found))
    p = 1 / (1 + np.exp(-logit))
    classic = found.assign(member="classic", p_malignant=p, p_benign=1 - p)
    return pd.concat([found, classic.sample(frac=1, random_state=seed)], ignore_index=True)


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


def test_a_weaker_classic_network_is_named_with_the_paired_difference() -> None:
    found = table(400, strength=2.0)
    both = beside(found, 4.0)
    audit = trivial_baseline(judged(both))
    assert audit.verdict == "clear"
    assert audit.advice == "The model is better than the class balance and the classic small network."
    truth = found["y_true"] == "malignant"
    other = both[both["member"] == "classic"].set_index("case_id").loc[found["case_id"], "p_malignant"]
    classic = roc_auc_score(truth, other)
    assert audit.figures["classic_network"] == "compared"
    assert audit.figures["classic_auroc"] == pytest.approx(classic)
    gain = roc_auc_score(truth, found["p_malignant"]) - classic
    assert audit.figures["gain_over_classic"] == pytest.approx(gain)
    assert 0 < audit.figures["gain_over_classic_low"] < gain < audit.figures["gain_over_classic_high"]


def test_a_classic_network_as_good_as_the_model_is_a_note_and_a_better_one_a_warning() -> None:
    found = table(400, strength=2.0)
    equal = trivial_baseline(judged(beside(found, 0.05)))
    assert equal.verdict == "note"
    assert "not shown to be better than the classic small network (AUROC 0." in equal.advice
    better = trivial_baseline(judged(beside(found, -1.0)))
    assert better.verdict == "warn"
    assert better.figures["gain_over_classic_high"] < 0
    assert "the classic small network is better than the model" in better.advice


def test_no_better_than_chance_is_warned_of_whatever_the_classic_network_does() -> None:
    found = table(200)
    found["y_true"] = np.random.default_rng(5).permutation(found["y_true"])
    audit = trivial_baseline(judged(beside(found, 1.0)))
    assert audit.verdict == "warn"
    assert "no better than chance" in audit.advice


def test_a_classic_network_that_did_not_see_every_case_is_not_compared() -> None:
    both = beside(table(100, strength=3.0), 4.0)
    audit = trivial_baseline(judged(both.drop(index=both.index[-1])))
    assert audit.figures["classic_network"] == "not compared"
    assert "gain_over_classic" not in audit.figures


def test_the_classic_network_is_no_member() -> None:
    found = table(200)
    members = [found.assign(member=name) for name in ("seed0", "seed1", "seed2")]
    one = judged(pd.concat([beside(found, 4.0), *members], ignore_index=True))
    assert sorted(one.members) == ["seed0", "seed1", "seed2"]
    assert seed_luck(one).figures["number"] == 3
    assert seed_luck(one).figures["auroc_sd"] == pytest.approx(0.0)


def test_measured_values_are_compared_by_r2() -> None:
    stream = np.random.default_rng(1)
    y = stream.normal(20, 5, 200)
    base = pd.DataFrame({"case_id": [f"c{k}" for k in range(200)], "split": "test", "fold": -1, "target": "size"})
    base = base.assign(patient_id=base["case_id"], y_true=y)
    own, other = y + stream.normal(0, 2, 200), y + stream.normal(0, 4, 200)
    rows = pd.concat([base.assign(member="ensemble", y_pred=own), base.assign(member="classic", y_pred=other)])
    question = Question("size", "regression")
    audit = trivial_baseline(*judge(validate_predictions(rows, question), question, None))
    assert audit.verdict == "clear"
    assert "the mean of these cases and the classic small network" in audit.advice
    assert audit.figures["gain_over_classic"] == pytest.approx(r2_score(y, own) - r2_score(y, other))
