"""Planning of networks that see the images beside measurements: their share, their folds, and who shapes the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from semeion.plan.measure_rules import FOLDS, IMAGE_SHARE
from semeion.plan.networks import candidates
from semeion.plan.rules import Machine, Measured
from semeion.progress import Silent
from semeion.study import measure_images
from semeion.study.inspect import inspect
from semeion.study.measure_images import image_seconds, plan_image_networks
from semeion.study.measure_road import give_budget
from semeion.study.options import RunOptions
from support.hearts import STRUCTURES, image_networks, make_hearts, measured_plan

BUDGET = 1200.0


@pytest.fixture(scope="module", name="table")
def _table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hearts(tmp_path_factory.mktemp("hearts"), patients=30, test=5)


@pytest.fixture(autouse=True)
def facts_seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A machine on which a step takes 2 ms, so that no test measures; what was known of the cases is kept."""
    seen: list[dict[str, Any]] = []

    def machine(known: dict[str, Any], *_rest: Any) -> Machine:
        seen.append(known)
        return Machine(1, 8.0, "cpu", [Measured(one, {"float32": 0.002}) for one in candidates(known)], {})

    monkeypatch.setattr(measure_images, "machine_of", machine)
    monkeypatch.setattr(measure_images, "reading_seconds", lambda *_: 1.0)
    return seen


def planned(table: Path, budget: float = BUDGET) -> Any:
    options = RunOptions(CohortOptions(target="group", structures=STRUCTURES), budget, with_images=True, jobs=1)
    seen = inspect(table, options, Silent())
    return plan_image_networks(seen.cohort, seen.facts, options, Silent())


def test_the_folds_are_those_of_the_measurements_and_the_share_is_a_quarter(table: Path) -> None:
    plan = planned(table)
    assert (plan.validation.scheme, plan.validation.folds) == ("folds", FOLDS)
    assert {member.fold for member in plan.members} == set(range(FOLDS))
    assert plan.budget.seconds == IMAGE_SHARE * BUDGET == 300.0
    assert (plan.images.role, plan.images.names) == ("frames", ["ED", "ES"])
    assert plan.target.positive == "failing"
    steps = sum(member.steps for member in plan.members)
    assert 0.002 * steps <= 300.0


def test_test_cases_shape_nothing(table: Path, tmp_path: Path, facts_seen: list[dict[str, Any]]) -> None:
    planned(table)
    rows = pd.read_csv(table)
    for column in [name for name in rows if name.startswith(("image", "mask"))]:
        rows[column] = [str(table.parent / file) for file in rows[column]]
    rows[rows["split"] != "test"].drop(columns="split").to_csv(tmp_path / "cohort.csv", index=False)
    planned(tmp_path / "cohort.csv")
    with_tests, without = facts_seen
    assert with_tests["training"] == without["training"]
    assert with_tests["cases"] == without["cases"]


def test_a_share_that_is_too_short_says_what_the_run_needs(table: Path) -> None:
    with pytest.raises(InputError, match=r"the image networks have 25% of the budget(.|\n)*4 times as much"):
        planned(table, 34.0)


def test_without_a_budget_the_share_is_of_what_outlines_take() -> None:
    assert image_seconds(RunOptions()) == IMAGE_SHARE * 45 * 60


def test_another_budget_keeps_the_share() -> None:
    plan = measured_plan()
    give_budget(plan, 500.0)
    assert plan.budget.seconds == plan.segmentation.budget.seconds == 500.0
    assert plan.segmentation.budget.reserve == 0.0
    plan = measured_plan(seen=image_networks())
    give_budget(plan, 800.0)
    assert plan.images is not None
    assert plan.images.networks.budget.seconds == 800.0
    assert plan.segmentation.budget.reserve == 200.0
    give_budget(plan, 1200.0)
    assert plan.segmentation.budget.reserve == 300.0
    # As an executed plan, whose steps are fixed, and given a budget again.
    give_budget(plan, None)
    assert plan.segmentation.budget.reserve == 300.0
    give_budget(plan, 1200.0)
    assert plan.segmentation.budget.reserve == 300.0
    plan.images.share = 0.5
    give_budget(plan, plan.budget.seconds)
    assert plan.segmentation.budget.reserve == 600.0
    assert type(plan).model_validate(plan.model_dump(by_alias=True)) == plan
