"""The audits of the tier ``full``: they train again, with permuted labels and with perturbed held-out cases."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import read_json
from semeion.audit.audit import Audit
from semeion.audit.permutation import FEWEST, label_permutation, permuted_labels
from semeion.audit.perturbation import fit_on_test
from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.evidence.ranking import areas
from semeion.evidence.table import COVARIATES
from semeion.naming import encode_class
from semeion.plan.files import read_plan, write_plan
from semeion.plan.schema import MemberPlan, Plan
from semeion.progress import Progress, Silent
from semeion.study.covariate_worth import part_of
from semeion.study.folder import RunFolder, read_run_state
from semeion.study.members.covariates import FILE
from semeion.study.options import RunOptions
from semeion.study.pretraining import without_started
from semeion.study.retraining import retrain
from semeion.study.taught import without_taught

NAMES = ("label-permutation", "fit-on-test")
STEPS = 12
"""Steps of the trainings whose weights are compared: enough for one wrong byte to show."""
LEAST_SECONDS = 45.0
"""A training with permuted labels gets at least this long."""


def run_full_audits(
    path: Path, folder: Path, seconds: float, progress: Progress, jobs: int | None = None
) -> dict[str, Audit]:
    """Return the audits of the tier ``full`` of a finished run.

    Parameters
    ----------
    path
        The run.
    folder
        Where the trainings go; what is finished there is not trained again.
    seconds
        For all trainings with permuted labels together.
    progress, jobs
        For the bar, and threads that read.
    """
    run = RunFolder(path)
    cohort, facts = _cases(run)
    why = "The network was trained elsewhere." if read_run_state(path).get("adopted") else _unable(cohort)
    if why:
        return {name: Audit(name, "not_run", "full", advice=why) for name in NAMES}
    options = replace(RunOptions.from_json(read_run_state(path)["options"]), jobs=jobs)
    progress.start("auditing", FEWEST + 2)
    perturbed = _perturbed(run, cohort, facts, options, folder, progress)
    permuted = _permuted(run, cohort, facts, options, folder, seconds, progress)
    progress.finish()
    return {audit.name: audit for audit in (permuted, perturbed)}


def _cases(run: RunFolder) -> tuple[Cohort, pd.DataFrame]:
    from semeion.cohort.cohort import read_cohort

    return read_cohort(run / "cohort.parquet"), pd.read_parquet(run / "scan.parquet")


def _unable(cohort: Cohort) -> str:
    """Return why nothing can be trained again for an audit, or nothing."""
    if cohort.target.task in ("segmentation", "regression"):
        return f"Labels are permuted where they are classes; here the task is {cohort.target.task}."
    if cohort.structures:
        return "A diagnosis from measurements is not trained again by this version."
    return ""


def _permuted(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    options: RunOptions,
    folder: Path,
    seconds: float,
    progress: Progress,
) -> Audit:
    """Train on permuted labels, each time through the whole road, and judge the AUROC of the held-out cases.

    Where the run followed a given plan, so do these; one with fixed steps takes the time that it takes.
    """
    each: float | None = max(LEAST_SECONDS, seconds / FEWEST)
    if options.plan is not None:
        options = replace(options, plan=str(run / "plan.yaml"))
        each = each if read_plan(run / "plan.yaml").budget.seconds is not None else None
    names = list(cohort.target.columns)
    labels = cohort.table[names].to_numpy(dtype=np.float64)
    patients = cohort.table["patient_id"].to_numpy()
    aurocs: list[float] = []
    for number in range(FEWEST):
        stream = np.random.default_rng([options.seed, number])
        table = cohort.table.copy()
        table[names] = permuted_labels(labels, patients, stream)
        table = table.astype({name: cohort.table[name].dtype for name in names})
        if cohort.raters:  # what raters said would tell the labels that are hidden
            said = np.array(cohort.target.classes, dtype=object)[table["y"].to_numpy(dtype=np.int64)]
            table = table.assign(**dict.fromkeys(cohort.raters, said))
        # A plan has its own seed; without one each training draws its own.
        given = replace(options, budget=each, seed=options.seed + (1 + number if options.plan is None else 0))
        place = folder / f"permutation{number}"
        try:
            retrain(replace(cohort, table=table), facts, given, place, Silent(), run / "machine.json")
            aurocs.append(held_out_auroc(pd.read_parquet(place / "predictions.parquet"), cohort))
        except InputError:  # labels so dealt that a class has too few patients: one permutation less
            aurocs.append(float("nan"))
        progress.advance(1, f"permutation {number + 1} of {FEWEST}")
    held = (
        (cohort.table["split"] == "test").to_numpy(dtype=bool)
        if cohort.has_split and (cohort.table["split"] == "test").any()
        else np.ones(len(labels), dtype=bool)
    )
    counts = _class_counts(labels[held], cohort)
    return label_permutation(aurocs, counts, float(held.sum() / len(np.unique(patients[held]))), seconds=each)


def _class_counts(labels: npt.NDArray[np.float64], cohort: Cohort) -> list[tuple[int, int]]:
    """Return positive and negative cases of each AUROC that is averaged."""
    if cohort.target.task == "multilabel":
        return [(int(np.nansum(one)), int((one == 0).sum())) for one in labels.T]
    counts = np.bincount(labels[:, 0].astype(int), minlength=len(cohort.target.classes))
    return [(int(count), int(counts.sum() - count)) for count in (counts[:1] if len(counts) == 2 else counts)]


def held_out_auroc(predictions: pd.DataFrame, cohort: Cohort) -> float:
    """Return the AUROC of the ensemble on cases that were held out; NaN where there is none.

    Of test cases as they are. Of folds the mean over folds: pooled scores of folds are ranked worse than chance when
    there is nothing to learn, since a fold with more of a class was learned from with fewer of it. Of several classes,
    and of several labels, the mean of each against the rest.
    """
    found = predictions[predictions["member"] == "ensemble"]
    split = "test" if (found["split"] == "test").any() else "oof"
    found = found[(found["split"] == split) & found["y_true"].notna()]
    multilabel = cohort.target.task == "multilabel"
    names = ("present",) if multilabel else cohort.target.classes
    values = []
    for _, part in found.groupby(["fold", "target"]):
        for name in names if multilabel or len(names) > 2 else names[1:]:
            truth = (part["y_true"].astype(str) == name).to_numpy()
            if truth.any() and not truth.all():
                score = part[f"p_{encode_class(name)}"].to_numpy(dtype=np.float64)
                values.append(float(areas(truth, score)(np.ones((1, len(part))))[0, 0]))
    return float(np.mean(values)) if values else float("nan")


def _perturbed(
    run: RunFolder, cohort: Cohort, facts: pd.DataFrame, options: RunOptions, folder: Path, progress: Progress
) -> Audit:
    """Train a few steps twice, the second time with other held-out cases, and compare what came out."""
    plan = read_plan(run / "plan.executed.yaml")
    given = plan.validation.scheme == "given"
    if given and not (cohort.table["split"] == "test").any():
        return fit_on_test({}, {}, "the test cases", 0)
    held = _held_out(cohort, facts, plan)
    short = short_plan(plan)
    folder.mkdir(parents=True, exist_ok=True)
    write_plan(short, folder / "short.yaml")
    asked = replace(options, budget=None, plan=str(folder / "short.yaml"), seed=plan.seed, unlabelled=None)
    asked = replace(asked, ship=short.combination.ship)
    made = []
    for name, cases, seen in (("as-is", cohort, facts), ("perturbed", *perturbed_cases(cohort, facts, held, given))):
        place = retrain(cases, seen, asked, folder / name, Silent(), run / "machine.json")
        made.append(artefact_hashes(place, short, cases, seen))
        progress.advance(1, "perturbed held-out cases")
    words = "the test cases" if given else "the held-out cases of one fold"
    if made[0] != made[1]:
        # Before the held-out cases are blamed: does training repeat at all?
        again = retrain(cohort, facts, asked, folder / "again", Silent(), run / "machine.json")
        if artefact_hashes(again, short, cohort, facts) != made[0]:
            advice = "The same training twice did not give the same bytes on this machine, so nothing can be told."
            return Audit("fit-on-test", "not_run", "full", {"perturbed_cases": int(held.sum())}, (), advice)
    return fit_on_test(made[0], made[1], words, int(held.sum()))


def _held_out(cohort: Cohort, facts: pd.DataFrame, plan: Plan) -> npt.NDArray[np.bool_]:
    """Return which cases are perturbed: the test cases, or those that the first fold holds out."""
    if plan.validation.scheme == "given":
        return (cohort.table["split"] == "test").to_numpy(dtype=bool)
    from semeion.study.road import sides_of

    first = sides_of(cohort, facts, plan)[0]
    held = np.zeros(len(cohort.table), dtype=bool)
    held[first.held_out] = True
    return held


def short_plan(plan: Plan) -> Plan:
    """Return a plan of a few steps of the first member (of each fold, where there are folds), and of covariates."""
    # Images without labels are left out: which of them are copies depends on the held-out images, as it must.
    short = without_taught(without_started(plan.model_copy(deep=True)))
    first: dict[int, MemberPlan] = {}
    for member in short.members:
        kept = first.setdefault(member.fold, member)
        if member.steps > 0 and kept.steps == 0:  # one that learns by steps tells more
            first[member.fold] = member
    short.members = [
        member for member in short.members if member is first[member.fold] or part_of(short, member) == COVARIATES
    ]
    students = []
    if short.distillation is not None:
        short.distillation.images, students = 0, short.distillation.students
    for member in [*short.members, *students]:
        member.steps, member.shortened = min(STEPS, member.steps), []
    short.budget.seconds = None
    return short


def perturbed_cases(
    cohort: Cohort, facts: pd.DataFrame, held: npt.NDArray[np.bool_], labels_too: bool
) -> tuple[Cohort, pd.DataFrame]:
    """Return the cases with other images of `held`, all but one of them the same, and their labels in reverse order.

    Parameters
    ----------
    cohort, facts
        The cases, and their scan in the same order.
    held
        Which cases are held out.
    labels_too
        Whether labels are changed too; not where folds are drawn, which follow the labels.
    """
    table, seen = cohort.table.copy(), facts.copy()
    rows = np.flatnonzero(held)
    # All become the first of them, and the first the last, so that every one of several changes.
    source = np.arange(len(table))
    source[rows], source[rows[:1]] = rows[0], rows[-1]
    images = [name for name in table.columns if name == "image" or str(name).startswith("image.")]
    table[images] = cohort.table[images].iloc[source].set_axis(table.index)
    for name in cohort.covariates:
        table[name] = cohort.table[name].iloc[source].set_axis(table.index)
    # Hashes and groups of copies decide how folds are drawn, and the folds must stay.
    kept = {"case_id", "pixel_hash", "copy_group"}
    others = [name for name in seen.columns if name not in kept]
    seen[others] = facts[others].iloc[source].set_axis(seen.index)
    if labels_too:
        names = list(cohort.target.columns)
        table.loc[table.index[rows], names] = table[names].iloc[rows[::-1]].to_numpy()
    return replace(cohort, table=table), seen


def artefact_hashes(run: Path, plan: Plan, cohort: Cohort, facts: pd.DataFrame) -> dict[str, str]:
    """Return SHA-256 of everything that training and validation cases alone may shape.

    With folds only what belongs to the first fold is independent of its held-out cases.
    """
    from semeion.plan.fingerprint import fingerprint

    given = plan.validation.scheme == "given"
    found: dict[str, str] = {}
    students = [] if plan.distillation is None else plan.distillation.students
    for member in [*plan.members, *students]:
        if given or member.fold == 0:
            files = ("weights.safetensors", "head.json", FILE)
            places = [run / "members" / member.name / name for name in files]
            # A student that cannot learn in a few steps leaves none, and the ensemble ships.
            weights = next((place.read_bytes() for place in places if place.exists()), b"")
            found[f"the weights of {member.name}"] = hashlib.sha256(weights).hexdigest()
    evidence = read_json(run / "evidence.json")
    point, calibration = evidence["operating_point"], evidence["calibration"]
    if not given:
        point, calibration = (one and (one.get("by_fold") or {}).get("0") for one in (point, calibration))
        found["the first fold's calibration and operating point"] = _digest([point, calibration])
        return found
    manifest = read_json(run / "model" / "model.json")
    found["calibration and operating point"] = _digest([point, calibration])
    found["what the model expects of an image"] = _digest(
        [manifest["inputs"], manifest["preparation"], manifest.get("gate")]
    )
    found["the facts that plan"] = _digest(fingerprint(cohort, facts)["training"])
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
