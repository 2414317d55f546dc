"""A plan edited by hand is followed; one that was made for something else is refused, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import semeion
from semeion.artefacts import read_json
from semeion.errors import InputError
from semeion.plan.files import read_plan
from semeion.plan.networks import Candidate
from semeion.plan.rules import Machine, Measured, plan_reading
from support.tiny import SIDE, Tiny, TinyRun, make_cohort, make_plan, save_plan, train_tiny


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that was measured in no time."""
    from semeion.learn import throughput

    candidate = Candidate((SIDE, SIDE), "stretch", (8, 16), 1, 16, 1.0)
    known = Machine(1, 8.0, "cpu", [Measured(candidate, {"float32": 0.002})], {"peak_gib": 0.5})
    monkeypatch.setattr(throughput, "measure_machine", lambda *_, **__: known)
    return known


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Train from an edited plan, which must be refused without a trace; return the message."""

    def attempt(tiny: Tiny, plan: Path, **options: Any) -> str:
        with pytest.raises(InputError) as caught:
            train_tiny(tiny, plan, tmp_path / "refused", **options)
        assert not (tmp_path / "refused").exists(), "nothing was written"
        return str(caught.value)

    return attempt


def edit(plan: Path, **sections: dict[str, Any]) -> Path:
    raw = yaml.safe_load(plan.read_text())
    for name, changes in sections.items():
        raw[name] |= changes
    plan.write_text(yaml.safe_dump(raw))
    return plan


def test_an_edited_plan_is_followed(tiny_run: TinyRun, tmp_path: Path) -> None:
    plan = edit(
        save_plan(tmp_path, steps=3),
        network={"widths": [4]},
        preparation={"size": [16, 20], "clean": {"equalise": True}},
        operating_point={"rule": "sensitivity=0.9"},
    )
    run = train_tiny(tiny_run.cohort, plan, tmp_path / "run")
    manifest = read_json(run.model / "model.json")
    assert manifest["preparation"]["size"] == [16, 20]
    assert manifest["preparation"]["clean"]["equalise"] is True
    assert run.evidence["operating_point"]["rule"] == "sensitivity=0.9"
    assert read_json(run.path / "store" / "store.json")["shape"] == [1, 16, 20]
    assert [member["steps"] for member in run.evidence["members"]] == [3, 3]
    assert read_plan(run.path / "plan.executed.yaml").network.widths == [4]
    tiny, here = (
        p.stat().st_size
        for p in (tiny_run.path / "members/fold0-seed0/graph.onnx", run.path / "members/fold0-seed0/graph.onnx")
    )
    assert here < tiny


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"name": "histology"},
            "made for the target 'histology', and the table has 'finding'; plan again, or give the options",
        ),
        (
            {"task": "multiclass", "positive": None},
            "the plan was made for the task 'multiclass', and the table has 'binary'",
        ),
        (
            {"classes": ["benign", "cancer"]},
            "the plan was made for the classes ['benign', 'cancer'], and the table has ['benign', 'mal",
        ),
        ({"positive": "benign"}, "made for the positive class 'benign', and the table has 'malignant'"),
    ],
)
def test_a_plan_for_another_target_is_refused(
    refused: Callable[..., str], tiny_run: TinyRun, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    plan = edit(save_plan(tmp_path), target=change)
    said = refused(tiny_run.cohort, plan)
    assert said.startswith(f"{plan}: ")
    assert message in said


def test_a_plan_with_a_given_split_needs_one(refused: Callable[..., str], tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=20)
    said = refused(cohort, save_plan(tmp_path, scheme="given"))
    assert said.endswith("the plan uses a given split, and the table has none; plan again")


def test_every_fold_needs_a_member(refused: Callable[..., str], tiny_run: TinyRun, tmp_path: Path) -> None:
    plan = save_plan(tmp_path, folds=3)
    raw = yaml.safe_load(plan.read_text())
    raw["members"] = [member for member in raw["members"] if member["fold"] != 1]
    plan.write_text(yaml.safe_dump(raw))
    assert "no member has fold 1" in refused(tiny_run.cohort, plan)


def test_a_plan_that_cannot_be_read_is_refused_before_anything_is(
    refused: Callable[..., str], tiny_run: TinyRun, tmp_path: Path
) -> None:
    plan = edit(save_plan(tmp_path), training={"lerning_rate": 0.1})
    said = refused(tiny_run.cohort, plan)
    assert "unknown key training.lerning_rate, did you mean 'learning_rate'?" in said
    assert "no such plan; write one with `semeion plan`" in refused(tiny_run.cohort, tmp_path / "absent.yaml")


def test_more_folds_than_patients_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=20)
    said = refused(cohort, save_plan(tmp_path, folds=12))
    assert "10 patients or groups cannot be divided into 12 folds" in said


def test_covariates_that_no_model_should_see_are_named(refused: Callable[..., str], tiny_run: TinyRun) -> None:
    said = refused(tiny_run.cohort, tiny_run.plan, cohort={"covariates": ("site",)})
    assert said == (
        "--covariates: the covariate 'site' tells the site of each case; leave it out of --covariates; `--by site` "
        "holds sites out, and figures of each site are given anyway"
    )


def test_a_plan_without_the_covariates_that_are_named_is_refused(
    refused: Callable[..., str], tmp_path: Path, tiny_run: TinyRun
) -> None:
    cohort = make_cohort(tmp_path / "source", n=40)
    aged = cohort.rewrite(age=np.random.default_rng(0).normal(60, 10, 40))
    said = refused(aged, tiny_run.plan, cohort={"covariates": ("age",)})
    assert "the plan learns from no covariates, and --covariates names age; plan again with it" in said


def test_planning_writes_decisions_with_reasons_and_the_facts(
    machine: Machine, tiny_run: TinyRun, tmp_path: Path
) -> None:
    study = semeion.Study(tiny_run.cohort.table, target="finding", operating_point="cost=5:1", jobs=1)
    plan = study.plan(budget="2m")
    assert plan.budget.seconds == 120
    assert plan.operating_point.rule == "cost=5:1"
    assert plan.validation.scheme == "folds"
    assert {member.fold for member in plan.members} == set(range(plan.validation.folds))
    for section in (plan.preparation, plan.network, plan.training, plan.validation, plan.budget):
        assert all(len(reason) > 5 for reason in section.why.values())
    assert {"size", "channels", "intensity", "fit"} <= set(plan.preparation.why)


def test_facts_that_shape_a_plan_come_from_training_cases(machine: Machine, tmp_path: Path) -> None:
    import numpy as np

    from support.tiny import write_picture

    honest, spoiled = (make_cohort(tmp_path / name, split="given") for name in ("a", "b"))
    for row in np.flatnonzero(spoiled.rows["split"] == "test"):
        write_picture(spoiled.image(row), np.full((200, 300, 3), (255, 0, row), np.uint8))
    plans = [semeion.Study(cohort.table, target="finding", jobs=1).plan(budget="2m") for cohort in (honest, spoiled)]
    for section in ("preparation", "network", "training", "validation", "target"):
        # Reasons tell measured seconds, which differ a little.
        here, there = (getattr(plan, section).model_dump(exclude={"why"}) for plan in plans)
        assert here == there


def test_a_budget_too_short_is_refused_with_what_would_do(machine: Machine, tiny_run: TinyRun, tmp_path: Path) -> None:
    study = semeion.Study(tiny_run.cohort.table, target="finding", jobs=1)
    with pytest.raises(InputError, match=r"--budget: the budget of 1 s leaves .* steps a member.*; allow at least \dm"):
        study.train(budget="1s", output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_budget_of_the_command_wins_over_the_plans(tiny_run: TinyRun, tmp_path: Path) -> None:
    asked = make_plan(seconds=1000.0, steps=3)
    assert asked.budget.seconds == 1000.0
    plan = save_plan(tmp_path, seconds=1000.0, steps=3)
    run = train_tiny(tiny_run.cohort, plan, tmp_path / "run", budget=3.0)
    assert run.evidence["budget"]["asked_seconds"] == 3.0
    assert read_plan(run.path / "plan.yaml").budget.seconds == 3.0
    # What its members will read is kept beside what every run keeps, as they are seen to read.
    known = read_json(run.path / "fingerprint.json")
    assert read_plan(run.path / "plan.yaml").budget.reading == plan_reading(known) > 0
    assert read_plan(run.path / "plan.executed.yaml").budget.seconds is None


def test_python_plans_outlines_as_the_command_does(tmp_path: Path) -> None:
    """The kind of plan follows the question, whoever asks."""
    import semeion
    from semeion.plan.segment_schema import SegmentationPlan
    from support.spheres import make_spheres

    table = make_spheres(tmp_path, n=16, masks=True)
    study = semeion.Study(table, target="mask", task="segmentation", labels={"1": "sphere"}, no_split=True)
    plan = study.plan("20m")
    assert isinstance(plan, SegmentationPlan)
    assert (plan.target.classes, plan.target.values) == (["sphere"], [1])
