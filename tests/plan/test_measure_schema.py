"""Plans of a diagnosis from measurements: what does not fit together, or would choose on cases that are weighed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from semeion.plan.files import plan_task, plans_measurements, read_plan_as, write_plan
from semeion.plan.measure_rules import IMAGE_SHARE, make_measured_plan, pairs_of
from semeion.plan.measure_schema import MeasuredPlan
from semeion.plan.rules import Wishes
from semeion.plan.schema import Plan
from support.hearts import FEATURES, image_networks, measured_plan

FIXED = "must be fixed|nothing is tried on validation cases|must be named in choice.arm"


def test_a_plan_goes_round_and_is_known_by_its_kind(tmp_path: Path) -> None:
    plan = measured_plan()
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan_as(tmp_path / "plan.yaml", MeasuredPlan) == plan
    assert plans_measurements(tmp_path / "plan.yaml")
    assert plan_task(tmp_path / "plan.yaml") == "binary"
    assert not plans_measurements(tmp_path / "gone.yaml")


def changed(*path: str, value: Any) -> dict[str, Any]:
    raw = measured_plan().model_dump(by_alias=True)
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("validation", "folds"), 4, "4 folds have 6 pairs, and segmentation.validation.folds differs"),
        (("segmentation", "use", "mirror_tried"), [1], FIXED),
        (("segmentation", "choice", "arm"), None, FIXED),
        (("segmentation", "use", "postprocess_tried"), ["fill:1"], FIXED),
        (("segmentation", "target", "values"), [1, 2, 4], "structures that are outlined and those that are measured"),
        (("measurements", "features"), ["lv_ef_percent"] * 2, "a measurement is classified twice"),
        (("budget", "seconds"), 60.0, "budget.seconds and segmentation.budget.seconds differ"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(path: tuple[str, ...], value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MeasuredPlan.model_validate(changed(*path, value=value))


def test_a_pair_without_a_network_is_refused() -> None:
    members = measured_plan().model_dump(by_alias=True)["segmentation"]["members"]
    with pytest.raises(ValidationError, match="no member of segmentation has the fold 2: each pair needs a network"):
        MeasuredPlan.model_validate(changed("segmentation", "members", value=members[:2]))


def test_the_rules_fix_beforehand_what_validation_would_decide() -> None:
    plan = measured_plan()
    networks = plan.segmentation
    members = [networks.members[0].model_copy(update={"name": f"f{k}", "fold": k}) for k in range(pairs_of(5))]
    changes = {
        "validation": networks.validation.model_copy(update={"folds": pairs_of(5)}),
        "members": members,
        # As a plan that may try proposes it.
        "use": networks.use.model_copy(update={"mirror_tried": [1, 2], "postprocess_tried": ["largest:union"]}),
    }
    facts = {"target": "group", "task": "binary", "classes": ["a", "b"], "positive": "b", "why": "two words"}
    made = make_measured_plan(
        facts, plan.measurements.take, FEATURES, networks.model_copy(update=changes), Wishes(budget=None)
    )
    assert made.segmentation.use.mirror == [0, 1]
    assert made.segmentation.use.mirror_tried == made.segmentation.use.postprocess_tried == []
    assert made.segmentation.use.postprocess == ["largest:1", "largest:2", "largest:3"]
    assert MeasuredPlan.model_validate(made.model_dump(by_alias=True)) == made


def test_a_plan_without_image_networks_is_written_as_before_there_were_any(tmp_path: Path) -> None:
    write_plan(measured_plan(), tmp_path / "plan.yaml")
    assert "\nimages:" not in (tmp_path / "plan.yaml").read_text()
    assert "images" not in measured_plan().model_dump(by_alias=True)


def test_a_plan_with_image_networks_goes_round(tmp_path: Path) -> None:
    plan = measured_plan(seen=image_networks())
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan_as(tmp_path / "plan.yaml", MeasuredPlan) == plan
    assert plan.images is not None
    assert (plan.images.share, plan.images.weights) == (IMAGE_SHARE, "equal")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": {"scheme": "folds", "folds": 4}}, "validation.folds is 3, and images.networks.* is 4"),
        ({"target": {"name": "group", "task": "multiclass", "classes": ["a", "b"]}}, "target.task is 'binary'"),
        ({"members": image_networks()["networks"]["members"][:2]}, "no member of images.networks has the fold 2"),
        ({"budget": {"seconds": 60.0}}, "budget.seconds is None, and images.networks.budget.seconds is 60.0"),
        ({"operating_point": {"rule": "accuracy"}}, "operating_point.rule is 'youden', and images.networks"),
    ],
)
def test_image_networks_that_answer_otherwise_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        measured_plan(seen=image_networks(**changes))


def test_no_weight_but_equal_ones_can_be_asked_for() -> None:
    with pytest.raises(ValidationError, match="weights"):
        measured_plan(seen={**image_networks(), "weights": "chosen"})


def test_image_networks_learn_after_those_that_outline_and_keep_what_comes_after_them() -> None:
    plan = measured_plan()
    budget = plan.budget.model_copy(update={"seconds": 1000.0, "reserve": 400.0})
    members = [plan.segmentation.members[0].model_copy(update={"name": f"f{k}", "fold": k}) for k in range(10)]
    validation = plan.segmentation.validation.model_copy(update={"folds": 10})
    outlining = plan.segmentation.model_copy(update={"budget": budget, "members": members, "validation": validation})
    seen = image_networks(validation={"scheme": "folds", "folds": 5})["networks"]
    seen["members"] = [{**seen["members"][0], "name": f"f{k}", "fold": k} for k in range(5)]
    networks = Plan.model_validate({**seen, "budget": {"seconds": 250.0, "reserve": 15.0}})
    classes = networks.target.classes
    facts = {"target": "group", "task": "binary", "classes": classes, "positive": classes[1], "why": "two words"}
    made = make_measured_plan(facts, plan.measurements.take, FEATURES, outlining, Wishes(budget=1000.0), networks)
    assert made.images is not None
    # What is kept from the outlining networks is the share of the image networks and what comes after both.
    assert made.images.networks.budget.seconds == 1000.0
    assert made.images.networks.budget.reserve == 400.0 - 250.0 + 15.0
    assert {"share", "weights"} <= set(made.images.why)
