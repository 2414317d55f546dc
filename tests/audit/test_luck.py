from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semeion.audit.judged import judge, without_teachers
from semeion.audit.luck import readings_of_test, seed_luck
from semeion.evidence.table import validate_predictions
from semeion.evidence.use.operating import OperatingPoints
from support.judged import QUESTION, judged, table


def with_members(found: pd.DataFrame, noise: list[float]) -> pd.DataFrame:
    """Add a member for each strength of noise on the logit."""
    stream = np.random.default_rng(1)
    rows = [found]
    for number, strength in enumerate(noise):
        p = found["p_malignant"].to_numpy()
        p = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + stream.normal(0, strength, len(p)))))
        rows.append(found.assign(member=f"m{number}", p_malignant=p, p_benign=1 - p))
    return pd.concat(rows, ignore_index=True)


def test_networks_that_agree_are_clear() -> None:
    audit = seed_luck(judged(with_members(table(400, strength=3.0), [0.1, 0.1, 0.1])))
    assert audit.verdict == "clear"
    assert (audit.figures["compared"], audit.figures["number"]) == ("networks", 3)
    assert audit.figures["auroc_max"] - audit.figures["auroc_min"] < 0.02


def test_a_spread_as_large_as_the_gain_is_warned_of() -> None:
    audit = seed_luck(judged(with_members(table(400, strength=0.4), [0.1, 0.1, 9.0])))
    assert audit.verdict in ("note", "warn")
    weak = table(60, strength=0.3, seed=3)
    audit = seed_luck(judged(with_members(weak, [0.1, 3.0, 9.0, 9.0, 9.0])))
    assert audit.verdict == "warn"
    assert "the result may be luck" in audit.advice


def test_folds_are_compared_where_each_has_its_own_networks() -> None:
    audit = seed_luck(judged(table(500, strength=3.0, split="oof", folds=5)))
    assert (audit.figures["compared"], audit.figures["number"]) == ("folds", 5)
    assert "their cases differ too" in audit.advice


def test_networks_that_only_taught_what_ships_are_not_compared() -> None:
    found = with_members(table(400, strength=3.0), [0.1, 0.1, 0.1, 0.1])
    found["share"] = np.where(found["member"] == "ensemble", np.nan, 0.25)
    assert seed_luck(judged(found)).figures["number"] == 4
    taught = found.replace({"member": {"m3": "student-seed0"}})
    taught["share"] = np.where(taught["member"] == "student-seed0", 1.0, 0.0)
    taught = pd.concat([taught, found[found["member"] == "ensemble"].assign(member="teacher")], ignore_index=True)
    assert seed_luck(judged(taught)).figures["number"] == 3
    own = judged(without_teachers(taught))
    assert set(own.members) == {"student-seed0"}
    assert seed_luck(own).verdict == "not_run"
    assert without_teachers(found) is found


def test_fewer_than_three_are_not_compared() -> None:
    audit = seed_luck(judged(with_members(table(100), [0.1, 0.1])))
    assert audit.verdict == "not_run"
    assert "3 are needed" in audit.advice


def test_members_of_other_recipes_differ_by_more_than_luck() -> None:
    found = with_members(table(400, strength=3.0), [0.1, 0.1, 0.1, 9.0, 9.0])
    names = ["fold0-seed0", "fold0-seed1", "fold1-seed0", "covariates-fold0-seed0", "fused-fold0-seed0"]
    audit = seed_luck(judged(found.replace({"member": {f"m{number}": name for number, name in enumerate(names)}})))
    assert (audit.verdict, audit.figures["number"]) == ("clear", 3)
    one_each = {"m0": "seed0", "m1": "frozen-seed0", "m2": "fused-seed0", "m3": "covariates-seed0"}
    audit = seed_luck(judged(found[found["member"] != "m4"].replace({"member": one_each})))
    assert audit.verdict == "not_run"


def test_what_images_and_covariates_alone_say_is_no_member() -> None:
    found = with_members(table(400, strength=3.0), [0.1, 9.0, 9.0])
    named = {"m0": "seed0", "m1": "images", "m2": "covariates"}
    both = judged(found.replace({"member": named}))
    assert set(both.members) == {"seed0"}
    assert seed_luck(both).verdict == "not_run"


@pytest.mark.parametrize(
    ("readings", "verdict", "says"),
    [
        (None, "not_run", "Nobody counted"),
        (1, "clear", "read its test cases once"),
        (2, "note", "read 2 times"),
        (4, "warn", "was chosen on them"),
    ],
)
def test_readings_of_the_test_cases(readings: int | None, verdict: str, says: str) -> None:
    audit = readings_of_test(readings)
    assert audit.name == "test-reuse"
    assert audit.verdict == verdict
    assert says in audit.advice


def test_folds_have_no_test_set_to_read() -> None:
    audit = readings_of_test(None, "oof")
    assert audit.verdict == "not_run"
    assert "each case was held out by one fold" in audit.advice


def test_validation_cases_alone_are_nothing_to_judge() -> None:
    found = table(100, split="val")
    assert judge(validate_predictions(found, QUESTION), QUESTION, OperatingPoints("youden", 0.5)) == []
