"""External validation: a shipped model on a table of new cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion.artefacts import whole_file, write_json
from semeion.audit.checks import NAMES as AUDITS
from semeion.cohort.cohort import Cohort, CohortOptions
from semeion.cohort.gather import gather
from semeion.cohort.roles import image_columns
from semeion.cohort.several import with_known
from semeion.errors import InputError
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.sets import SetsAsked, ShippedRule
from semeion.evidence.weigh import weigh
from semeion.model.findings import Finding
from semeion.model.manifest import Manifest
from semeion.model.runtime import Model, load_model
from semeion.model.several_targets import is_several, open_whole
from semeion.model.signature import check_signature
from semeion.progress import Progress
from semeion.report.page import write_report
from semeion.study.abstained import gate_json
from semeion.study.auditing import columns_of, prediction_audits
from semeion.study.elsewhere import elsewhere_json, prevalence_audit
from semeion.study.evaluating_masks import evaluate_masks, refuse_other_labels
from semeion.study.external import NOT_RUN, external_evidence, failures, without_unread
from semeion.study.facts import read_everything
from semeion.study.folder import refuse_taken
from semeion.study.inspect import labels
from semeion.study.origin import Origin, read_origin
from semeion.study.rows import prediction_rows
from semeion.study.statements import EFFECT, strata_of

_NO_INTERVAL = "The model ships with no interval around its values."
_NO_SETS = "The model ships with no thresholds of sets of classes."


def evaluate_model(
    model_path: Path,
    source: Path,
    output: Path,
    options: CohortOptions,
    *,
    skip_bad: bool,
    jobs: int | None,
    progress: Progress,
    run: Path | None = None,
    require_signature: Path | None = None,
) -> dict[str, Any]:
    """Weigh a shipped model on `source` and write predictions, evidence and the page into `output`.

    Parameters
    ----------
    model_path, source, output, options
        The model folder, the cases, where the account goes, and how the cases are read.
    skip_bad
        Whether cases that cannot be read are left out.
    jobs, progress
        Threads that read, and the bar.
    run
        The run folder that the model comes from. With it the two cohorts are compared, and whether the cases are
        external is looked at; a model folder holds nothing of any case.
    require_signature
        The public key (PEM) that the model must be signed with; None: hashes alone are checked.

    Returns
    -------
    dict
        The evidence; its split is ``external``.

    Raises
    ------
    ModelRefused
        When the model folder cannot be trusted, or is not signed by the key that is required.
    InputError
        When the table does not answer the model's question, or images cannot be read.
    """
    if is_several(model_path):
        from semeion.study.evaluating_several import evaluate_several

        if require_signature is not None:
            check_signature(open_whole(model_path), require_signature)
        return evaluate_several(
            model_path, source, output, options, skip_bad=skip_bad, jobs=jobs, progress=progress, run=run
        )
    refuse_taken(output)
    model = load_model(model_path, require_signature=require_signature)
    manifest = model.manifest
    if manifest.task == "segmentation":
        refuse_run(run)
        refuse_other_labels(manifest, source, options)
    origin = None if run is None else read_origin(run, model.hash)
    cohort = gather(source, options_for(manifest, options), expected=expected_target(manifest, options))
    cohort = _test_cases(with_known(cohort, options.beside))
    if manifest.task == "segmentation":
        return evaluate_masks(model, cohort, output, skip_bad=skip_bad, jobs=jobs, progress=progress)
    findings: dict[str, list[Finding]] = {}
    table = cohort.table[["case_id", *image_columns(cohort), *model.covariates]]
    for finding in model.findings(table, jobs=jobs, progress=progress):
        findings.setdefault(finding.case_id, []).append(finding)
    cohort = without_unread(cohort, failures(findings), skip_bad)
    predictions = _predictions(cohort, manifest, findings)
    facts = read_everything(cohort, jobs=jobs, progress=progress)
    evidence = _evidence(cohort, facts, manifest, model, predictions, findings, origin, jobs)
    with whole_file(output / "predictions.parquet") as temporary:
        predictions.to_parquet(temporary, index=False)
    write_json(output / "evidence.json", evidence)
    write_report(output, name="evaluate")
    return evidence


def refuse_run(run: Path | None) -> None:
    """Refuse a run beside a model that outlines.

    Raises
    ------
    InputError
        When one was given.
    """
    if run is not None:
        raise InputError(
            "masks are not yet compared with those of the run that made the model",
            where="--run",
            fix="leave the option out",
        )


def options_for(manifest: Manifest, options: CohortOptions) -> CohortOptions:
    """Return the gathering options with the model's own target where the user named none."""
    from dataclasses import replace

    own = replace(options, target=options.target or manifest.target, task=manifest.task)
    needed = tuple(column.name for column in manifest.inputs.covariates)
    own = replace(own, covariates=tuple(dict.fromkeys((*needed, *options.covariates))))
    role = manifest.inputs.role
    # What the images of a case are is the model's to say, and is not inferred again.
    names = tuple(manifest.inputs.names)
    return replace(
        own,
        channels=names if role == "channels" else own.channels,
        frames=names if role == "frames" else own.frames,
        views=names if role == "views" else own.views,
    )


def expected_target(manifest: Manifest, options: CohortOptions) -> Any:
    """Return the target that the table's labels must fit."""
    from semeion.cohort.cohort import Target

    name = options.target or manifest.target
    values = tuple(manifest.segmentation.values) if manifest.segmentation and manifest.task == "segmentation" else ()
    classes = tuple(manifest.classes)
    return Target(name, manifest.task, classes, manifest.positive, "as the model was trained", values, manifest.unit)


def _test_cases(cohort: Cohort) -> Cohort:
    """Leave out the cases that a split column calls train or val: a model is not weighed on what it may have seen.

    Raises
    ------
    InputError
        When the split has no test case.
    """
    if not cohort.has_split:
        return cohort
    seen = set(cohort.table.loc[cohort.table["split"] != "test", "case_id"])
    if len(seen) == len(cohort.table):
        raise InputError(
            "every case is train or val, and external validation needs cases that no model has seen",
            where=cohort.source,
            fix="give other cases, or ignore the split column with --no-split",
        )
    return cohort.without(
        seen, "test cases", f"{len(seen)} train and val cases are not weighed (--no-split keeps them)"
    )


def _predictions(cohort: Cohort, manifest: Manifest, findings: dict[str, list[Finding]]) -> pd.DataFrame:
    cases = cohort.table
    task = manifest.task
    base = pd.DataFrame(
        {
            "case_id": cases["case_id"],
            "patient_id": cases["patient_id"],
            "site": cases["site"],
            "split": "external",
            "fold": -1,
            "member": "ensemble",
        }
    )
    found = [findings[case] for case in cases["case_id"]]
    if task == "multilabel":
        raw = np.array([[label.raw[1] for label in case] for case in found])
        p = np.array([[label.p[1] for label in case] for case in found])
    elif task == "regression":
        raw = p = np.array([[case[0].raw[0]] for case in found])
    else:
        raw, p = np.array([case[0].raw for case in found]), np.array([case[0].p for case in found])
    name = cohort.target.name
    return prediction_rows(base, name, task, list(manifest.classes), labels(cohort), raw, p)


def _evidence(
    cohort: Cohort,
    facts: pd.DataFrame,
    manifest: Manifest,
    model: Model,
    predictions: pd.DataFrame,
    findings: dict[str, list[Finding]],
    origin: Origin | None,
    jobs: int | None,
) -> dict[str, Any]:
    question = Question(cohort.target.name, manifest.task, tuple(manifest.classes), manifest.positive)
    point = manifest.operating_point
    points = None
    if point is not None and manifest.task == "binary":
        points = OperatingPoints(point.rule, point.value)
    elif point is not None and point.by_target:
        points = OperatingPoints(
            point.rule, by_target={name: OperatingPoints(point.rule, value) for name, value in point.by_target.items()}
        )
    weighed = weigh(
        predictions, question, points=points, strata=strata_of(cohort), sets=_sets(manifest, question.target)
    )
    audits = prediction_audits(predictions, question, points, weighed, columns_of(cohort))
    audits |= prevalence_audit(predictions, question, points, origin)
    found = elsewhere_json(cohort, facts, predictions, question, points, weighed, manifest, origin, jobs=jobs)
    shown = None
    if point is not None:
        shown = {**point.model_dump(exclude_none=True), "chosen_on": "the model's own"}
    return external_evidence(
        cohort,
        model,
        weighed,
        findings,
        last="every case has a finding",
        not_validated=[EFFECT],
        operating_point=shown,
        gate=gate_json(cohort.table, findings, predictions, question, points),
        audits={**dict.fromkeys(AUDITS, NOT_RUN), **audits},
        **found,
    )


def _sets(manifest: Manifest, target: str) -> SetsAsked:
    """Return what is measured of the sets, or of the interval, that a model ships with, or why there are none."""
    if manifest.interval is not None:
        return SetsAsked(manifest.interval.coverage, half_width=manifest.interval.half_width)
    if manifest.task == "regression":
        return SetsAsked(reason=_NO_INTERVAL)
    sets = manifest.sets
    if sets is None:
        return SetsAsked(reason=_NO_SETS, shipped={})
    targets = manifest.classes if manifest.task == "multilabel" else [target]
    rules = {name: rule for name in targets if (rule := sets.rule(name)) is not None}
    shipped = {
        name: ShippedRule(sets.coverage, rule.kind, sets.scored, tuple(rule.thresholds)) for name, rule in rules.items()
    }
    return SetsAsked(sets.coverage, reason=_NO_SETS, shipped=shipped)
