from __future__ import annotations

import numpy as np
import pytest

from learn.outlines import Balls, network_of, plan_of, sides_of
from semeion.artefacts import read_json
from semeion.errors import Interrupted
from semeion.model.engine import open_engine
from semeion.plan.segment_schema import ArmPlan, SegmentationPlan, SegmentMemberPlan
from semeion.plan.splits import Sides
from semeion.progress import Silent
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.segment_graphs import FAST, PLAIN, graph_to_run
from semeion.study.segmenting import largest_difference, train_segmenters


def never():
    return False


def trained(plan, path, *, parts=None, clock=None, stop=never, store=None, groups=None):
    run = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    store = store or Balls()
    parts = parts or [sides_of(store.n)]
    return run, train_segmenters(run, plan, store, parts, clock or Clock(), Silent(), stop, groups)


def two_arms(steps=16, budget=None, arm=None):
    """Return a plan that may choose between a network of volumes and one of slices."""
    plan = plan_of(steps=steps)
    flat = ArmPlan(
        name="2d", network=network_of(2), batch=8, learning_rate=2e-2, channels_last=False, step_seconds=0.05
    )
    deep = plan.arms[0].model_copy(update={"step_seconds": 0.1})
    raw = plan.model_dump(by_alias=True)
    raw["arms"] = [deep.model_dump(), flat.model_dump()]
    raw["choice"]["arm"] = arm
    raw["members"][0]["arm"] = arm or "3d"
    raw["use"]["mirror_tried"], raw["use"]["postprocess_tried"] = [2], ["largest:union", "fill:1"]
    raw["budget"]["seconds"] = budget
    return SegmentationPlan.model_validate(raw)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """A plan of fixed steps with one arm, trained whole."""
    return trained(plan_of(steps=16), tmp_path_factory.mktemp("fixed") / "run")


def graph_of(run, name="seed0"):
    return (run / "members" / name / "graph.onnx").read_bytes()


def test_a_fixed_plan_is_done_as_written(fixed):
    run, done = fixed
    assert done.ended == "fixed plan"
    assert [member.name for member in done.plan.members] == ["seed0"]
    assert done.facts[0]["steps"] == 16
    assert done.facts[0]["graph_difference"] < 1e-4
    assert not (run / "members" / "seed0" / "checkpoint.safetensors").exists()
    engine = open_engine(graph_of(run), 1, takes="float32")
    assert engine.size == (8, 16, 16)
    assert engine.n_outputs == 3


def test_a_network_of_volumes_has_a_second_graph_that_answers_alike(fixed):
    run, done = fixed
    folder = run / "members" / "seed0"
    assert graph_to_run(folder).name == "graph.fast.onnx"
    assert done.facts[0]["fast_graph_difference"] < 1e-4
    patch = np.random.default_rng(0).normal(size=(2, 1, 8, 16, 16)).astype(np.float32)
    plain, fast = (open_engine(folder / name, 1, takes="float32").run(patch) for name in (PLAIN, FAST))
    assert largest_difference(plain, plain + np.array([1, 0, 0], np.float32)[:, None, None, None]) > 0
    assert largest_difference(plain, fast) < 1e-4


def test_a_second_graph_that_answers_otherwise_is_left_out_and_said(tmp_path, monkeypatch):
    from semeion.learn import flat_graph

    other = trained(plan_of(steps=1, seed=9), tmp_path / "other")[0]
    monkeypatch.setattr(flat_graph, "flatten_convolutions", lambda graph: graph_of(other))
    run, done = trained(plan_of(steps=2), tmp_path / "run")
    assert not (run / "members" / "seed0" / "graph.fast.onnx").exists()
    assert done.facts[0]["fast_graph_difference"] > 1e-4
    assert graph_to_run(run / "members" / "seed0").name == "graph.onnx"


def test_training_from_the_executed_plan_repeats_the_graph(fixed, tmp_path):
    run, done = fixed
    again, repeated = trained(done.plan, tmp_path / "again")
    assert graph_of(again) == graph_of(run)
    assert repeated.plan == done.plan


def test_a_stopped_run_goes_on_to_the_same_graph(fixed, tmp_path):
    count = iter(range(1000))
    with pytest.raises(Interrupted):
        trained(plan_of(steps=16), tmp_path / "run", stop=lambda: next(count) >= 5)
    run, _ = trained(plan_of(steps=16), tmp_path / "run")
    assert graph_of(run) == graph_of(fixed[0])


def test_a_finished_member_is_not_trained_again(fixed):
    run, done = fixed
    before = (run / "members" / "seed0" / "graph.onnx").stat().st_mtime_ns
    _, again = trained(plan_of(steps=16), run.path)
    assert (run / "members" / "seed0" / "graph.onnx").stat().st_mtime_ns == before
    assert again.facts == done.facts


def test_with_a_budget_the_better_arm_goes_on_and_the_plan_says_why(tmp_path):
    plan = two_arms(budget=12.0)
    run, done = trained(plan, tmp_path / "run", clock=Clock(12.0), groups=np.arange(10) // 2)
    decision = done.plan.choice.decisions[0]
    assert decision.question == "network"
    assert set(decision.options) == {"3d", "2d"}
    assert decision.options[decision.chosen] == max(decision.options.values())
    assert decision.low <= decision.difference <= decision.high
    assert decision.n == 3
    assert done.plan.choice.arm == decision.chosen
    assert {member.arm for member in done.plan.members} == {decision.chosen}
    assert done.plan.budget.seconds is None
    # The trial is the beginning of the member: its first steps are not done twice.
    trial = read_json(run / "choice" / decision.chosen / "trial.json")
    assert 0 < trial["steps"] < done.facts[0]["steps"]
    assert done.facts[0]["validation"]["dice"][: len(trial["validation"]["dice"])] == trial["validation"]["dice"]
    assert plan.choice.arm is None
    assert {d.question for d in done.plan.choice.decisions} == {"network", "mirroring", "post-processing"}


def test_the_executed_plan_of_a_budget_repeats_its_graphs(tmp_path):
    run, done = trained(two_arms(budget=7.0), tmp_path / "run", clock=Clock(7.0))
    again, repeated = trained(done.plan, tmp_path / "again")
    for member in done.plan.members:
        assert graph_of(again, member.name) == graph_of(run, member.name)
    assert repeated.plan.use == done.plan.use
    assert repeated.plan.choice == done.plan.choice


def test_mirroring_of_a_network_of_slices_is_along_axes_of_its_patch(tmp_path):
    run, done = trained(two_arms(steps=40, arm="2d"), tmp_path / "run")
    assert graph_to_run(run / "members" / "seed0").name == "graph.onnx"
    mirroring = next(d for d in done.plan.choice.decisions if d.question == "mirroring")
    assert set(mirroring.options) == {"none", "along W"}
    assert done.plan.use.mirror == ([1] if mirroring.chosen == "along W" else [])


def test_rules_of_post_processing_are_kept_only_when_they_help(tmp_path):
    _, done = trained(two_arms(arm="3d", steps=24), tmp_path / "run")
    for decision in done.plan.choice.decisions:
        if decision.question == "post-processing":
            rule = next(name for name in decision.options if name != "without")
            assert (rule in done.plan.use.postprocess) == (decision.options[rule] - decision.options["without"] > 1e-4)


def test_every_fold_has_a_network_that_never_saw_its_held_out_cases(tmp_path):
    plan = plan_of(steps=6)
    plan.validation.scheme, plan.validation.folds = "folds", 2
    plan.members = [SegmentMemberPlan(name=f"fold{f}-seed0", fold=f, seed=f, steps=6, arm="3d") for f in (0, 1)]
    rows = np.arange(10, dtype=np.int64)
    parts = [
        Sides(0, rows[5:8], rows[8:], rows[:5]),
        Sides(1, rows[:3], rows[3:5], rows[5:]),
    ]

    run, done = trained(plan, tmp_path / "run", parts=parts)
    assert [fact["fold"] for fact in done.facts] == [0, 1]
    assert graph_of(run, "fold0-seed0") != graph_of(run, "fold1-seed0")


def test_time_that_is_left_trains_another_member(tmp_path):
    plan = plan_of(steps=4)
    plan.budget.seconds = 9.0
    _, done = trained(plan, tmp_path / "run", clock=Clock(9.0))
    assert len(done.plan.members) >= 2
    assert len({member.seed for member in done.plan.members}) == len(done.plan.members)
    assert done.ended in ("budget", "most members")
