"""A plan with a network of the user's: its steps fit its speed, its code is run by name alone, and it goes the road."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from semeion.model.runtime import load_model
from semeion.plan.files import read_plan, write_plan
from semeion.progress import Silent
from semeion.study.options import RunOptions
from semeion.study.own_network import refuse_other_code, with_own_network
from semeion.study.road import start_run
from support.spheres import make_spheres
from support.tiny import make_cohort, save_plan

BODY = """
from torch import nn


def Small(planes, size, outputs):
    return nn.Sequential(
        nn.Conv2d(planes, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, outputs)
    )
"""
FACTORY = "hospital_network:Small"


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hospital_network.py").write_text(BODY, encoding="utf-8")
    yield FACTORY
    sys.modules.pop("hospital_network", None)


def test_a_plan_without_one_stays_as_it_is(tmp_path: Path) -> None:
    plan = read_plan(save_plan(tmp_path))
    assert with_own_network(plan, None) is plan


def test_it_takes_the_place_of_the_plans_network(tmp_path: Path, factory: str) -> None:
    plan = read_plan(save_plan(tmp_path))
    plan.budget.step_seconds = {"network": 1000.0}
    made = with_own_network(plan, factory)
    assert made.network.kind == "own"
    assert (made.network.factory, len(made.network.code)) == (FACTORY, 64)
    # It is faster: four times the steps at most, whatever a short measurement says.
    assert [m.steps for m in made.members] == [4 * m.steps for m in plan.members]
    assert not made.training.channels_last
    write_plan(made, tmp_path / "own.yaml")
    assert read_plan(tmp_path / "own.yaml") == made


def test_reading_a_plan_runs_no_code(tmp_path: Path, factory: str) -> None:
    plan = read_plan(save_plan(tmp_path))
    made = with_own_network(plan, factory)
    where = tmp_path / "own.yaml"
    with pytest.raises(
        InputError, match=f"the plan's network is the code {FACTORY}, which is run by name alone; add --net"
    ):
        refuse_other_code(made, None, where)
    with pytest.raises(InputError, match="--network names other:F, and the plan's network is hospital_network:Small"):
        refuse_other_code(made, "other:F", where)
    with pytest.raises(InputError, match="and the plan's network is one of Semeion; leave --network out"):
        refuse_other_code(plan, factory, where)
    refuse_other_code(made, factory, where)
    refuse_other_code(plan, None, where)


def test_it_is_trained_weighed_and_shipped(tmp_path: Path, factory: str) -> None:
    cohort = make_cohort(tmp_path / "source", n=48, split="test")
    made = with_own_network(read_plan(save_plan(tmp_path)), factory)
    write_plan(made, tmp_path / "own.yaml")
    options = RunOptions(
        CohortOptions(target=cohort.target), plan=str(tmp_path / "own.yaml"), jobs=1, network=factory, seed=made.seed
    )
    path = start_run(cohort.table, options, tmp_path / "run", Silent())
    assert read_json(path / "run.json")["options"]["network"] == FACTORY
    assert read_plan(path / "plan.executed.yaml").network == made.network
    p = load_model(path / "model").predict([cohort.image(0), cohort.image(1)])["p_malignant"]
    assert np.isfinite(p).all()
    page = (path / "report.html").read_text(encoding="utf-8")
    assert FACTORY in page


@pytest.mark.parametrize(
    "asked", [CohortOptions(target="finding", structures={"1": "sphere"}), CohortOptions(target="mask")]
)
def test_it_is_refused_where_outlines_are_drawn(tmp_path: Path, factory: str, asked: CohortOptions) -> None:
    table = make_spheres(tmp_path / "source", n=24, masks=True)
    with pytest.raises(InputError, match="networks that outline are Semeion's own; leave --network out"):
        start_run(table, RunOptions(asked, network=factory, jobs=1), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()
