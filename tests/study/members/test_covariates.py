"""Members of covariates in a run folder: alone, and by what a frozen member says of the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from semeion.cohort.cohort import Cohort, Target, read_cohort, write_cohort
from semeion.errors import TrainingFailed
from semeion.plan.covariate_rules import with_covariates
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.study.folder import RunFolder
from semeion.study.members.covariates import (
    covariate_outputs,
    halves,
    keep_inner,
    learn_covariates,
    needed,
    open_member,
    without_say,
)
from support.tiny import make_plan

N = 400
RNG = np.random.default_rng(0)
PATIENT = np.repeat(np.arange(N // 2), 2)
Y = RNG.integers(0, 2, N // 2)[PATIENT].astype(float)
AGE = 60 + 8 * (2 * Y - 1) + RNG.normal(0, 10, N)
SEEN = 1 / (1 + np.exp(-(0.8 * (2 * Y - 1) + RNG.normal(size=N))))
"""What a frozen member says of the images: worth about as much as the age."""


@pytest.fixture
def run(tmp_path):
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(N)],
            "patient_id": [f"p{k}" for k in PATIENT],
            "y": Y,
            "age": [None if k % 13 == 0 else AGE[k] for k in range(N)],
            "sex": np.where(RNG.random(N) < 0.5, "f", "m"),
        }
    )
    folder = RunFolder(tmp_path)
    write_cohort(
        Cohort(table, Target("finding", "binary", ("benign", "malignant"), "malignant")), folder / "cohort.parquet"
    )
    return folder


FROZEN = MemberPlan(name="frozen-seed0", recipe="frozen", fold=-1, seed=1, steps=0)


def plan():
    fields = make_plan(scheme="given").model_dump(by_alias=True)
    fields["recipes"] = {"frozen": {"kind": "frozen", "side": 32}}
    fields["members"].append(FROZEN.model_dump())
    return with_covariates(Plan.model_validate(fields), {"age": "number", "sex": "levels"})


def sides():
    learn = np.flatnonzero(np.arange(N) // 2 % 4 < 3)
    validate = np.flatnonzero(np.arange(N) // 2 % 4 == 3)
    return Sides(-1, learn, validate, np.empty(0, np.int64))


def said(member, rows):
    assert member.name == "frozen-seed0"
    return np.stack([1 - SEEN[rows], SEEN[rows]], axis=1)


def auroc(p):
    from sklearn.metrics import roc_auc_score

    rows = sides().validate
    return roc_auc_score(Y[rows], p[:, 1])


def learned(run, name):
    made = plan()
    (run / "members" / "frozen-seed0").mkdir(parents=True, exist_ok=True)
    frozen, member = (next(one for one in made.members if one.name == each) for each in ("frozen-seed0", name))
    rows = sides().learn
    inner = said(frozen, rows)
    inner[0] = np.nan  # nobody could judge it without its patient
    keep_inner(made, frozen, run / "members" / "frozen-seed0", inner, said(frozen, rows))
    learn_covariates(run, made, member, Y, PATIENT, sides(), said)
    return covariate_outputs(run, made, member, sides().validate, said)


def test_age_and_images_together_say_more_than_either(run):
    alone, fused = learned(run, "covariates-seed0"), learned(run, "fused-seed0")
    assert auroc(fused) > auroc(alone) + 0.02
    assert auroc(fused) > auroc(said(FROZEN, sides().validate)) + 0.02
    facts = pd.read_json(run / "members" / "fused-seed0" / "member.json", typ="series")
    assert (facts["recipe"], facts["steps_planned"], facts["fold"]) == ("fused", 0, -1)
    assert set(facts["learner_losses"]) == {"linear", "boosting"}
    judge = open_member(run, next(one for one in plan().members if one.name == "fused-seed0"))
    assert judge.head.after == ["frozen-seed0"]


def test_what_covariates_add_is_told_by_learning_cases_left_out(run):
    made = plan()
    names = [one.name for one in made.members]
    learned(run, "covariates-seed0"), learned(run, "fused-seed0")
    facts = [read_json(run / "members" / name / "member.json") for name in ("covariates-seed0", "fused-seed0")]
    assert all(one["adds"] and one["gain"] > 2 * one["error"] > 0 for one in facts)
    # The fused member stands for both of its parts, and has half of the shares.
    out = without_say(made, names, facts)
    assert out == {"covariates-seed0", "frozen-seed0"}
    left = [name for name in names if name not in out]
    assert halves(made, left) == {"seed0": 0.5, "fused-seed0": 0.5}
    assert halves(made, names) == dict.fromkeys(names, 0.25)
    nothing = [{**one, "adds": False} for one in facts]
    assert without_say(made, names, nothing) == {"covariates-seed0", "fused-seed0"}
    assert halves(made, ["seed0", "frozen-seed0"]) == {"seed0": 0.5, "frozen-seed0": 0.5}
    # Whether the images know it already is what the fused member tells.
    assert without_say(made, names, [facts[0], nothing[1]]) == {"covariates-seed0", "fused-seed0"}


def test_covariates_of_noise_have_no_say(run):
    cohort = read_cohort(run / "cohort.parquet")
    table = cohort.table.assign(age=np.random.default_rng(3).normal(60, 10, N))
    write_cohort(replace(cohort, table=table), run / "cohort.parquet")
    for name in ("covariates-seed0", "fused-seed0"):
        learned(run, name)
        facts = read_json(run / "members" / name / "member.json")
        assert facts["gain"] < 2 * facts["error"]
        assert not facts["adds"]


def test_the_encoding_knows_the_learning_cases_alone(run):
    learned(run, "covariates-seed0")
    member = next(one for one in plan().members if one.name == "covariates-seed0")
    column = open_member(run, member).head.encoding.columns[0]
    known = [AGE[row] for row in sides().learn if row % 13]
    # Rounded to a number that five patients share.
    assert column.fill == pytest.approx(np.median(known), abs=0.25 * np.std(known))


def test_a_member_without_a_share_ships_when_another_goes_by_it():
    made = plan()
    assert [one.name for one in needed(made, {"fused-seed0": 1.0})] == ["frozen-seed0"]
    assert needed(made, {"covariates-seed0": 1.0}) == []
    assert needed(made, {"fused-seed0": 0.5, "frozen-seed0": 0.5}) == []


def test_nothing_is_kept_for_nobody(tmp_path):
    made = make_plan(scheme="given")
    keep_inner(made, replace_recipe(made), tmp_path, np.zeros((2, 2)), np.zeros((2, 2)))
    assert list(tmp_path.iterdir()) == []


def replace_recipe(made):
    return made.members[0].model_copy(update={"recipe": "frozen"})


def test_a_fused_member_without_frozen_features_says_so(run):
    made = plan()
    made.members = [one for one in made.members if one.name != "frozen-seed0"]
    member = next(one for one in made.members if one.name == "fused-seed0")
    with pytest.raises(TrainingFailed, match="goes by 'frozen', which has no member in its fold"):
        learn_covariates(run, made, member, Y, PATIENT, sides(), said)
