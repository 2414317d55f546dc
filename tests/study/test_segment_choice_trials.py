"""Trials of networks before one of them goes on: which are held, what they leave, and what the plan then says."""

from __future__ import annotations

import numpy as np
import pytest

from learn.outlines import Balls, plan_of, sides_of
from semeion.artefacts import read_json
from semeion.errors import Interrupted
from semeion.plan.segment_schema import SegmentationPlan
from semeion.progress import Silent
from semeion.study import segment_choice as module
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.segmenting import train_segmenters

LEVELS = {
    "widths": [8, 8, 8],
    "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "deep_supervision": 1,
}


def tried_plan(*, steps=40, flat=False):
    """Return a plan that tries deep supervision; with `flat` slices too, in a network of two levels."""
    raw = plan_of(steps=steps, network=LEVELS).model_dump(by_alias=True)
    raw["arms"][0]["step_seconds"] = 0.1
    if flat:
        slices = plan_of(dims=2).arms[0].model_dump() | {"step_seconds": 0.05}
        raw["arms"].append(slices)
        raw["choice"]["arm"] = None
    raw["choice"]["supervision_tried"] = True
    # Nothing is left for further members.
    raw["budget"] |= {"seconds": 60.0, "reserve": 60.0}
    return SegmentationPlan.model_validate(raw)


def trained(plan, path, stop=lambda: False):
    run = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    store = Balls()
    clock = Clock(plan.budget.seconds)
    return run, train_segmenters(run, plan, store, [sides_of(store.n)], clock, Silent(), stop)


def rigged(monkeypatch, **better):
    """Let validation find options of a question as good as is said, whatever they learned."""

    def decide(question, figures, *rest):
        known = {name: np.full_like(value, better.get(name, 0.5)) for name, value in figures.items()}
        return whole(question, known, *rest)

    whole = module.decide
    monkeypatch.setattr(module, "decide", decide)


def graph_of(run):
    return (run / "members" / "seed0" / "graph.onnx").read_bytes()


@pytest.mark.parametrize("better", ["with", "without"])
def test_the_better_of_the_twins_goes_on_and_the_executed_plan_repeats_it(better, tmp_path, monkeypatch):
    rigged(monkeypatch, **{better: 0.9})
    run, done = trained(tried_plan(), tmp_path / "run")
    [decision] = [d for d in done.plan.choice.decisions if d.question == "deep supervision"]
    assert (decision.chosen, decision.difference, decision.n) == (better, 0.4, 3)
    assert list(decision.options) == ["with", "without"]
    assert done.plan.arms[0].network.deep_supervision == (1 if better == "with" else 0)
    assert done.plan.choice.arm == "3d"
    # Both learned a first round of 4 steps; the time of the other one's trial is not there for the second.
    trials = {name: read_json(run / "choice" / name / "trial.json") for name in ("3d", "3d.without")}
    assert {trial["steps"] for trial in trials.values()} == {4}
    assert (done.plan.members[0].first, done.facts[0]["steps"]) == (4, 36)
    own = trials["3d" if better == "with" else "3d.without"]["validation"]["dice"]
    assert done.facts[0]["validation"]["dice"][: len(own)] == own
    again, repeated = trained(
        SegmentationPlan.model_validate(done.plan.model_dump(mode="json", by_alias=True)), tmp_path / "again"
    )
    assert graph_of(again) == graph_of(run)
    assert repeated.plan == done.plan
    assert not (again / "choice").exists()


@pytest.mark.parametrize(("gain", "chosen"), [(0.0, "with"), (0.0004, "with"), (0.001, "without")])
def test_coarser_levels_stay_supervised_where_leaving_them_out_gains_little(gain, chosen, tmp_path, monkeypatch):
    rigged(monkeypatch, **{"with": 0.5, "without": 0.5 + gain})
    _, done = trained(tried_plan(steps=10), tmp_path / "run")
    assert done.plan.choice.decisions[0].chosen == chosen


def test_the_trials_are_of_what_validation_says(tmp_path):
    run, done = trained(tried_plan(steps=60), tmp_path / "run")
    decision = done.plan.choice.decisions[0]
    for option, name in (("with", "3d"), ("without", "3d.without")):
        dice = np.array(read_json(run / "choice" / name / "trial.json")["dice"])
        assert decision.options[option] == pytest.approx(np.where(dice < 0, 1, dice).mean(), abs=1e-5)


def test_after_the_arms_the_better_one_is_tried_without(tmp_path, monkeypatch):
    rigged(monkeypatch, **{"3d": 0.9, "without": 0.8})
    run, done = trained(tried_plan(flat=True), tmp_path / "run")
    assert [d.question for d in done.plan.choice.decisions] == ["network", "deep supervision"]
    assert [d.chosen for d in done.plan.choice.decisions] == ["3d", "without"]
    assert [arm.network.deep_supervision for arm in done.plan.arms] == [0, 0]
    assert done.plan.choice.arm == done.plan.members[0].arm == "3d"
    # Two other trials of a tenth each.
    assert (done.plan.members[0].first, done.facts[0]["steps"]) == (4, 32)
    assert {path.name for path in (run / "choice").iterdir() if path.is_dir()} == {"2d", "3d", "3d.without"}


def test_an_arm_that_has_no_coarser_level_is_not_tried_without(tmp_path, monkeypatch):
    rigged(monkeypatch, **{"2d": 0.9})
    run, done = trained(tried_plan(flat=True), tmp_path / "run")
    assert [d.question for d in done.plan.choice.decisions] == ["network"]
    assert not done.plan.choice.supervision_tried
    assert "no coarser level" in done.plan.choice.why["supervision_tried"]
    # 80 steps take the time of 40 of the other network; one other trial took a tenth.
    assert (done.plan.members[0].first, done.facts[0]["steps"]) == (8, 72)
    assert not (run / "choice" / "2d.without").exists()
    SegmentationPlan.model_validate(done.plan.model_dump(by_alias=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a run in which the twin without supervision won, and what came of it."""
    with pytest.MonkeyPatch.context() as patch:
        rigged(patch, without=0.9)
        return trained(tried_plan(), tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("at", [2, 4, 6, 10])
def test_a_run_stopped_in_a_trial_or_after_goes_on_to_the_same_graph(at, whole, tmp_path, monkeypatch):
    rigged(monkeypatch, without=0.9)
    count = iter(range(1000))
    with pytest.raises(Interrupted):
        trained(tried_plan(), tmp_path / "run", stop=lambda: next(count) >= at)
    choice = tmp_path / "run" / "choice"
    done = {path: path.stat().st_mtime_ns for path in choice.glob("*/trial.json")}
    begun = {path: path.read_bytes() for path in (*choice.glob("*/begun.json"), choice / "trials.json")}
    assert len(done) == min(2, at // 4)
    run, stopped = trained(tried_plan(), tmp_path / "run")
    assert graph_of(run) == graph_of(whole[0])
    assert stopped.plan == whole[1].plan
    # What was done is not done again, and the share of time of each trial stays what it was.
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    assert all(path.read_bytes() == content for path, content in begun.items())
