"""Learns the members of a plan within the budget, and chooses how they become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json, write_json
from semeion.errors import Interrupted
from semeion.evidence.question import Question
from semeion.plan.recipes import OWN
from semeion.plan.schema import MemberPlan, Plan, Shortened
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.progress import Progress
from semeion.study.clock import Clock
from semeion.study.combining import Combination, choose_single, choose_weights
from semeion.study.folder import RunFolder
from semeion.study.members.covariates import HALVES, halves, without_say
from semeion.study.members.crews import crew_for
from semeion.study.members.following import Fold, next_member, step_seconds
from semeion.study.members.frozen import Banks
from semeion.study.members.lighter import as_lightened
from semeion.study.members.outputs import Looked, member_folder, member_outputs, shipped_bytes
from semeion.study.members.reading import LOOK, Reading, reading_of
from semeion.study.members.rounds import Rounds
from semeion.study.members.searched import Searched
from semeion.study.members.searching import firsts_of, search_folds
from semeion.study.members.shares import left_for_learning
from semeion.study.members.shown import Shown
from semeion.study.members.standing import standing

WORTHWHILE = 0.002
"""Relative gain in validation loss over the last `PATIENT` members below which no member is added."""
PATIENT = 5


ALONE = "one member"
COMPLETE = "complete.json"
"""Of ``members/``: why no more was learned, where others were taught by the ensemble, so that a resume adds none."""


@dataclass(frozen=True)
class Alone:
    """One member of a fold speaks for it."""

    weights: dict[str, float]
    reason: str
    method: str = ALONE


@dataclass
class Trained:
    """The members of a run as they became.

    Attributes
    ----------
    plan
        The plan with the members and steps that were really done.
    facts
        Each member's ``member.json``.
    ended
        Why no more was learned.
    validation
        Member name to its output, as it ships, for the rows of ``sides[fold].validate``, ``(rows, outputs)``.
    combinations
        Of each fold, how its members become one.
    planned
        Members that the plan began with.
    single
        The member that ships alone, of which fold ever; None: all that have a share.
    interrupted
        Whether the user stopped it, with every fold having a member.
    notes
        What a reader should know: members that could not learn.
    searches
        What came of the search of each fold.
    beside_gib
        Largest memory of further processes that learned on this machine.
    reading
        What the members will still have to look at when all have learned.
    """

    plan: Plan
    facts: list[dict[str, Any]] = field(default_factory=list)
    ended: str = "fixed plan"
    validation: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    combinations: dict[int, Combination | Alone] = field(default_factory=dict)
    planned: int = 0
    single: str | None = None
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    searches: list[Searched] = field(default_factory=list)
    beside_gib: float = 0.0
    reading: Reading = field(init=False)

    def __post_init__(self) -> None:
        self.reading = Reading(self.plan.budget.reserve, self.plan.budget.reading)

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        """Return the shares of members that say something together, of those that have one; they sum to 1.

        Folds count alike, however many members each has; where one member ships, it alone speaks for several folds.
        """
        fold = {member.name: member.fold for member in self.plan.members}
        if self.single is not None and len({fold[name] for name in names}) > 1:
            return {self.single: 1.0}
        shares = {}
        for name in names:
            chosen = self.combinations.get(fold[name])
            share = 1.0 / sum(fold[other] == fold[name] for other in names)
            shares[name] = share if chosen is None else chosen.weights.get(name, 0.0)
        total = sum(shares.values())
        if total <= 0:
            return {}
        return {name: share / total for name, share in shares.items() if share > 0}


def train_members(
    run: RunFolder,
    plan: Plan,
    store: Store,
    y: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
    sides: list[Sides],
    clock: Clock,
    progress: Progress,
    stop: Callable[[], bool],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
) -> Trained:
    """Train what the plan says, and with a budget as many more members as fit and help.

    Parameters
    ----------
    run, plan, store, y, groups, sides
        Where, what, prepared images, reference standard and patient in cohort order, rows of each fold.
    clock
        Its budget counts when the plan has one.
    progress, stop
        For the bar, and whether the user asked to stop.
    jobs
        How many members may learn at once; None: as the plan has it.
    cluster
        Address of a Ray cluster whose nodes learn; None: this machine.

    Raises
    ------
    Interrupted
        When the user stopped it before every fold had a member; after the checkpoint was written.
    TrainingFailed
        When no member of a fold can learn.
    """
    done = Trained(plan.model_copy(deep=True), planned=len(plan.members))
    place = Place(run, store, Banks(run, plan, store, stop), y, groups, {side.fold: side for side in sides})
    executed = done.plan
    done.notes += as_lightened(run, executed)
    timed = plan.budget.seconds is not None
    done.reading = reading_of(plan, sides, store.n)
    done.reading.keep(executed)
    losses: list[float] = []
    shown = Shown(progress, plan, clock)

    def take_in(member: MemberPlan) -> None:
        facts = read_json(member_folder(run, member) / "member.json")
        member.steps = facts["steps_planned"]
        member.shortened = [Shortened(**change) for change in facts["shortened"]]
        done.facts.append(facts)
        rows, took = place.sides[member.fold].validate, list[float]()
        done.validation[member.name] = place.says(executed, member, rows, took.append)
        done.reading.saw(member.recipe, took[0] / len(rows) if took and len(rows) else facts.get(LOOK))
        done.reading.keep(executed)
        losses.append(pooled_loss(done, y, place.sides))
        shown.stands(member.name, *stands(done, place))
        run.log("member", name=member.name, seconds=facts["seconds"], ensemble_validation_loss=losses[-1])

    with crew_for(run, executed, jobs, cluster, stop, lambda line: run.log("evaluation", **line)) as crew:
        rounds = Rounds(
            *(place, done, clock, shown, stop, crew),
            add=lambda: timed and _add_member(place, done, clock, losses),
            take_in=take_in,
            search=lambda: _search(place, done, clock, shown, stop),
        )
        stopped = rounds.run()
        done.beside_gib = crew.peak_gib
    finished = [member for member in executed.members if member.name in done.validation]
    if stopped:
        if {member.fold for member in finished} != set(place.sides):
            raise Interrupted("stopped by the user", fix="continue with `semeion resume`")
        # Every fold has something to say: what was learned so far is worth weighing.
        done.ended, done.interrupted = "stopped by the user", True
    executed.members[:] = finished
    # Who was quicker is of no account in what is told and repeated.
    order = {member.name: place for place, member in enumerate(finished)}
    done.facts.sort(key=lambda facts: order[facts["name"]])
    progress.finish()
    if timed and done.ended == "fixed plan":
        done.ended = "budget"
    executed.budget.seconds, executed.search = None, None
    executed.budget.reserve = plan.budget.reserve
    combine_folds(run, done, y, groups, place.sides)
    return done


def stands(done: Trained, place: Place) -> tuple[str, int]:
    """Return how good the ensemble so far is on validation cases, in words, and how many they are."""
    values, rows = _pooled(done, place.sides)
    target = done.plan.target
    positive = target.classes.index(target.positive) if target.positive in target.classes else None
    return standing(values, place.y[rows], place.groups[rows], target.task, positive), len(rows)


@dataclass(frozen=True)
class Place:
    """What every member of a run learns from, and where it is kept: see :func:`train_members`."""

    run: RunFolder
    store: Store
    banks: Banks
    y: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64]
    sides: dict[int, Sides]

    def says(
        self, plan: Plan, member: MemberPlan, rows: npt.NDArray[np.int64], looked: Looked = lambda _seconds: None
    ) -> npt.NDArray[np.float64]:
        """Return what a finished member says of `rows`; `looked` is called with the seconds its network took."""
        return member_outputs(self.run, plan, member, self.store, self.banks, rows, looked)


def choose_one(
    run: RunFolder,
    done: Trained,
    y: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
    by_fold: dict[int, Sides],
) -> None:
    """Let one member a fold speak, the smallest that is about as good as the best, and one of them ship.

    Of several folds it is that of the least validation loss: all describe one procedure, and each is of other cases.
    """
    plan, told, losses = done.plan, {}, {}
    for fold, side in by_fold.items():
        own = [member for member in plan.members if member.fold == fold]
        one = choose_single(
            {member.name: done.validation[member.name] for member in own},
            y[side.validate],
            groups[side.validate],
            plan.target.task,
            cost={member.name: shipped_bytes(run, member) for member in own},
        )
        weights = {member.name: float(member.name == one.name) for member in own}
        done.combinations[fold] = Alone(weights, one.reason)
        told[str(fold)] = {"weights": weights, "method": ALONE, "reason": one.reason, "losses": one.losses}
        losses[one.name] = one.losses[one.name]
    done.single = min(losses, key=lambda name: (losses[name], name))
    write_json(run / "combination.json", told)


def as_weights(shares: dict[str, float]) -> list[float] | None:
    """Return shares as the weights of a combination, None where all are the same: a plain mean."""
    values = list(shares.values())
    return None if max(values) - min(values) < 1e-12 else values


def combine_folds(
    run: RunFolder,
    done: Trained,
    y: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
    by_fold: dict[int, Sides],
) -> None:
    """Choose how the members of each fold become one, by the fold's own validation cases, and keep it."""
    plan = done.plan
    if plan.combination.ship == "single":
        choose_one(run, done, y, groups, by_fold)
        return
    if plan.combination.method == "equal" and not plan.covariates:
        return
    for fold, side in by_fold.items():
        kinds = {m.name: m.recipe or OWN for m in plan.members if m.fold == fold and m.name in done.validation}
        for name in without_say(plan, list(kinds), done.facts):
            del kinds[name]
        if plan.combination.method == "equal":
            done.combinations[fold] = Alone(halves(plan, list(kinds)), HALVES, "equal")
            continue
        done.combinations[fold] = choose_weights(
            {name: done.validation[name] for name in kinds},
            y[side.validate],
            groups[side.validate],
            plan.target.task,
            kinds=kinds,
            seed=plan.seed,
        )
    for fold, one in done.combinations.items():
        if plan.covariates and isinstance(one, Combination) and one.method == "equal":
            shares = halves(plan, list(one.weights))
            if shares != one.weights:
                done.combinations[fold] = replace(one, weights=shares, reason=f"{one.reason}; {HALVES}")
    told = {str(fold): one.to_json() for fold, one in done.combinations.items() if isinstance(one, Combination)}
    write_json(run / "combination.json", told)


def pooled_loss(done: Trained, y: npt.NDArray[np.float64], by_fold: dict[int, Sides]) -> float:
    """Return the validation loss of each fold's ensemble so far, pooled over folds."""
    from semeion.learn.objective import validation_loss

    values, rows = _pooled(done, by_fold)
    return validation_loss(values, y[rows], done.plan.target.task)


def _pooled(done: Trained, by_fold: dict[int, Sides]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the mean of each fold's members so far for its validation cases, pooled, and their rows."""
    values, rows = [], []
    for fold, side in by_fold.items():
        outputs = [done.validation[m.name] for m in done.plan.members if m.fold == fold and m.name in done.validation]
        if outputs:
            values.append(np.mean(outputs, axis=0))
            rows.append(side.validate)
    return np.concatenate(values), np.concatenate(rows)


def question_of(plan: Plan) -> Question:
    """Return the plan's target as the evidence room knows it."""
    target = plan.target
    return Question(target.name, target.task, tuple(target.classes), target.positive)


def _search(place: Place, done: Trained, clock: Clock, shown: Shown, stop: Callable[[], bool]) -> bool:
    """Search how to learn better, and plan a member of what each fold found; return whether the user stopped it."""
    plan, steps = done.plan, step_seconds(done.plan, done.facts)
    sides, said = list(place.sides.values()), done.validation
    try:
        done.searches = search_folds(
            *(place.run, plan, place.store, place.y, place.groups, sides, said, steps, clock, stop, shown.of_search)
        )
    except Interrupted:
        return True
    firsts = firsts_of(plan)
    index = 1 + max(number for number, one in enumerate(plan.members) if one.name in firsts)
    plan.search = None
    for found in done.searches:
        place.run.log("search", fold=found.fold, trials=len(found.tried), seconds=found.seconds, recipe=found.name)
        if found.recipe is not None and found.name is not None:
            plan.recipes[found.name] = found.recipe
            plan.budget.step_seconds[found.name] = found.step_seconds
            plan.members.insert(index, found.member(plan.seed))
            done.planned, index = done.planned + 1, index + 1
    as_lightened(place.run, plan)
    done.reading.keep(plan)
    tried = sum(len(found.tried) for found in done.searches)
    if tried and plan.validation.scheme == "given":
        done.notes.append(f"{tried} trials of how to learn were judged by the val cases, so figures on them flatter.")
    return False


def _add_member(place: Place, done: Trained, clock: Clock, losses: list[float]) -> bool:
    """Append one more member when there is time for most of one and the last ones helped; say why not otherwise."""
    plan, file = done.plan, place.run / "members" / "added.json"
    added = read_json(file) if file.exists() else []
    if (known := len(plan.members) - done.planned) < len(added):
        # It was begun, and maybe finished, before an interruption.
        plan.members.append(MemberPlan(**added[known]))
        as_lightened(place.run, plan)
        done.reading.keep(plan)
        return True
    if (complete := place.run / "members" / COMPLETE).exists():
        # Others have been taught by just these.
        done.ended = read_json(complete)["ended"]
        return False
    # Members may have been left out since.
    done.reading.keep(plan)
    took = step_seconds(plan, done.facts)
    folds = [
        Fold(
            side.fold,
            place.y[side.validate],
            place.groups[side.validate],
            {
                m.name: done.validation[m.name]
                for m in plan.members
                if m.fold == side.fold and m.name in done.validation
            },
            sum(facts["seconds"] for facts in done.facts if facts["fold"] == side.fold)
            # Those under way count as what they should take.
            + sum(
                m.steps * took.get(m.recipe, 0.0)
                for m in plan.members
                if m.fold == side.fold and m.name not in done.validation
            ),
        )
        for side in place.sides.values()
    ]
    # Who was left out has a folder all the same.
    begun = {folder.name for folder in (place.run / "members").glob("*")}
    left = left_for_learning(plan, clock)
    following = next_member(
        plan, folds, left, took, begun, reading=lambda way, fold: done.reading.of_member(plan, way, fold)
    )
    # With folds the pooled loss holds cases that other folds keep for the end: there only time decides.
    given = plan.validation.scheme == "given"
    stalled = given and len(losses) > 2 * PATIENT and losses[-1] > min(losses[:-PATIENT]) * (1 - WORTHWHILE)
    if stalled or isinstance(following, str):
        done.ended = "no further improvement" if stalled else str(following)
        return False
    plan.members.append(following)
    done.reading.keep(plan)
    write_json(file, [*added, following.model_dump()])
    return True
