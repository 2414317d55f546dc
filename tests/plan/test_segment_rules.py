from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.outlined import facts_of, machine_of, plan_of
from semeion.errors import InputError
from semeion.plan.rules import Wishes
from semeion.plan.segment_rules import (
    ENOUGH_STEPS,
    LEAST_STEPS,
    make_segmentation_plan,
    plan_reserve,
    plan_segment_validation,
)
from semeion.plan.segment_schema import SegmentationPlan
from semeion.plan.segment_use import LEAST_SUPERVISED, plan_choice

TESTED = ["train"] * 48 + ["test"] * 12
CARDIAC = {"size": (216, 256, 10), "spacing": (1.48, 1.48, 10.0), "classes": ("RV", "myocardium", "LV")}


def test_every_decision_has_a_reason():
    plan = plan_of(split=TESTED)
    for section, keys in (
        (plan.preparation, ("orientation", "spacing", "intensity")),
        (plan.training, ("foreground", "dice", "averaging")),
        (plan.training.augmentation, ("rotation", "tilt", "flip")),
        (plan.validation, ("scheme", "inner_share")),
        (plan.choice, ("arm", "supervision_tried", "trial_share")),
        (plan.use, ("mirror", "postprocess", "overlap")),
        (plan.budget, ("seconds", "reserve", "expected_seconds")),
        *((arm, ("name", "network", "precision")) for arm in plan.arms),
    ):
        assert all(len(section.why[key]) > 5 for key in keys)
    assert SegmentationPlan.model_validate(plan.model_dump(by_alias=True)) == plan


def test_cubic_voxels_are_learned_in_three_dimensions_first_and_in_slices_too():
    plan = plan_of(split=TESTED)
    assert [arm.name for arm in plan.arms] == ["3d", "2d"]
    assert plan.choice.arm is None
    assert plan.preparation.spacing is None
    assert plan.preparation.orientation == "LPS"
    assert plan.training.augmentation.tilt > 0
    assert plan.members[0].arm == "3d"


def test_thick_slices_are_learned_slice_by_slice_first_and_keep_their_distance():
    columns = {"spacing_i": [1.2 + 0.01 * k for k in range(60)], "spacing_j": [1.2 + 0.01 * k for k in range(60)]}
    plan = plan_of(split=TESTED, **CARDIAC, **columns)
    assert plan.arms[0].name == "2d"
    assert plan.preparation.orientation == "stored"
    assert plan.preparation.spacing is not None
    assert plan.preparation.spacing[2] is None
    # Of the 48 training cases; test cases shape nothing.
    assert plan.preparation.spacing[0] == pytest.approx(1.435, abs=1e-3)
    assert plan.training.augmentation.tilt == 0
    assert plan.training.augmentation.rotation == 30


def test_a_short_budget_tries_one_arm_only_and_a_narrower_network():
    short, long = plan_of(200.0, split=TESTED), plan_of(20_000.0, split=TESTED)
    assert len(short.arms) == 1
    assert short.choice.arm == "3d"
    assert short.arms[0].network.widths[0] < long.arms[0].network.widths[0]
    assert long.members[0].steps >= ENOUGH_STEPS[long.arms[0].network.widths[0]]


def test_deep_supervision_is_tried_where_trials_are_long_enough_to_tell():
    long, short, slow = plan_of(split=TESTED, speed=4e6), plan_of(200.0, split=TESTED), plan_of(split=TESTED, speed=3e5)
    assert long.choice.supervision_tried
    assert (
        long.choice.why["trial_share"] == "3 trials, of which one goes on; the others take 20% of the time for learning"
    )
    for plan in (short, slow):
        assert not plan.choice.supervision_tried
        assert f"fewer than {LEAST_SUPERVISED}, would leave to luck" in plan.choice.why["supervision_tried"]
        assert plan.arms[0].network.deep_supervision == 2
    assert short.choice.why["trial_share"] == "nothing is tried"


def test_one_network_alone_is_tried_with_and_without_deep_supervision():
    arm = plan_of(split=TESTED).arms[0]
    choice = plan_choice([arm.model_copy(update={"step_seconds": 0.1})], 600.0, folded=False)
    assert (choice.arm, choice.supervision_tried) == ("3d", True)
    assert choice.why["trial_share"] == "2 trials, of which one goes on; the others take 10% of the time for learning"
    assert not plan_choice([arm.model_copy(update={"step_seconds": 0.3})], 600.0, folded=False).supervision_tried


def test_a_network_without_a_coarser_level_is_not_tried_without_its_supervision():
    plan = plan_of(split=TESTED, size=(12, 12, 12), speed=1e9)
    assert all(arm.network.deep_supervision == 0 for arm in plan.arms)
    assert not plan.choice.supervision_tried
    assert plan.choice.why["supervision_tried"] == "not tried: the network has no coarser level to supervise"


@given(st.floats(60, 40_000), st.floats(2e5, 2e7))
@settings(max_examples=40, deadline=None)
def test_steps_fit_the_budget_or_it_is_refused_with_what_would_do(budget, speed):
    facts = facts_of(split=TESTED)
    machine = machine_of(facts, speed)
    try:
        plan = make_segmentation_plan(facts, machine, Wishes(budget=budget))
    except InputError as error:
        minutes = int(str(error).split("allow at least ")[1].split("m")[0])
        assert make_segmentation_plan(facts, machine, Wishes(budget=60.0 * minutes)).members[0].steps >= LEAST_STEPS
        return
    assert plan.members[0].steps >= LEAST_STEPS
    assert plan.budget.expected_seconds <= budget * 1.001


def test_folds_share_the_time_and_no_test_cases_ask_for_folds():
    single, folded = plan_of(split=TESTED), plan_of()
    assert single.validation.scheme == "holdout"
    assert folded.validation.scheme == "folds"
    assert [member.fold for member in folded.members] == [0, 1, 2]
    assert len({member.seed for member in folded.members}) == 3
    wanted = plan_of(folds=5, split=TESTED, budget=5400.0)
    assert [member.fold for member in wanted.members] == list(range(5))


def test_given_validation_cases_choose():
    plan = plan_of(split=["train"] * 40 + ["val"] * 10 + ["test"] * 10)
    assert plan.validation.scheme == "given"
    assert plan.members[0].fold == -1


def test_at_least_twelve_patients_choose_where_that_is_little_of_them():
    few, many = plan_of(n=60, split=TESTED), plan_of(n=600, split=["train"] * 500 + ["test"] * 100)
    assert few.validation.inner_share == pytest.approx(0.2, abs=0.06)
    assert many.validation.inner_share == 0.1


def test_hounsfield_units_are_clipped_to_what_the_labels_hold():
    plan = plan_of(split=TESTED, unit="HU", modality="CT")
    intensity = plan.preparation.intensity[0]
    assert (intensity.kind, intensity.low, intensity.high, intensity.mean, intensity.std) == ("fixed", 10, 90, 50, 20)
    assert plan.preparation.units == ["HU"]
    assert plan_of(split=TESTED).preparation.intensity[0].kind == "zscore"


def test_labels_named_for_a_side_are_never_mirrored():
    long = {"split": TESTED, "budget": 20_000.0}
    assert plan_of(**long).training.augmentation.flip == [2]
    for name in ("left hippocampus", "Right_kidney", "hippocampus-L_left"):
        plan = plan_of(**long, classes=(name, "other"))
        assert plan.training.augmentation.flip == []
        assert plan.use.mirror_tried == []
        assert "side of the body" in plan.training.augmentation.why["flip"]
    assert plan_of(**long, classes=("leftover", "bright")).training.augmentation.flip == [2]


def test_mirroring_is_learned_and_tried_only_where_there_is_time_for_it():
    short = plan_of(400.0, split=TESTED)
    assert short.training.augmentation.flip == short.use.mirror_tried == []
    assert "mirrored anatomy would take from the time" in short.training.augmentation.why["flip"]
    assert plan_of(20_000.0, split=TESTED).use.mirror_tried == [2]


def test_channels_are_planes_of_one_input():
    plan = plan_of(split=TESTED, channels=("FLAIR", "T1"))
    assert plan.preparation.channels == ["FLAIR", "T1"]


@pytest.mark.parametrize(
    ("aligned", "note", "registration"),
    [(True, "", "check"), (True, "misaligned: T1 fits better shifted", "rigid"), (False, "", "rigid")],
)
def test_channels_that_do_not_lie_on_one_another_are_registered(aligned, note, registration):
    few = [k < 6 for k in range(60)]
    columns = {"aligned": [aligned or not one for one in few], "notes": [note if one else "" for one in few]}
    preparation = plan_of(channels=("FLAIR", "T1"), **columns).preparation
    assert preparation.registration == registration
    share = "0%" if registration == "check" else "10%"
    assert preparation.why["registration"].startswith(f"in {share} of the training cases")
    assert "registration" not in plan_of().preparation.why


def test_test_cases_do_not_decide_whether_channels_are_registered():
    aligned = [side == "train" for side in TESTED]
    columns = {"aligned": aligned, "notes": [""] * len(TESTED)}
    assert plan_of(split=TESTED, channels=("FLAIR", "T1"), **columns).preparation.registration == "check"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 20, "patients": 3}, "3 patients are too few to learn and to validate"),
        ({"n": 20, "size": (4, 4, 4)}, "too small to be outlined by a network"),
    ],
)
def test_what_cannot_be_learned_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        plan_of(**given)


def test_a_cohort_without_training_cases_is_refused():
    with pytest.raises(InputError, match="there is no training case"):
        plan_segment_validation(facts_of(n=20, split=["test"] * 20))


def test_too_little_memory_is_refused():
    facts = facts_of(split=TESTED)
    with pytest.raises(InputError, match=r"0.5 GiB of memory are free, too few for the smallest network"):
        make_segmentation_plan(facts, machine_of(facts, memory=0.5), Wishes(budget=2700.0))


def test_with_folds_nothing_is_tried_on_cases_that_another_fold_holds_out():
    folded, wanted = plan_of(), plan_of(folds=5, split=TESTED, budget=5400.0)
    for plan in (folded, wanted):
        assert plan.validation.scheme == "folds"
        assert len(plan.arms) == 1
        assert plan.choice.arm == plan.arms[0].name == "3d"
        assert not plan.choice.supervision_tried
        assert "another fold weighs" in plan.choice.why["supervision_tried"]
        assert (plan.use.mirror, plan.use.mirror_tried) == ([2], [])
        assert (plan.use.postprocess, plan.use.postprocess_tried) == ([], [])
        assert "a choice on validation cases would read cases that another fold weighs" in plan.use.why["mirror"]
        assert "another fold weighs" in plan.choice.why["arm"]
        assert plan.use.why["postprocess"] == "none: structures may be in parts"
        assert "weighted by a Gaussian" in plan.use.why["overlap"]
        assert SegmentationPlan.model_validate(plan.model_dump(by_alias=True)) == plan
    tested = plan_of(split=TESTED)
    assert tested.use.mirror_tried == [2]
    assert tested.use.postprocess_tried


def test_axes_of_a_network_of_slices_are_counted_in_its_patch():
    assert plan_of(**CARDIAC).arms[0].network.dims == 2
    assert plan_of(500_000.0, speed=1e7, **CARDIAC).use.mirror == [1]
    sided = plan_of(**{**CARDIAC, "classes": ("left", "right")})
    assert sided.use.mirror == []


def test_time_that_folds_need_for_choices_is_learned_in():
    facts = facts_of()
    entry = machine_of(facts).measured[0]
    assert plan_reserve(facts, 2700.0, entry, 2) < plan_reserve(facts, 2700.0, entry)
    facts, wishes = facts_of(), Wishes(budget=2700.0)
    plans = [
        make_segmentation_plan(facts, machine_of(facts), wishes, folds=3, outlines=count) for count in (1, 2, 0, 4)
    ]
    reserves = [plan.budget.reserve for plan in plans]
    assert reserves[0] < reserves[1] == reserves[2] < reserves[3]
    assert plans[0].members[0].steps > plans[3].members[0].steps


@pytest.mark.parametrize(
    ("name", "lesion"),
    [
        ("lesion", True),
        ("MS_lesions", True),
        ("LiverTumour", True),
        ("tumor-2", True),
        ("liver metastases", True),
        ("calcified plaque", True),
        ("Nodule", True),
        ("white matter hyperintensities", True),
        ("liver", False),
        ("peritumoral oedema", False),
        ("noduleless", False),
        ("hippocampus", False),
    ],
)
def test_labels_named_for_lesions_are_weighed_one_by_one(name, lesion):
    plan = plan_of(split=TESTED, classes=("organ", name))
    assert plan.target.lesions == ([name] if lesion else [])
    assert (repr(name) in plan.target.why["lesions"]) == lesion
    assert "one by one" in plan.target.why["lesions"]
