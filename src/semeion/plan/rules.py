"""From facts to decisions: pure functions of the fingerprint, the measured machine and the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from semeion.errors import InputError
from semeion.plan.classic import NO_CLASSIC, plan_classic
from semeion.plan.classic import SHARE as CLASSIC_SHARE
from semeion.plan.members import members_of, plan_members
from semeion.plan.networks import Candidate
from semeion.plan.parallel import Beside, plan_together
from semeion.plan.picture_rules import plan_preparation
from semeion.plan.portfolio import plan_ways, recipe_of
from semeion.plan.recipes import OWN, TrainingPlan
from semeion.plan.schema import (
    BudgetPlan,
    CombinationPlan,
    OperatingPointPlan,
    Plan,
    TargetPlan,
    ValidationPlan,
)
from semeion.plan.search import NO_SEARCH, plan_search
from semeion.plan.sets import plan_sets
from semeion.plan.volume_rules import plan_augmentation, plan_images, plan_network

DEFAULT_BUDGET = 15 * 60.0
PRESENTATIONS = 33_000
"""Images that a member should see when it learns from `REFERENCE_CASES` cases: 60 epochs, enough in our trials."""
REFERENCE_CASES = 546
GROWTH = 0.35
"""Presentations grow with this power of the number of cases: more cases need fewer epochs."""
SETTLED = 512
"""Learning cases that batch statistics are taken from, at most, at every validation."""
WORSE = 0.05
"""Share of a budget for reading test images made worse, where there are test cases."""
TRIED = 0.04
"""Share of a budget for the trials that explanations must stand before the model shows them."""
LOOK = 0.001
"""Seconds that weighing a case takes, looking at it by small networks included."""
SAFE_SHARE = 0.8
"""Share of the free memory that a network may need."""
MIRRORED_MODALITIES = {"US", "GM", "SM", "ES", "OP", "DMS", "XC"}
"""DICOM modalities whose left-right direction carries no meaning: ultrasound, microscopy, endoscopy, fundus, skin,
photographs."""


class BudgetTooSmall(InputError):
    """A budget that does not last for one epoch of the smallest network."""

    seconds = 0.0
    """Those that would, as far as is known."""


@dataclass(frozen=True)
class Measured:
    """One candidate on this machine: seconds of a training step by precision (``float32``, ``bfloat16``), and memory.

    `peak_gib` is the largest memory of the process until this candidate had been measured, the cheaper ones before it.
    """

    candidate: Candidate
    seconds: dict[str, float]
    peak_gib: float = 0.0
    estimated: bool = False
    """Whether it is told from a smaller one, since measuring it took too long."""

    @property
    def precision(self) -> str:
        """The faster precision; float32 unless bfloat16 gains a tenth."""
        slow, fast = self.seconds["float32"], self.seconds.get("bfloat16", math.inf)
        return "bfloat16" if fast < 0.9 * slow else "float32"

    @property
    def images_per_second(self) -> float:
        """Training throughput at the faster precision."""
        return self.candidate.batch / self.seconds[self.precision]


@dataclass(frozen=True)
class Machine:
    """What ``machine.json`` says: facts of this machine, measured."""

    threads: int
    memory_gib: float
    """Memory that was free for this process when it was measured."""
    device: str
    measured: list[Measured]
    facts: dict[str, Any] = field(default_factory=dict)
    pretrained: list[Measured] = field(default_factory=list)
    """Pretrained networks, measured alike, best first."""
    beside: tuple[Beside, ...] = ()
    """The chosen network in one process and in several at once; empty where that was not measured."""


@dataclass(frozen=True)
class Wishes:
    """What the user asked for, and what has been used of the budget."""

    budget: float | None = None
    """Seconds for the whole run; None takes 15 minutes."""
    used: float = 0.0
    """Seconds of it that are over."""
    still_to_prepare: float = 0.0
    """Seconds that preparing the store should take."""
    aside: float = 0.0
    """Seconds for learning that are set aside for members which learn from images without labels."""
    seed: int = 0
    operating_point: str = "youden"
    sets: float | None = None
    """Stated coverage of sets of classes; 0 makes none, None takes the usual one."""
    ship: Literal["ensemble", "single"] = "ensemble"
    """Whether all members ship, or one."""
    classic: bool = True
    """Whether the classic small network is wanted as a baseline."""
    jobs: int | None = None
    """How many members may learn at once."""
    slots: int = 0
    """Members that a cluster learns at once; 0 without one."""
    search: bool = True
    """Whether how to learn may be searched, where that is worth its time."""
    cleaning: dict[str, tuple[bool, str]] = field(default_factory=dict)
    """Per cleaning step, whether the fingerprint asks for it, and why."""


def make_plan(
    facts: dict[str, Any], machine: Machine, wishes: Wishes, validation: ValidationPlan | None = None
) -> Plan:
    """Decide everything.

    Parameters
    ----------
    facts
        :func:`semeion.plan.fingerprint.fingerprint`.
    machine
        Measured throughput of the candidates of :func:`semeion.plan.networks.candidates`.
    wishes
        The user's.
    validation
        Where it is fixed beforehand; None: :func:`plan_validation` decides.

    Raises
    ------
    InputError
        When the cohort cannot be divided.
    BudgetTooSmall
        When the budget does not last for one epoch of the smallest network.
    """
    training = facts["training"]
    budget = wishes.budget or DEFAULT_BUDGET
    validation = validation or plan_validation(facts)
    reserve = plan_reserve(facts, budget)
    seconds = budget - wishes.used - wishes.still_to_prepare - reserve - wishes.aside
    learning_cases = training["cases"] * (1 - validation.inner_share if validation.scheme == "folds" else 1)
    if validation.scheme == "folds":
        learning_cases *= 1 - 1 / validation.folds
    classic_step = machine.facts.get("classic_step")
    planned = plan_classic(learning_cases, validation, budget, seconds, classic_step)
    classic, no_classic = planned if wishes.classic else (None, NO_CLASSIC)
    seconds -= classic.seconds if classic else 0.0
    # However many the cases, a member should see each of them twice.
    wanted = max(PRESENTATIONS * (training["cases"] / REFERENCE_CASES) ** GROWTH, 2 * learning_cases)
    fitting = [option for option in machine.measured if option.peak_gib <= SAFE_SHARE * machine.memory_gib]
    if not fitting:
        raise InputError(
            f"{machine.memory_gib:.1f} GiB of memory are free, too few for the smallest network",
            where="this machine",
            fix="end other programs, or use a machine with more memory",
        )
    folds = validation.folds if validation.scheme == "folds" else 1
    pretrained = [option for option in machine.pretrained if option.peak_gib <= SAFE_SHARE * machine.memory_gib]
    ways, ways_why = plan_ways(facts, pretrained, folds, seconds, learning_cases, wishes.aside)
    # What they still have to read when all has been learned is no time for learning.
    reading = sum(way.reading for way in ways)
    reserve += reading
    seconds -= sum(way.seconds + way.reading for way in ways)
    chosen, why = choose_network(fitting, seconds, wanted, validation)
    batch = min(chosen.candidate.batch, max(2, 2 ** int(math.log2(max(learning_cases / 2, 2)))))
    step_seconds = chosen.seconds[chosen.precision] * batch / chosen.candidate.batch
    whole = budget - reserve
    search, no_search = plan_search(seconds / step_seconds * batch / wanted / folds, seconds, whole)
    if not wishes.search:
        search, no_search = None, NO_SEARCH
    seconds -= search.share * whole if search else 0.0
    least = max(1, round(learning_cases / batch))
    together = plan_together(
        lambda step, at_once: plan_members(validation, seconds, step, batch, wanted, wishes.seed, at_once),
        *(step_seconds, machine.threads, least, machine.beside, chosen.peak_gib, machine.memory_gib),
        most=wishes.jobs or 256,
        slots=wishes.slots,
        gpus=int(machine.facts.get("gpus", 1)) if machine.device == "cuda" else 1,
    )
    members, step_seconds = together.members, together.step_seconds
    affordable = members[0].steps if seconds > 0 else 0
    if affordable < least:
        need = 1.001 * least * len(members) * step_seconds + wishes.used + wishes.still_to_prepare
        minutes = math.ceil(need / 60)
        # What is kept for the end grows with the budget.
        while 60 * minutes * (1 - CLASSIC_SHARE) - plan_reserve(facts, 60.0 * minutes) < need:
            minutes += 1
        error = BudgetTooSmall(
            f"the budget of {budget:.0f} s leaves {affordable} steps a member, fewer than the {least} of one epoch",
            where="--budget",
            fix=f"allow at least {minutes}m",
        )
        error.seconds = 60.0 * minutes
        raise error
    validation.why["members"] = together.why
    steps = sum(member.steps for member in members)
    sides = [way.measured.candidate.side for way in ways]
    preparation = plan_preparation(facts, chosen.candidate, wishes.cleaning, sides)
    training_plan = plan_training(facts, chosen, batch, machine, plan_evaluations(facts, validation, wanted))
    training_plan.threads = together.threads
    # Of other networks it was not measured what they lose beside others; their pace is seen when they learn.
    crowded = together.parallel.processes
    return Plan(
        schema=1,
        seed=wishes.seed,
        target=TargetPlan(
            name=facts["target"],
            task=facts["task"],
            classes=facts["classes"],
            positive=facts["positive"],
            why={"task": facts["why"]},
        ),
        images=plan_images(facts),
        preparation=preparation,
        network=plan_network(facts, chosen.candidate, why, smaller=preparation.size != chosen.candidate.size),
        training=training_plan,
        recipes={way.name: recipe_of(way, training_plan) for way in ways},
        validation=validation,
        members=[*members_of(ways, validation, wishes.seed), *members],
        combination=CombinationPlan(
            ship=wishes.ship,
            why={**ways_why, "method": "weights that do better than equal ones on patients left out, else equal ones"},
        ),
        baseline=classic,
        search=search,
        operating_point=plan_operating_point(facts["task"], wishes.operating_point),
        sets=plan_sets(facts, validation, wishes.sets),
        parallel=together.parallel,
        budget=BudgetPlan(
            seconds=budget,
            reserve=round(reserve, 1),
            reading=round(plan_reading(facts) + reading, 1),
            step_seconds={OWN: step_seconds, **{way.name: way.step_seconds * crowded for way in ways if way.steps}},
            expected_seconds=round(budget - seconds + together.seconds, 1),
            expected_gib=round(chosen.peak_gib * (crowded + 1 if crowded > 1 else 1), 2),
            why={
                "seconds": "asked for" if wishes.budget else "no budget was given, so 15 minutes",
                "expected_seconds": f"{steps} steps of {step_seconds:.3f} s as measured, "
                f"{f'{together.slots} at once, ' if together.slots > 1 else ''}and {budget - seconds:.0f} s "
                f"for reading, preparing, {'the classic network, ' if classic else ''}"
                f"{'pretrained networks, ' if ways else ''}{'the search, ' if search else ''}export, "
                "prediction, evidence and report",
                "expected_gib": "memory of the process while this network was measured",
                **({} if classic else {"baseline": no_classic}),
                **({} if search else {"search": no_search}),
            },
        ),
    )


def plan_reserve(facts: dict[str, Any], budget: float) -> float:
    """Return seconds kept for export, prediction, evidence, report, trials of explanations, and images made worse."""
    worse = WORSE * budget if facts["has_split"] and facts["cases"].get("test", 0) else 0.0
    return float(8.0 + (0.02 + TRIED) * budget + plan_reading(facts) + worse)


def plan_reading(facts: dict[str, Any]) -> float:
    """Return those of the seconds of :func:`plan_reserve` in which small networks look at what is weighed."""
    weighed = sum(facts["cases"].values()) - (facts["cases"].get("train", 0) if facts["has_split"] else 0)
    return float(weighed * LOOK)


def plan_validation(facts: dict[str, Any]) -> ValidationPlan:
    """Use the given split when it has validation cases, else patient-grouped folds."""
    cases, training = facts["cases"], facts["training"]
    if not training["cases"]:
        raise InputError("there is no training case", where="the split", fix="name some cases train, or use --no-split")
    classes = {} if facts["task"] in ("regression", "multilabel") else training["labels"]
    empty = [label for label, count in classes.items() if not count]
    if empty:
        raise InputError(
            f"class {empty[0]!r} has 0 training cases",
            where=f"target {facts['target']!r}",
            fix="correct the split, or leave the class out",
        )
    if facts["has_split"] and cases.get("val", 0):
        given = f"the table gives {cases.get('train', 0)} train and {cases['val']} val cases; they choose everything"
        why = {"scheme": given}
        return ValidationPlan(scheme="given", why=why)
    smallest = training["cases"]
    if classes:
        label, smallest = min(classes.items(), key=lambda item: item[1])
        if smallest < 3:
            raise InputError(
                f"class {label!r} has {smallest} training cases; folds need at least 3 of every class",
                where=f"target {facts['target']!r}",
                fix="bring more cases of it, leave it out, or merge it with another class",
            )
    if training["patients"] < 4:
        raise InputError(
            f"{training['patients']} patients are too few to learn and to validate",
            where="the cohort",
            fix="bring at least 4 patients, better hundreds",
        )
    folds = 5 if smallest >= 10 and training["patients"] >= 25 else min(3, smallest)
    return ValidationPlan(
        scheme="folds",
        folds=folds,
        why={
            "scheme": "no validation split is given, so every case is held out once, with all cases of its patient",
            "folds": f"the smallest class has {smallest} cases and there are {training['patients']} patients",
            "inner_share": "early stopping, calibration and threshold of a fold use an inner split of its other cases",
        },
    )


def choose_network(
    measured: list[Measured], seconds: float, wanted: float, validation: ValidationPlan
) -> tuple[Measured, str]:
    """Return the first candidate, best first, whose members can see enough images in `seconds`, and why."""
    least_members = validation.folds if validation.scheme == "folds" else 3
    for option in measured:
        affordable = seconds * option.images_per_second / wanted
        enough = option.candidate.wants_members * (least_members / 3)
        if affordable >= max(enough, 0.75 * least_members):
            larger = "it is the largest candidate" if option is measured[0] else "larger ones allow too few"
            return option, (
                f"{option.candidate.describe()} learn from {option.images_per_second:.0f} images a second here, so "
                f"{seconds:.0f} s allow {affordable:.1f} members of {wanted:.0f} images; {larger}"
            )
    option = max(measured, key=lambda item: item.images_per_second)
    return option, f"{option.candidate.describe()}: the fastest candidate, since the budget is short"


def plan_evaluations(facts: dict[str, Any], validation: ValidationPlan, wanted: float) -> int:
    """Return how often a member is validated: 20 times, fewer where that would take more than a tenth of its time.

    Validating an image costs about a third of learning from it, and so does taking batch statistics from one.
    """
    cases, learned = facts["cases"].get("val", 0), float(facts["training"]["cases"])
    if validation.scheme == "folds":
        learned *= 1 - 1 / validation.folds
        cases = learned * validation.inner_share
    cases += min(SETTLED, learned)
    return int(min(20, max(5, 0.3 * wanted / max(cases, 1))))


def plan_training(
    facts: dict[str, Any], chosen: Measured, batch: int, machine: Machine, evaluations: int
) -> TrainingPlan:
    """Decide rate, loss, precision and augmentation."""
    training = facts["training"]
    weights, weights_why = class_weights(facts["task"], training)
    modality = max(training["modality"], key=training["modality"].get, default="")
    mirrored = modality in MIRRORED_MODALITIES
    seconds = ", ".join(f"{name} {value:.3f} s" for name, value in chosen.seconds.items())
    augmentation = plan_augmentation(chosen.candidate, modality, mirrored)
    deep = len(chosen.candidate.widths) > 3
    return TrainingPlan(
        batch=batch,
        learning_rate=2e-3 if deep else 4e-3,
        evaluations=evaluations,
        patience=max(3, round(0.4 * evaluations)),
        class_weights=weights,
        label_smoothing=0.05 if facts["task"] in ("binary", "multiclass", "multilabel") else 0.0,
        precision=chosen.precision,
        device=machine.device,
        threads=machine.threads,
        augmentation=augmentation,
        why={
            "precision": f"measured for one step: {seconds}",
            "batch": f"{batch} images a step, as measured; at most about half of the cases that a member learns from",
            "label_smoothing": "softened labels keep a small network from overconfidence; grades and values have none",
            "learning_rate": "peak of one cycle with AdamW; less for deeper networks",
            "class_weights": weights_why,
            "averaging": "averaged weights generalise better than the last ones and make validation steady",
            "evaluations": "20, or as many as take a tenth of a member's time",
            "patience": "evaluations without a better validation loss after which a member stops, once its rate falls",
        },
    )


def class_weights(task: str, training: dict[str, Any]) -> tuple[list[float], str]:
    """Return loss weights that soften an imbalance of more than 2 to 1, by the square root of the inverse frequency."""
    if task == "regression":
        return [], "a measured value has no classes"
    counts = [max(1, count) for count in training["labels"].values()]
    if task == "multilabel":
        known = training["known"].values()
        weights = [math.sqrt(max(1.0, (n - count) / count)) for n, count in zip(known, counts, strict=True)]
        return [round(weight, 4) for weight in weights], "each label's presence weighs the root of absent over present"
    ratio = max(counts) / min(counts)
    if ratio <= 2:
        return [], f"the largest class has {ratio:.1f} times the cases of the smallest: no weights needed"
    weights = [math.sqrt(sum(counts) / len(counts) / count) for count in counts]
    why = f"the largest class has {ratio:.1f} times the cases of the smallest: weights by the root of the inverse "
    why += "frequency, their effect on probabilities undone in the shipped graph"
    return [round(weight, 4) for weight in weights], why


def plan_operating_point(task: str, rule: str) -> OperatingPointPlan:
    """Return the rule of the threshold with its reason."""
    reasons = {
        "binary": "on pooled calibrated validation predictions; stored as a number",
        "multilabel": "per label, on pooled calibrated validation predictions",
        "regression": "a measured value has no operating point",
    }
    return OperatingPointPlan(rule=rule, why={"rule": reasons.get(task, "several classes: the largest probability")})
