from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from learn.outlines import plan_of
from semeion.plan.segment_schema import SegmentationPlan


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return a plan's values with one of them replaced."""
    raw = plan_of().model_dump(by_alias=True)
    place: Any = raw
    *before, last = path.split(".")
    for step in before:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return raw


def test_a_plan_is_what_it_was_after_its_file():
    plan = plan_of()
    assert SegmentationPlan.model_validate(plan.model_dump(mode="json", by_alias=True)) == plan


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("target.values", [1], "2 classes and 1 values"),
        ("target.values", [1, 1], "share a name or a value"),
        ("target.values", [0, 1], "0 is background"),
        ("target.classes", ["a", "a"], "share a name or a value"),
        ("arms.0.network.patch", [8, 15, 16], "side 15 of the patch must be a multiple of 2"),
        ("arms.0.network.patch", [16, 16], "have 3 numbers each"),
        ("arms.0.network.kernels", [[2, 3, 3], [3, 3, 3]], "sides of a kernel are odd"),
        ("arms.0.network.strides", [[1, 2, 2], [1, 2, 2]], "the first stride is 1"),
        ("arms.0.network.widths", [8, 8, 8], "3 widths need as many kernels and strides"),
        ("arms.0.network.deep_supervision", 1, "at most 0 coarser levels"),
        ("members.0.arm", "4d", "arm '4d' is not among 3d"),
        ("members.0.fold", 0, "without folds a member's fold is -1"),
        ("choice.arm", "4d", "arm '4d' is not among 3d"),
        ("validation", {"scheme": "folds", "folds": 1}, "folds must be 2 or more"),
        ("training.dice", -1, "greater than or equal to 0"),
        ("unknown", 1, "Extra inputs are not permitted"),
        ("use.postprocess", ["smallest:1"], "String should match pattern"),
        ("use.postprocess_tried", ["largest:3"], "names a label above 2"),
        ("target.lesions", ["scar"], "the lesion 'scar' is not among the classes outer, inner"),
        ("target.lesions", ["outer", "outer"], "a lesion is named twice"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(path, value, message):
    with pytest.raises(ValidationError, match=message):
        SegmentationPlan.model_validate(changed(path, value))


def test_nothing_to_learn_is_refused():
    raw = changed("training.dice", 0)
    raw["training"]["cross_entropy"] = 0
    with pytest.raises(ValidationError, match="nothing would be learned"):
        SegmentationPlan.model_validate(raw)


def test_fixed_steps_with_two_arms_name_one():
    raw = changed("choice.arm", None)
    raw["arms"].append({**raw["arms"][0], "name": "other"})
    with pytest.raises(ValidationError, match="the arm must be named"):
        SegmentationPlan.model_validate(raw)
    raw["budget"]["seconds"] = 60
    assert SegmentationPlan.model_validate(raw).choice.arm is None
    raw["choice"]["arm"] = "other"
    with pytest.raises(ValidationError, match=r"choice\.arm is 'other', and a member's arm is '.*': write the same"):
        SegmentationPlan.model_validate(raw)


def supervised() -> dict[str, Any]:
    """Return a plan's values with a network of three levels, whose deep supervision is to be tried."""
    raw = plan_of().model_dump(by_alias=True)
    raw["arms"][0]["network"] |= {
        "widths": [8, 8, 8],
        "kernels": [[3, 3, 3]] * 3,
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "deep_supervision": 1,
    }
    raw["choice"]["supervision_tried"], raw["budget"]["seconds"] = True, 60.0
    return raw


def test_deep_supervision_is_tried_only_where_that_is_possible():
    assert SegmentationPlan.model_validate(supervised()).choice.supervision_open()
    fixed, flat, long = supervised(), supervised(), supervised()
    fixed["budget"]["seconds"] = None
    with pytest.raises(ValidationError, match=r"with fixed steps nothing is tried: set choice.supervision_tried"):
        SegmentationPlan.model_validate(fixed)
    flat["arms"][0]["network"]["deep_supervision"] = 0
    with pytest.raises(ValidationError, match="no arm supervises a coarser level"):
        SegmentationPlan.model_validate(flat)
    long["choice"]["trial_share"] = 0.5
    with pytest.raises(ValidationError, match=r"2 trials of 0.5 each leave no time: lower trial_share"):
        SegmentationPlan.model_validate(long)
    long["arms"].append({**long["arms"][0], "name": "other"})
    long["choice"] |= {"trial_share": 0.34, "arm": None}
    with pytest.raises(ValidationError, match=r"3 trials of 0.34 each"):
        SegmentationPlan.model_validate(long)


def test_what_was_decided_is_no_longer_open_and_goes_with_fixed_steps():
    raw = supervised()
    raw["budget"]["seconds"] = None
    decision = {"question": "deep supervision", "options": {"with": 0.8, "without": 0.7}, "n": 3, "why": "tried"}
    figures = {"difference": 0.1, "low": 0.0, "high": 0.2, "chosen": "with", "against": "without"}
    raw["choice"]["decisions"] = [{**decision, **figures}]
    assert not SegmentationPlan.model_validate(raw).choice.supervision_open()


def test_a_member_of_a_fold_that_is_not_planned_is_refused():
    raw = changed("validation", {"scheme": "folds", "folds": 2})
    raw["members"][0]["fold"] = 2
    with pytest.raises(ValidationError, match="fold is not among 0 to 1"):
        SegmentationPlan.model_validate(raw)


@pytest.mark.parametrize(
    ("tried", "rules"),
    [("mirror_tried", [2]), ("postprocess_tried", ["largest:1"]), ("supervision_tried", True)],
)
def test_with_folds_nothing_may_be_tried_on_cases_that_another_fold_holds_out(tried, rules):
    raw = changed("validation", {"scheme": "folds", "folds": 2})
    raw["members"][0]["fold"] = 0
    assert SegmentationPlan.model_validate(raw).use.mirror == []
    raw["use" if tried in raw["use"] else "choice"][tried] = rules
    with pytest.raises(ValidationError, match="nothing is tried on validation cases, which other folds hold out"):
        SegmentationPlan.model_validate(raw)


def test_with_folds_the_arm_is_named():
    raw = changed("validation", {"scheme": "folds", "folds": 2})
    raw["members"][0]["fold"] = 0
    raw["arms"].append({**raw["arms"][0], "name": "other"})
    raw["choice"]["arm"], raw["budget"]["seconds"] = None, 60.0
    with pytest.raises(ValidationError, match=r"name the arm in choice.arm"):
        SegmentationPlan.model_validate(raw)
