"""Distils an ensemble: one compact network of each fold learns from its words, and ships in its place.

The source is Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network".

A student must never meet a case that it is scored on, not even through its teacher, who would pass the label on. So the
student of a fold is taught by the members of that fold alone, of the cases that these learned from: whoever is scored
with the fold was seen by none of them. Members of other folds know the fold's held-out cases, and are not asked. With a
given split the teacher has seen the train cases, the val cases chose how its members are combined and choose when the
student stops, and test cases are read once, at the end.

Of cases that it learned from, a network says little more than their class. Two things help where nobody can be asked
who has not learned from them. Heads on frozen features tell what heads say that did not know the case's patient, which
their cross-validation leaves behind. And the words of all together are softened by a temperature until they are as
unsure as those about validation cases, which no member learned from (:mod:`semeion.study.softening`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json, write_json
from semeion.errors import InputError, Interrupted, TrainingFailed
from semeion.model.combine import combine_members
from semeion.plan.recipes import FrozenRecipe
from semeion.plan.schema import MemberPlan, Plan, Shortened
from semeion.plan.splits import Sides
from semeion.plan.teaching import Teaching
from semeion.prepare.store import Store
from semeion.progress import Progress
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.learning import ALONE, COMPLETE, Alone, Trained, as_weights
from semeion.study.members.covariates import INNER
from semeion.study.members.frozen import Banks
from semeion.study.members.lighter import make_lighter
from semeion.study.members.network import learn_network
from semeion.study.members.outputs import member_folder, member_outputs
from semeion.study.members.task import MemoryRanOut, ran_out
from semeion.study.members.taught import PART
from semeion.study.options import RunOptions
from semeion.study.pretraining import NOT_THERE_TO_DISTIL
from semeion.study.softening import mixed, soften, unsureness
from semeion.study.taught import OTHER_IMAGES
from semeion.study.teaching import read_teaching
from semeion.study.unlabelled import Unlabelled, prepared_like

if TYPE_CHECKING:
    from semeion.learn.further import Further

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

TAUGHT = "taught.json"
"""Of a student's folder: what it was taught, in numbers."""
INSTEAD = "Stopped before one network had learned from the ensemble, so the ensemble itself ships and is weighed."
FAILED = "One network could not learn from the ensemble ({what}), so the ensemble itself ships and is weighed."
PROCEDURE = (
    "Out-of-fold figures are those of the students of all folds, each of cases that neither it nor its teachers had "
    "seen, and describe the procedure. {name}, the one with the least validation loss, ships alone."
)


@dataclass(frozen=True)
class Distilled:
    """What became of the distillation of a run.

    Attributes
    ----------
    student
        The students as the members of a run of their own, one of which ships.
    facts
        Of each student ``name fold cases images temperature unsure``; the last is the mean entropy of the ensemble's
        words about cases that it learned from, of these as they were taught, and about validation cases (empty of a
        measured value).
    """

    student: Trained
    facts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ships(self) -> str:
        """Name of the student that ships."""
        return self.student.single or self.student.plan.members[0].name


@dataclass(frozen=True)
class School:
    """Where students learn, and what of: see :func:`distil`."""

    run: RunFolder
    trained: Trained
    store: Store
    banks: Banks
    y: Floats
    images: Store | None = None
    """Without labels."""
    drawn: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Those of them that are taught."""

    @property
    def plan(self) -> Plan:
        """The plan as it was executed so far."""
        return self.trained.plan


def distil(
    run: RunFolder,
    plan: Plan,
    trained: Trained,
    store: Store,
    y: Floats,
    sides: list[Sides],
    seen: Unlabelled | None,
    options: RunOptions,
    clock: Clock,
    progress: Progress,
    stop: Callable[[], bool],
) -> tuple[Trained, Distilled | None]:
    """Let one network of each fold learn from the fold's ensemble.

    Parameters
    ----------
    run, plan
        Where, and the plan as it was before training: its budget counts.
    trained
        The ensemble.
    store, y, sides
        Prepared images and reference standard in cohort order, and the rows of each fold.
    seen, options
        Images without labels, and how they are prepared.
    clock, progress, stop
        The budget, the bar, and whether the user asked to stop.

    Returns
    -------
    tuple
        The ensemble, whose plan has the steps that students really did, and the students. They are None where none were
        planned, where one cannot learn, and where the user stopped before all had learned: then the ensemble ships, and
        a note says why.

    Raises
    ------
    InputError
        When the plan wants images without labels and there are none.
    """
    section = trained.plan.distillation
    if section is None:
        return trained, None
    if trained.interrupted:
        return ensemble_instead(trained), None
    write_json(run / "members" / COMPLETE, {"ended": trained.ended})
    banks = Banks(run, trained.plan, store, stop)
    try:
        images, drawn = _images(run, trained.plan, store, seen, options, progress)
        school = School(run, trained, store, banks, y, images, drawn)
        notes = _same_images(trained.plan, seen) if len(drawn) else []
        facts = []
        for place, side in enumerate(sides):
            student = next(one for one in section.students if one.fold == side.fold)
            allowed = _allowed(plan, trained, clock, len(sides) - place)
            facts.append(_teach(school, student, side, allowed, progress, stop))
    except Interrupted:
        ended = replace(trained, interrupted=True, ended="stopped by the user")
        return ensemble_instead(ended), None
    except TrainingFailed as error:
        # Hours may have gone into the ensemble, and it is complete.
        note = FAILED.format(what=f"{error.where}: {error.what}" if error.where else error.what)
        progress.say(note)
        run.log("trouble", note=note)
        return ensemble_instead(trained, note), None
    finally:
        progress.finish()
    return trained, Distilled(_as_trained(school, sides, notes), facts)


def ensemble_instead(trained: Trained, note: str = INSTEAD) -> Trained:
    """Return a run whose ensemble ships, since not all students have learned, with a plan that repeats just that."""
    plan = trained.plan
    students = {one.recipe for one in plan.distillation.students} if plan.distillation else set()
    used = {member.recipe for member in plan.members}
    recipes = {name: one for name, one in plan.recipes.items() if name not in students or name in used}
    why = {**plan.combination.why, "ship": note}
    combination = plan.combination.model_copy(update={"ship": "ensemble", "why": why})
    less = plan.model_copy(update={"distillation": None, "combination": combination, "recipes": recipes})
    return replace(trained, plan=less, notes=[*trained.notes, note])


def teacher_words(school: School, side: Sides) -> tuple[Floats, Floats]:
    """Return what the ensemble of a fold says of the fold's learning and validation cases, ``(cases, outputs)``.

    Of learning cases, heads on frozen features say what heads do that did not know the case's patient.
    """
    learning, validating = {}, {}
    for member in _teachers(school, side.fold):
        validating[member.name] = school.trained.validation[member.name]
        kept = member_folder(school.run, member) / INNER
        if isinstance(school.plan.recipe_of(member), FrozenRecipe) and kept.exists():
            learning[member.name] = np.load(kept, allow_pickle=False)
        else:
            learning[member.name] = member_outputs(
                school.run, school.plan, member, school.store, school.banks, side.learn
            )
    return _together(school, learning), _together(school, validating)


def words_about_images(school: School, fold: int) -> Floats:
    """Return what the ensemble of a fold says of the drawn images without labels, ``(images, outputs)``.

    Nobody learned a label of them, so that the words are taken as they are.
    """
    if school.images is None:
        raise ValueError("there are no images without labels")
    banks = Banks(school.run, school.plan, school.images, school.banks.stop, PART)
    said = {
        member.name: member_outputs(school.run, school.plan, member, school.images, banks, school.drawn)
        for member in _teachers(school, fold)
    }
    return _together(school, said)


def _teachers(school: School, fold: int) -> list[MemberPlan]:
    """Return the members of a fold that have a share in its ensemble."""
    own = [member for member in school.plan.members if member.fold == fold]
    shares = school.trained.shares([member.name for member in own])
    return [member for member in own if member.name in shares]


def _together(school: School, said: dict[str, Floats]) -> Floats:
    shares = school.trained.shares(list(said))
    together = combine_members(np.stack([said[name] for name in shares]), school.plan.target.task, as_weights(shares))
    return np.asarray(together, dtype=np.float64)


def _teach(
    school: School,
    student: MemberPlan,
    side: Sides,
    allowed: Callable[[], float | None],
    progress: Progress,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Let a student learn, from its checkpoint where there is one; return what it was taught, in numbers."""
    folder = member_folder(school.run, student)
    if not (folder / "member.json").exists():
        taught, further, facts = _lesson(school, student, side)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / TAUGHT, facts)
        while not _learned(school, student, side, taught, further, allowed, progress, stop):
            pass
    told = read_json(folder / "member.json")
    student.steps, student.shortened = told["steps_planned"], [Shortened(**one) for one in told["shortened"]]
    return dict(read_json(folder / TAUGHT))


def _lesson(school: School, student: MemberPlan, side: Sides) -> tuple[Teaching, Further | None, dict[str, Any]]:
    """Return what a student is taught of its cases, and of images without labels, and the facts of both."""
    section, task = school.plan.distillation, school.plan.target.task
    if section is None:
        raise ValueError("the plan distils nothing")
    said, honest = teacher_words(school, side)
    words, temperature, unsure = said, 1.0, {}
    if task != "regression":
        aim = unsureness(honest, task)
        if section.soften:
            words, temperature = soften(said, aim, task)
        unsure = {"learned": unsureness(said, task), "taught": unsureness(words, task), "validation": aim}
    own = read_teaching(school.run.path, school.plan)
    # Nothing stands where nothing may be learned from: a student that took such a case would have no loss at all.
    shares = np.full((len(school.y), words.shape[1]), np.nan)
    shares[side.learn] = mixed(words, _reference(school, own, side.learn), section.trust)
    taught = Teaching(np.ones(len(school.y)) if own is None else own.weight, shares)
    further = None
    if school.images is not None:
        from semeion.learn.further import Further
        from semeion.prepare.joined import joined

        further = Further(joined([(school.images, school.drawn)]), words_about_images(school, side.fold))
    facts = {
        "name": student.name,
        "fold": student.fold,
        "teachers": len(_teachers(school, side.fold)),
        "cases": len(side.learn),
        "images": len(school.drawn),
        "temperature": temperature,
        "unsure": unsure,
    }
    return taught, further, facts


def _reference(school: School, own: Teaching | None, rows: Rows) -> Floats:
    """Return the reference standard of `rows` as it is taught, ``(rows, outputs)``: votes where raters gave them."""
    if own is not None and own.shares is not None:
        return own.shares[rows]
    target, y = school.plan.target, school.y[rows]
    if y.ndim == 2:
        return y
    if target.task == "regression":
        return y[:, None]
    return np.asarray(np.eye(len(target.classes))[y.astype(np.int64)])


def _learned(
    school: School,
    student: MemberPlan,
    side: Sides,
    taught: Teaching,
    further: Further | None,
    allowed: Callable[[], float | None],
    progress: Progress,
    stop: Callable[[], bool],
) -> bool:
    """Let a student learn; return False where memory ran out and it is to begin again with half the batch.

    Raises
    ------
    MemoryRanOut
        When the batch cannot be halved.
    """
    from semeion.learn.standing import Hooks

    run, done, steps = school.run, 0, student.steps
    progress.start(f"{student.name} learns from the ensemble", steps)

    def stepped(step: int, total: int, loss: float) -> None:
        nonlocal done
        reached = round(steps * step / total)
        progress.advance(reached - done, "" if np.isnan(loss) else f"validation loss {loss:.3f}")
        done = reached

    hooks = Hooks(allowed, stop, stepped, lambda line: run.log("evaluation", **line))
    folder = member_folder(run, student)
    try:
        learn_network(school.plan, student, school.store, school.y, side, folder, hooks, taught, further)
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        # Beside images without labels a batch is as large as was asked for, however few cases there are.
        cases = len(side.learn) if further is None else sys.maxsize
        if (note := make_lighter(run, school.plan, student, cases)) is None:
            raise MemoryRanOut(
                "memory ran out while it learned from the ensemble",
                where=f"member {student.name}",
                fix="end other programs, or bring a machine with more memory",
            ) from error
        school.trained.notes.append(note)
        progress.say(note)
        run.log("trouble", note=note)
        return False
    return True


def _allowed(plan: Plan, trained: Trained, clock: Clock, students: int) -> Callable[[], float | None]:
    """Return what tells the seconds that the next of some students may still use: an even part of what is left."""
    if plan.budget.seconds is None or plan.distillation is None:
        return lambda: None
    end = trained.plan.model_copy(deep=True)
    trained.reading.keep(end)
    reading = sum(trained.reading.of_member(end, one.recipe, one.fold) for one in plan.distillation.students)
    until = clock.used() + max(0.0, (clock.left() or 0.0) - end.budget.reserve - reading) / students
    return lambda: max(0.0, until - clock.used())


def _images(
    run: RunFolder, plan: Plan, store: Store, seen: Unlabelled | None, options: RunOptions, progress: Progress
) -> tuple[Store | None, Rows]:
    """Return the images without labels, and which of them are taught: as many as the plan says, drawn by its seed."""
    section, none = plan.distillation, np.empty(0, dtype=np.int64)
    if section is None or not section.images:
        return None, none
    if seen is None:
        raise InputError(NOT_THERE_TO_DISTIL, where="--unlabelled", fix="name their folder")
    images = prepared_like(run, store, seen, plan, options, progress)
    drawn = np.random.default_rng([plan.seed, 8]).permutation(images.n)[: section.images]
    return images, np.sort(drawn).astype(np.int64)


def _same_images(plan: Plan, seen: Unlabelled | None) -> list[str]:
    """Keep in the plan which images without labels there are; say so where it was executed with others."""
    if plan.distillation is None or seen is None:
        return []
    sha256 = seen.sha256
    before, plan.distillation.sha256 = plan.distillation.sha256, sha256
    return [OTHER_IMAGES] if before not in (None, sha256) else []


def _as_trained(school: School, sides: list[Sides], notes: list[str]) -> Trained:
    """Return the students as the members of a run, each alone in its fold; that of the least validation loss ships."""
    from semeion.learn.objective import validation_loss

    section, task = school.plan.distillation, school.plan.target.task
    students = list(section.students) if section is not None else []
    own = school.plan.model_copy(update={"members": students})
    done = Trained(own, planned=len(students), ended=school.trained.ended, notes=list(notes))
    losses = {}
    for side in sides:
        student = next(one for one in students if one.fold == side.fold)
        said = member_outputs(school.run, own, student, school.store, school.banks, side.validate)
        done.facts.append(read_json(member_folder(school.run, student) / "member.json"))
        done.validation[student.name] = said
        done.combinations[side.fold] = Alone({student.name: 1.0}, "it learned from the ensemble", ALONE)
        losses[student.name] = validation_loss(said, school.y[side.validate], task)
    done.single = min(losses, key=lambda name: (losses[name], name))
    if len(sides) > 1:
        done.notes.append(PROCEDURE.format(name=done.single))
    return done
