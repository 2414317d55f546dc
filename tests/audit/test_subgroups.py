from __future__ import annotations

import numpy as np
import pytest

from semeion.audit.subgroups import subgroup_gap
from support.judged import judged, known, table, wrongly_sure


def sexes(n: int) -> np.ndarray:
    return np.where(np.arange(n) % 3 == 0, "female", "male")


@pytest.mark.parametrize("by", [0.6, 0.8, 1.0])
def test_a_subgroup_that_fares_worse_is_named(by: float) -> None:
    found = table(600, strength=3.0)
    sex = sexes(600)
    rows = np.flatnonzero(sex == "female")[::2]  # half of them
    audit = subgroup_gap(judged(wrongly_sure(found, rows, by), known(found, sex=sex)))
    assert audit.verdict == "warn"
    assert "where sex is female (200 cases)" in audit.advice
    entry = audit.figures["sex=female: AUROC"]
    assert entry["low"] < entry["difference"] < entry["high"] < 0
    assert entry["difference"] == pytest.approx(entry["here"] - entry["elsewhere"])


def test_chance_seldom_warns() -> None:
    """Of 15 cohorts without a gap and three columns each, with a family-wise rate of 5 %: at most three warnings."""
    warned = 0
    for seed in range(15):
        found = table(200, strength=2.0, seed=seed)
        stream = np.random.default_rng(seed)
        columns = {name: stream.integers(0, 2, 200).astype(str) for name in ("sex", "site", "scanner")}
        warned += subgroup_gap(judged(found, known(found, **columns))).verdict == "warn"
    assert warned <= 3


def test_without_columns_or_with_small_groups_it_is_not_run() -> None:
    found = table(200)
    assert subgroup_gap(judged(found)).verdict == "not_run"
    few = known(found, site=["a"] * 190 + ["b"] * 10)
    audit = subgroup_gap(judged(found, few))
    assert audit.verdict == "not_run"
    assert "Bring sex, age, site or scanner" in audit.advice


def test_columns_that_may_be_answers_are_no_subgroups() -> None:
    found = table(300)
    columns = known(found, sex=sexes(300), lesion_score=np.arange(300.0), Patient_Age=np.arange(300.0))
    names = {name.split("=")[0] for name in subgroup_gap(judged(found, columns)).figures if "=" in name}
    assert names == {"sex", "Patient_Age"}
    asked = subgroup_gap(judged(found, columns, ("lesion_score",)))
    assert any(name.startswith("lesion_score=") for name in asked.figures)


def test_all_comparisons_are_adjusted_for() -> None:
    found = table(300)
    audit = subgroup_gap(judged(found, known(found, sex=sexes(300), age=np.arange(300.0))))
    # Two sexes and four quarters of age, each by AUROC, sensitivity and specificity.
    assert audit.figures["adjusted_for"] == 18


def test_all_found_in_a_handful_is_no_gap() -> None:
    """Five of five positives found, and 80 % of many elsewhere: chance does that in a third of such cohorts."""
    found = table(600).assign(p_malignant=0.1, p_benign=0.9)
    y = np.arange(600) % 2
    p = np.where(y == 1, np.where(np.arange(600) % 10 < 2, 0.2, 0.8), 0.1)
    sex = np.where(np.arange(600) < 590, "male", "female")
    sex[:30] = np.where(y[:30] == 0, "female", sex[:30])
    p[590:] = np.where(y[590:] == 1, 0.9, 0.1)
    found = found.assign(y_true=np.where(y == 1, "malignant", "benign"), p_malignant=p, p_benign=1 - p)
    assert subgroup_gap(judged(found, known(found, sex=sex))).verdict != "warn"


def test_none_found_here_and_all_elsewhere_is_a_gap() -> None:
    y = np.arange(240) % 2
    sex = np.where(np.arange(240) < 120, "male", "female")
    p = np.where(y == 1, np.where(sex == "female", 0.2, 0.9), 0.1)
    found = table(240).assign(y_true=np.where(y == 1, "malignant", "benign"), p_malignant=p, p_benign=1 - p)
    audit = subgroup_gap(judged(found, known(found, sex=sex)))
    assert audit.verdict == "warn"
    assert "Sensitivity 0.000 where sex is female" in audit.advice
