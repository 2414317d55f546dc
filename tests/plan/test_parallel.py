"""How many members are planned to learn at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plan.made import cohort_of, fingerprint_of, machine_of
from semeion.plan.members import plan_members
from semeion.plan.parallel import NOT_MEASURED, Beside, choose_parallel, trials_of
from semeion.plan.rules import Wishes, make_plan
from semeion.plan.schema import ParallelPlan, Plan, ValidationPlan

ALONE, TWO, FOUR = Beside(1, 4, 0.010), Beside(2, 2, 0.012), Beside(4, 1, 0.022)
GIVEN = ["train"] * 40 + ["val"] * 10 + ["test"] * 10


def test_what_is_tried() -> None:
    assert trials_of(2, 2, 8) == [(1, 2), (2, 1)]
    assert trials_of(15, 16, 16) == [(1, 15), (2, 8), (4, 4), (8, 2), (16, 1)]
    assert trials_of(16, 16, 4) == [(1, 16), (2, 8), (4, 4)]
    assert trials_of(2, 2, 1) == [(1, 2)]
    assert trials_of(1, 1, 4) == [(1, 1)]


def test_the_fastest_is_taken() -> None:
    best, said = choose_parallel([ALONE, TWO, FOUR], 0.5, 16.0)
    assert best == FOUR
    assert said.processes == 4
    assert said.why["processes"] == (
        "times the images a second of one process with 4 threads: 2 processes with 2 threads 1.67, "
        "4 processes with 1 thread 1.82"
    )


def test_memory_jobs_and_a_small_gain_bound_it() -> None:
    # Four members and the process that runs them need five times 0.5 GiB of 80 % of what is free.
    best, said = choose_parallel([ALONE, TWO, FOUR], 0.5, 3.0)
    assert best == TWO
    assert choose_parallel([ALONE, TWO, FOUR], 0.5, 16.0, most=2)[0] == TWO
    none, said = choose_parallel([ALONE, TWO], 0.5, 1.0)
    assert (none, said.processes) == (None, 1)
    assert said.why["processes"].endswith("1.67; memory does not last for all of them")
    none, said = choose_parallel([ALONE, replace(TWO, seconds=0.019)], 0.5, 16.0)
    assert (none, said.processes) == (None, 1)
    assert choose_parallel([], 0.5, 16.0) == (None, ParallelPlan(why={"processes": NOT_MEASURED}))


def planned(split: Any = None, *, budget: float = 900.0, machine: dict[str, Any] | None = None, **wishes: Any) -> Plan:
    facts = fingerprint_of(cohort=cohort_of(60, split=split))
    made = replace(machine_of(facts, seconds=4e-8), threads=2, **(machine or {}))
    return make_plan(facts, made, Wishes(budget=budget, **wishes))


@pytest.mark.parametrize("split", [None, GIVEN])
def test_a_plan_for_two_at_once(split: Any) -> None:
    beside = (Beside(1, 2, 0.010), Beside(2, 1, 0.013))
    one, two = planned(split), planned(split, machine={"beside": beside})
    assert (one.parallel.processes, one.training.threads, one.threads) == (1, 2, 2)
    assert (two.parallel.processes, two.training.threads, two.threads) == (2, 1, 2)
    assert two.budget.step_seconds["network"] == pytest.approx(1.3 * one.budget.step_seconds["network"])
    steps = [sum(member.steps for member in plan.members) for plan in (one, two)]
    assert steps[1] >= 0.999 * steps[0]
    assert two.budget.expected_seconds <= 901
    if split:
        assert len(two.members) % 2 == 0
    assert "2 at once" in two.budget.why["expected_seconds"]
    # A plan for one says why.
    assert one.parallel.why == {"processes": NOT_MEASURED}
    assert planned(split, machine={"beside": beside}, jobs=1).parallel.processes == 1


def test_folds_that_would_leave_a_process_without_work() -> None:
    # Of five folds two processes make three rounds: a gain of a seventh is lost again.
    plan = planned(budget=120.0, machine={"beside": (Beside(1, 2, 0.010), Beside(2, 1, 0.0175))})
    assert len(plan.members) == 5
    assert plan.parallel.processes == 1
    assert plan.parallel.why["processes"].endswith("1.14; but so few members would leave processes without work")
    assert plan.training.threads == 2


def test_a_cluster_and_several_gpus() -> None:
    plan = planned(GIVEN, slots=4)
    assert len(plan.members) % 4 == 0
    assert (plan.parallel.processes, plan.training.threads) == (1, 2)
    assert plan.parallel.why["processes"].endswith("the cluster learns 4 at once")
    plan = planned(GIVEN, machine={"device": "cuda", "facts": {"gpus": 2}})
    assert (plan.parallel.processes, plan.training.threads) == (2, 1)
    assert plan.parallel.why == {"processes": "2 GPUs, one member on each"}


def test_members_for_several_at_once() -> None:
    given = ValidationPlan(scheme="given")
    members, _ = plan_members(given, 310.0, 1.0, 10, 1000.0, 0, 2)
    # Time for 6.2 members of 100 steps: six, in three rounds.
    assert [member.steps for member in members] == [103] * 6
    folds = ValidationPlan(scheme="folds", folds=5)
    members, _ = plan_members(folds, 300.0, 1.0, 10, 1000.0, 0, 2)
    assert [member.steps for member in members] == [100] * 5, "the third round is of one"
