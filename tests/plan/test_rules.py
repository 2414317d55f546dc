from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.made import cohort_of, fingerprint_of, machine_of, plan_of
from semeion.errors import InputError
from semeion.plan.members import MOST_MEMBERS, plan_members
from semeion.plan.networks import candidates
from semeion.plan.rules import (
    DEFAULT_BUDGET,
    Measured,
    Wishes,
    class_weights,
    make_plan,
    plan_validation,
)
from semeion.plan.schema import ValidationPlan

GIVEN = ["train"] * 40 + ["val"] * 10 + ["test"] * 10


def labelled(counts, task="binary"):
    """Return a fingerprint with so many cases of each class."""
    y = [float(label) for label, count in enumerate(counts) for _ in range(count)]
    return fingerprint_of(cohort=cohort_of(len(y), task, y=y))


# Budget


def test_without_a_budget_it_takes_a_quarter_of_an_hour():
    plan = plan_of()
    assert plan.budget.seconds == DEFAULT_BUDGET == 900
    assert "no budget was given" in plan.budget.why["seconds"]
    assert plan_of(wishes=Wishes(budget=900)).budget.why["seconds"] == "asked for"


@given(st.floats(20, 20_000), st.floats(1e-10, 1e-7), st.sampled_from([None, GIVEN]))
@settings(max_examples=60, deadline=None)
def test_the_plan_fits_its_budget_and_uses_it(budget, seconds, split):
    facts = fingerprint_of(cohort=cohort_of(60, split=split))
    machine = machine_of(facts, seconds=seconds)
    try:
        plan = make_plan(facts, machine, Wishes(budget=budget))
    except InputError:
        return
    steps = sum(member.steps for member in plan.members)
    chosen = next(m for m in machine.measured if list(m.candidate.widths) == plan.network.widths)
    step = chosen.seconds[plan.training.precision] * plan.training.batch / chosen.candidate.batch
    assert steps * step <= budget - plan.budget.reserve + step + 0.1
    assert plan.budget.expected_seconds <= budget + 1
    # Whole steps are lost to rounding, one a member; else all of the time is planned, unless members may not grow more.
    full = min(1.0, 60 * 546 / 33_000)
    assert plan.budget.expected_seconds >= budget - len(plan.members) * step - 1 or len(plan.members) * 3 >= full


@given(st.floats(5, 60), st.floats(1e-9, 3e-6), st.sampled_from([None, GIVEN]), st.floats(0, 30))
@settings(max_examples=100, deadline=None)
def test_too_small_a_budget_is_refused_and_the_one_named_is_enough(budget, seconds, split, used):
    facts = fingerprint_of(cohort=cohort_of(60, split=split))
    machine = machine_of(facts, seconds=seconds)
    try:
        make_plan(facts, machine, Wishes(budget=budget, used=used))
    except InputError as error:
        assert re.fullmatch(
            rf"--budget: the budget of {budget:.0f} s leaves \d+ steps a member, fewer than the \d+ of one epoch; "
            r"allow at least \d+m",
            str(error),
        )
        minutes = int(re.findall(r"(\d+)m$", str(error))[0])
        assert 60 * minutes > budget
        make_plan(facts, machine, Wishes(budget=60.0 * minutes, used=used))


@given(st.integers(100, 3_000_000), st.sampled_from([None, GIVEN]), st.floats(0.5, 50))
@settings(max_examples=60, deadline=None)
def test_with_time_for_some_epochs_no_cohort_is_too_large(n, split, share):
    facts = fingerprint_of(cohort=cohort_of(60, split=split))
    facts["training"] |= {"cases": n, "patients": n, "labels": {"benign": n // 2, "malignant": n // 2}}
    machine = machine_of(facts)
    fastest = max(entry.images_per_second for entry in machine.measured)
    # Time enough for twenty epochs of every fold on the fastest network, and more.
    plan = make_plan(facts, machine, Wishes(budget=60 + 100 * n / fastest * max(1.0, share)))
    assert plan.members[0].steps * plan.training.batch >= 0.6 * n


def test_nothing_left_of_the_budget_is_no_step():
    facts = fingerprint_of()
    with pytest.raises(InputError, match="the budget of 60 s leaves 0 steps a member"):
        make_plan(facts, machine_of(facts), Wishes(budget=60, used=70))


def test_what_is_used_and_what_preparing_takes_is_not_learned_with():
    facts = fingerprint_of()
    machine = machine_of(facts, seconds=5e-8)
    free = make_plan(facts, machine, Wishes(budget=300))
    late = make_plan(facts, machine, Wishes(budget=300, used=60, still_to_prepare=60))
    assert sum(m.steps for m in late.members) < sum(m.steps for m in free.members)
    assert late.budget.expected_seconds <= 301


def test_a_slower_machine_takes_a_smaller_network():
    facts = fingerprint_of()
    widths = [
        make_plan(facts, machine_of(facts, seconds=seconds), Wishes(budget=900)).network.widths[0]
        for seconds in (1e-10, 2e-9, 2e-8, 1e-7)
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]


def test_a_budget_that_is_short_takes_the_fastest_and_says_so():
    facts = fingerprint_of()
    plan = make_plan(facts, machine_of(facts, seconds=2e-7), Wishes(budget=120))
    assert plan.network.widths[0] == 8
    assert plan.network.why["widths"].endswith("the fastest candidate, since the budget is short")


# Members


@given(
    st.floats(1, 1e5),
    st.floats(1e-3, 1),
    st.integers(2, 64),
    st.floats(100, 1e5),
    st.sampled_from([ValidationPlan(scheme="given"), *(ValidationPlan(scheme="folds", folds=k) for k in (2, 3, 5))]),
)
@settings(max_examples=100, deadline=None)
def test_members_are_equal_named_and_every_fold_has_as_many(seconds, step, batch, wanted, validation):
    members, why = plan_members(validation, seconds, step, batch, wanted, 7)
    assert 1 <= len(members) <= MOST_MEMBERS
    assert len({member.name for member in members}) == len({member.seed for member in members}) == len(members)
    assert len({member.steps for member in members}) == 1
    assert sum(member.steps for member in members) * step <= max(seconds, len(members) * step) + step
    folds = [member.fold for member in members]
    if validation.scheme == "given":
        assert set(folds) == {-1}
    else:
        assert {folds.count(fold) for fold in range(validation.folds)} == {len(members) // validation.folds}
    assert f"{len(members)} planned" in why


def test_the_seed_reaches_the_members():
    one, other = plan_of(wishes=Wishes(seed=1)), plan_of(wishes=Wishes(seed=2))
    assert one.seed == 1
    assert not {member.seed for member in one.members} & {member.seed for member in other.members}
    assert one == plan_of(wishes=Wishes(seed=1))
    # The largest seed that a plan may have gives seeds that members may have.
    assert all(member.seed < 2**31 for member in plan_of(wishes=Wishes(seed=2**31 - 1)).members)


# Validation


def test_a_given_split_with_validation_cases_is_honoured():
    plan = make_plan(facts := fingerprint_of(cohort=cohort_of(60, split=GIVEN)), machine_of(facts), Wishes())
    assert plan.validation.scheme == "given"
    assert plan.validation.why["scheme"] == "the table gives 40 train and 10 val cases; they choose everything"
    assert {member.fold for member in plan.members} == {-1}


def test_a_given_split_without_validation_cases_draws_folds_of_the_training_cases():
    facts = fingerprint_of(cohort=cohort_of(60, split=["train"] * 50 + ["test"] * 10))
    validation = plan_validation(facts)
    assert (validation.scheme, validation.folds) == ("folds", 5)
    assert "25 cases and there are 50 patients" in validation.why["folds"]


@pytest.mark.parametrize(("counts", "folds"), [((30, 30), 5), ((50, 10), 5), ((50, 9), 3), ((8, 8), 3), ((40, 3), 3)])
def test_small_classes_have_fewer_folds(counts, folds):
    assert plan_validation(labelled(counts)).folds == folds


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal"])
def test_a_class_with_fewer_than_three_cases_is_refused(task):
    counts = (20, 2) if task == "binary" else (20, 2, 20)
    name = {"binary": "malignant", "multiclass": "b", "ordinal": "mid"}[task]
    with pytest.raises(InputError) as caught:
        plan_validation(labelled(counts, task))
    assert caught.value.what == f"class '{name}' has 2 training cases; folds need at least 3 of every class"
    assert caught.value.fix == "bring more cases of it, leave it out, or merge it with another class"


def test_one_in_two_hundred_is_planned_with_few_folds_and_softened_weights():
    facts = labelled((1600, 8))
    found = plan_validation(facts)
    assert (found.scheme, found.folds) == ("folds", 3)
    weights, why = class_weights("binary", facts["training"])
    assert weights[1] / weights[0] == pytest.approx(math.sqrt(200), rel=1e-3)
    assert "200.0 times" in why and "undone in the shipped graph" in why


def test_a_class_without_any_training_case_is_refused_with_a_given_split_too():
    cohort = cohort_of(60, split=GIVEN, y=[0.0] * 40 + [0.0, 1.0] * 10)
    with pytest.raises(InputError, match="class 'malignant' has 0 training cases"):
        plan_validation(fingerprint_of(cohort=cohort))


def test_few_patients_are_refused():
    cohort = cohort_of(60, patients=[f"p{k % 3}" for k in range(60)])
    with pytest.raises(InputError, match="3 patients are too few to learn and to validate; bring at least 4 patients"):
        plan_validation(fingerprint_of(cohort=cohort))
    few = cohort_of(60, patients=[f"p{k % 7}" for k in range(60)])
    assert plan_validation(fingerprint_of(cohort=few)).folds == 3


def test_measured_values_and_several_labels_need_no_least_class():
    assert plan_validation(fingerprint_of(12, "regression")).folds == 3
    assert plan_validation(fingerprint_of(40, "multilabel")).folds == 5


# Preparation


def test_eight_bits_keep_their_stored_range():
    preparation = plan_of().preparation
    assert (preparation.intensity, preparation.window, preparation.channels) == ("stored", None, 1)
    assert "8 bits" in preparation.why["intensity"]


def test_more_bits_are_scaled_by_their_own_percentiles():
    preparation = plan_of(bits=12).preparation
    assert (preparation.intensity, preparation.window) == ("percentiles", None)
    mixed = plan_of(bits=[8] * 59 + [16]).preparation
    assert mixed.intensity == "percentiles"


def test_hounsfield_units_get_a_window_of_the_training_cases():
    preparation = plan_of(bits=12, unit="HU", modality="CT", p005=-1000.0, p995=800.0).preparation
    assert (preparation.intensity, preparation.window) == ("window", (-1000.0, 800.0))
    assert "HU" in preparation.why["intensity"]
    flat = plan_of(bits=12, unit="HU", p005=5.0, p995=5.0).preparation
    assert flat.window == (5.0, 6.0)


def test_a_unit_that_only_some_have_gives_no_window():
    assert plan_of(bits=12, unit=["HU"] * 50 + [None] * 10).preparation.intensity == "percentiles"


def test_colour_when_half_of_the_pictures_have_it():
    assert plan_of(channels=[3] * 30 + [1] * 30).preparation.channels == 3
    assert plan_of(channels=[3] * 29 + [1] * 31).preparation.channels == 1


def test_cleaning_is_as_the_scan_asks_with_its_reasons():
    wishes = Wishes(cleaning={"borders": (True, "borders: many"), "text": (False, "text: none")})
    preparation = plan_of(wishes=wishes).preparation
    assert preparation.clean.borders
    assert not preparation.clean.text
    assert preparation.why["clean.borders"] == "borders: many"
    assert preparation.why["clean.text"] == "text: none"


def test_size_and_fit_are_the_chosen_candidates():
    plan = plan_of(rows=40, cols=40)
    assert (plan.preparation.size, plan.preparation.fit) == ((40, 40), "stretch")
    mixed = plan_of(rows=[40] * 30 + [20] * 30, cols=[20] * 30 + [40] * 30)
    assert mixed.preparation.fit == "pad"
    assert "padded" in mixed.preparation.why["fit"]


# Training


@pytest.mark.parametrize(
    ("modality", "mirrored"), [("US", True), ("SM", True), ("XC", True), ("DX", False), ("CT", False), (None, False)]
)
def test_pictures_are_mirrored_where_sides_mean_nothing(modality, mirrored):
    augmentation = plan_of(modality=modality).training.augmentation
    assert augmentation.flip_horizontal is mirrored
    assert not augmentation.flip_vertical
    assert ("left and right carry no meaning" if mirrored else "off") in augmentation.why["flip_horizontal"]


def test_class_weights_soften_an_imbalance_by_its_root():
    assert class_weights("binary", {"labels": {"a": 100, "b": 50}}) == (
        [],
        "the largest class has 2.0 times the cases of the smallest: no weights needed",
    )
    weights, why = class_weights("binary", {"labels": {"a": 90, "b": 10}})
    assert weights == pytest.approx([math.sqrt(50 / 90), math.sqrt(50 / 10)], abs=1e-4)
    assert "9.0 times" in why
    three, _ = class_weights("multiclass", {"labels": {"a": 90, "b": 10, "c": 0}})
    assert three == pytest.approx([math.sqrt(101 / 3 / n) for n in (90, 10, 1)], abs=1e-4)


def test_class_weights_of_the_other_tasks():
    assert class_weights("regression", {"labels": {"min": 1.0}})[0] == []
    weights, why = class_weights("multilabel", {"labels": {"a": 10, "b": 80}, "known": {"a": 100, "b": 100}})
    assert weights == [3.0, 1.0]
    assert "root of absent over present" in why


def test_unknown_labels_do_not_count_as_absent():
    cohort = cohort_of(60, "multilabel")
    # Of the 30 cases that are known to 'mass', 15 have it: balanced, however many are unknown.
    cohort.table.loc[30:, "y.mass"] = float("nan")
    weights, _ = class_weights("multilabel", fingerprint_of(cohort=cohort)["training"])
    assert weights[0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("factor", "wanted"), [(None, "float32"), (0.95, "float32"), (0.5, "bfloat16")])
def test_precision_is_the_faster_one(factor, wanted):
    facts = fingerprint_of()
    plan = make_plan(facts, machine_of(facts, bfloat16=factor), Wishes())
    assert plan.training.precision == wanted
    assert "float32" in plan.training.why["precision"]


def test_throughput_is_that_of_the_faster_precision():
    candidate = candidates(fingerprint_of())[0]
    assert Measured(candidate, {"float32": 1.0, "bfloat16": 0.5}).images_per_second == candidate.batch / 0.5


@pytest.mark.parametrize("n", [12, 20, 60, 400])
def test_a_batch_is_no_more_than_half_of_the_learning_cases(n):
    plan = plan_of(n, "regression")
    assert 2 <= plan.training.batch <= max(2, n / 2)


def test_device_and_threads_are_the_machines():
    facts = fingerprint_of()
    plan = make_plan(facts, replace(machine_of(facts), threads=3, device="cuda"), Wishes())
    assert (plan.training.threads, plan.training.device) == (3, "cuda")


# All of it


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal", "multilabel", "regression"])
def test_a_plan_is_about_its_target_and_a_pure_function(task):
    plan = plan_of(task=task)
    assert plan.target.task == task
    assert plan == plan_of(task=task)
    weighed = {"binary", "multiclass", "multilabel"}
    assert (plan.training.label_smoothing > 0) == (task in weighed)


def test_the_rule_of_the_operating_point_is_kept():
    assert plan_of(wishes=Wishes(operating_point="sensitivity=0.95")).operating_point.rule == "sensitivity=0.95"


@pytest.mark.parametrize("split", [None, GIVEN])
def test_every_decision_has_its_reason(split):
    facts = fingerprint_of(cohort=cohort_of(60, split=split))
    plan = make_plan(facts, machine_of(facts), Wishes(cleaning={"text": (True, "text: seen")}))
    for section, decisions in {
        "preparation": {"size", "channels", "intensity", "fit", "clean.text"},
        "network": {"widths"},
        "training": {"batch", "learning_rate", "class_weights", "label_smoothing", "precision"},
        "validation": {"scheme", "members"} | ({"folds", "inner_share"} if split is None else set()),
        "operating_point": {"rule"},
        "budget": {"seconds", "expected_seconds", "expected_gib"},
    }.items():
        why = getattr(plan, section).why
        assert decisions <= set(why), f"{section} lacks {decisions - set(why)}"
        assert all(len(reason) > 7 for reason in why.values())
    assert {"rotation", "flip_horizontal", "brightness"} <= set(plan.training.augmentation.why)


def test_the_target_says_how_it_was_understood():
    cohort = cohort_of()
    cohort = replace(cohort, target=replace(cohort.target, why="two values, so two classes"))
    facts = fingerprint_of(cohort=cohort)
    assert make_plan(facts, machine_of(facts), Wishes()).target.why == {"task": "two values, so two classes"}
