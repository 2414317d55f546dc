"""What a distilled network is worth: it is weighed as what ships, and its teacher, the ensemble, stands beside it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.evidence.question import Question
from semeion.evidence.table import ENSEMBLE, SHARE, TEACHER
from semeion.evidence.use.operating import OperatingPoints
from semeion.plan.distilling import OPTION
from semeion.plan.recipes import OWN
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.beside import label_point, weigh_beside
from semeion.study.distilling import Distilled, Floats
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained
from semeion.study.members.covariates import FILE
from semeion.study.members.frozen import HEAD
from semeion.study.members.outputs import graph_file, member_folder
from semeion.study.members.told import members_json
from semeion.study.options import RunOptions
from semeion.study.predicting import Predicted, operating_points, predict_run
from semeion.study.weighing import point_json

STUDENT = "student"
"""What a verdict calls the network that ships."""
SHIPS = {
    "ensemble": "the ensemble",
    "single": "a single member",
    "distilled": "one network that learned from the ensemble",
}


def refuse_distilling(cohort: Cohort, options: RunOptions) -> None:
    """Refuse to distil where no network could say alone what the ensemble says.

    Raises
    ------
    InputError
        For outlines, measurements, covariates, and a network of the user's.
    """
    if options.ship != "distilled":
        return
    fix = f"leave {OPTION} out"
    if cohort.target.task == "segmentation":
        what = "networks that outline are not distilled into one"
    elif cohort.structures:
        what = "a diagnosis from measurements is no ensemble of networks that see images"
    elif cohort.covariates:
        what = f"one network sees images alone, and the ensemble would go by {', '.join(cohort.covariates)} too"
        fix = f"leave --covariates out, or write {OPTION} ensemble"
    elif options.network is not None:
        what, fix = "a network of your own is not taught by an ensemble", f"leave --network or {OPTION} out"
    else:
        return
    raise InputError(what, where=f"{OPTION} distilled", fix=fix)


def refuse_planned_otherwise(options: RunOptions, ship: str) -> None:
    """Refuse a `--ship` beside a plan that ships something else: what a plan does not say would not be done.

    Raises
    ------
    InputError
        Saying what the plan ships.
    """
    if options.ship not in ("ensemble", ship):
        no = "has no student" if options.ship == "distilled" else "not a single member"
        raise InputError(
            f"the plan ships {SHIPS[ship]}, and {no}",
            where=f"{OPTION} {options.ship}",
            fix=f"plan again with {OPTION} {options.ship}, or leave it out",
        )


def predict_teacher(
    run: RunFolder, trained: Trained, store: Store, cohort: Cohort, y: Floats, sides: list[Sides]
) -> Predicted:
    """Predict with the ensemble what its student predicts, in the same reading of the test cases.

    Its rows are called ``teacher``, and its members have no share: nothing of it ships. Calibration and operating point
    are its own, of the same cases and by the same rules.
    """
    found = predict_run(run, trained, store, cohort, y, sides)
    table = found.table
    own = table["member"] == ENSEMBLE
    table = table.assign(member=table["member"].where(~own, TEACHER), **{SHARE: table[SHARE].where(own, 0.0)})
    return Predicted(table, found.shipped, found.by_fold)


def with_teacher(predicted: Predicted, teacher: Predicted | None) -> Predicted:
    """Return the predictions of a run with the rows of the ensemble that taught, and of its members."""
    if teacher is None:
        return predicted
    table = pd.concat([predicted.table, teacher.table], ignore_index=True)
    return Predicted(table, predicted.shipped, predicted.by_fold)


def members_of(trained: Trained, distilled: Distilled | None) -> list[dict[str, Any]]:
    """Return what the evidence says of each member; beside students, members of the ensemble have no share."""
    if distilled is None:
        return members_json(trained)
    return [*({**one, "share": 0.0} for one in members_json(trained)), *members_json(distilled.student)]


def distillation_json(
    run: RunFolder,
    trained: Trained,
    distilled: Distilled,
    predicted: Predicted,
    teacher: Predicted,
    question: Question,
    *,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Return ``distillation`` of the evidence.

    Parameters
    ----------
    run, trained, distilled
        The ensemble and its students.
    predicted, teacher
        What either says of the same cases.
    question, resamples
        The target, and draws of the bootstrap.

    Returns
    -------
    dict
        ``ships`` (the student's name), ``recipe``, ``trust``, ``soften``, ``images``; ``students``: of each fold what
        it was taught (see :class:`semeion.study.distilling.Distilled`) and its ``steps seconds val_loss``;
        ``teachers``: shares in the ensemble of all folds; ``networks`` and ``bytes`` of the ensemble and of the student
        that ships; ``operating_point`` of the teacher; and for each split that counts ``metrics.<split>.<name>`` of
        the teacher and ``difference.<split>.<name>``: the student's figure less the teacher's, paired, with ``better``
        and ``verdict`` (``student``, ``teacher``, ``none``, ``differs`` or ``unknown``). Of several labels also
        ``targets.<label>`` with its ``operating_point``.
    """
    plan = trained.plan
    section, rule, classes = plan.distillation, plan.operating_point.rule, list(question.classes)
    if section is None:
        raise ValueError("the plan distils nothing")
    points = operating_points(teacher, rule, question.task, classes)
    own_points = operating_points(predicted, rule, question.task, classes)
    compared = weigh_beside(
        predicted.table[predicted.table["member"] == ENSEMBLE],
        teacher.table[teacher.table["member"] == TEACHER],
        question,
        own_points,
        points,
        title="the ensemble that taught",
        sides=(TEACHER, STUDENT),
        seed=plan.seed,
        resamples=resamples,
    )
    for label in compared.get("targets", {}):
        own = (points or OperatingPoints()).of(label)
        compared["targets"][label]["operating_point"] = {**label_point(own), "rule": rule}
    learned = {facts["name"]: facts for facts in distilled.student.facts}
    kept = ("steps", "seconds", "val_loss")
    shares = trained.shares([member.name for member in plan.members])
    student = next(one for one in section.students if one.name == distilled.ships)
    return {
        "ships": distilled.ships,
        "recipe": student.recipe or OWN,
        "trust": section.trust,
        "soften": section.soften,
        "images": max(one["images"] for one in distilled.facts),
        "students": [{**one, **{name: learned[one["name"]][name] for name in kept}} for one in distilled.facts],
        "teachers": shares,
        "networks": {TEACHER: len(shares), STUDENT: 1},
        "bytes": {
            TEACHER: _bytes(run, trained, set(shares)),
            STUDENT: _bytes(run, distilled.student, {distilled.ships}),
        },
        "operating_point": point_json(points, teacher.shipped.fitted_on, teacher.shipped.n, question),
        **compared,
    }


def _bytes(run: RunFolder, trained: Trained, names: set[str]) -> int:
    """Return the size of what some members would ship with; features that several heads take count once."""
    files = set()
    for member in trained.plan.members:
        if member.name in names:
            own = member_folder(run, member)
            files |= {graph_file(run, member), own / HEAD, own / FILE}
    return sum(file.stat().st_size for file in files if file.exists())
