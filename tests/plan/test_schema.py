from __future__ import annotations

import pytest
from pydantic import ValidationError

from plan.made import plan_of
from semeion.plan.inputs import PreparationPlan
from semeion.plan.recipes import AugmentationPlan, NetworkPlan, TrainingPlan
from semeion.plan.schema import MemberPlan, Plan, ValidationPlan
from semeion.prepare.spec import Cleaning, Preparation


def changed(section, **values):
    """Return the raw plan with values of one section (or of the plan itself) replaced."""
    raw = plan_of().model_dump(mode="json", by_alias=True)
    (raw[section] if section else raw).update(values)
    return raw


def test_the_schema_stands_in_the_plan_under_its_name():
    raw = plan_of().model_dump(mode="json", by_alias=True)
    assert raw["schema"] == 1
    assert next(iter(raw)) == "schema"
    assert Plan.model_validate(raw).schema_version == 1


def test_preparation_without_its_reasons_is_what_ships():
    plan = PreparationPlan(
        channels=3, intensity="window", window=(-100, 300), clean=Cleaning(salt=True), size=(32, 24), why={"size": "x"}
    )
    spec = plan.spec()
    assert type(spec) is Preparation
    assert spec == Preparation(
        channels=3, intensity="window", window=(-100, 300), clean=Cleaning(salt=True), size=(32, 24)
    )


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("training", {"batch": 1}, "greater than or equal to 2"),
        ("training", {"learning_rate": 0}, "greater than 0"),
        ("training", {"learning_rate": float("nan")}, "learning_rate"),
        ("training", {"threads": 0}, "greater than or equal to 1"),
        ("training", {"precision": "float16"}, "'float32' or 'bfloat16'"),
        ("training", {"label_smoothing": 0.5}, "less than 0.5"),
        ("training", {"class_weights": [1.0, 0.0]}, "greater than 0"),
        ("network", {"widths": []}, "at least 1 item"),
        ("network", {"widths": [0]}, "greater than or equal to 1"),
        ("network", {"widths": [8] * 7}, "at most 6 items"),
        ("network", {"stem_stride": 3}, "1 or 2"),
        ("network", {"dropout": 1}, "less than 1"),
        ("preparation", {"channels": 2}, "1 or 3"),
        ("preparation", {"size": [28]}, "Field required"),
        ("preparation", {"size": [4, 28]}, "8 to 1024"),
        ("preparation", {"size": [28, 4096]}, "8 to 1024"),
        ("preparation", {"intensity": "window", "window": None}, "needs window"),
        ("preparation", {"intensity": "window", "window": [40, -40]}, "must be below"),
        ("training", {"weight_decay": float("nan")}, "weight_decay"),
        ("training", {"class_weights": [1.0, 2.0, 3.0]}, "has 3 weights for 2 classes"),
        ("validation", {"inner_share": 0.5}, "less than 0.5"),
        ("validation", {"folds": 1}, "folds must be 2 or more when scheme is 'folds'"),
        ("budget", {"seconds": 0}, "greater than 0"),
        (None, {"members": []}, "at least 1 item"),
        (None, {"seed": 2**31}, "less than 2147483648"),
    ],
)
def test_a_value_that_cannot_be_is_refused(section, values, said):
    with pytest.raises(ValidationError, match=said):
        Plan.model_validate(changed(section, **values))


@pytest.mark.parametrize("section", ["training", "network", "preparation", "validation", "target", "budget"])
def test_every_section_refuses_unknown_keys(section):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Plan.model_validate(changed(section, colour="red"))


def test_members_have_names_of_their_own_and_folds_that_exist():
    raw = changed(None)
    raw["members"][1]["name"] = raw["members"][0]["name"]
    with pytest.raises(ValidationError, match="two members have the same name"):
        Plan.model_validate(raw)
    raw = changed(None)
    raw["members"][0]["fold"] = raw["validation"]["folds"]
    with pytest.raises(ValidationError, match="a member's fold is not among 0 to 4"):
        Plan.model_validate(raw)
    raw["members"][0]["fold"] = -1
    with pytest.raises(ValidationError, match="a member's fold is not among 0 to 4"):
        Plan.model_validate(raw)
    raw = changed("validation", scheme="given")
    with pytest.raises(ValidationError, match="with the given split a member's fold is -1"):
        Plan.model_validate(raw)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", "x" * 65])
def test_a_members_name_can_be_a_folder(name):
    with pytest.raises(ValidationError, match="name"):
        MemberPlan(name=name, seed=0, steps=1)


def test_a_members_seed_is_one_that_torch_takes():
    with pytest.raises(ValidationError, match="seed"):
        MemberPlan(name="a", seed=2**64, steps=1)


def test_defaults_are_legal_and_say_nothing_of_reasons():
    assert TrainingPlan(batch=2, learning_rate=1e-3, threads=1).augmentation == AugmentationPlan()
    assert NetworkPlan(widths=[8]).why == {}
    assert ValidationPlan(scheme="given").folds == 0
