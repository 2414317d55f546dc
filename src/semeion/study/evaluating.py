"""External validation: a shipped model on a table of new cases."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion import __version__
from semeion.artefacts import whole_file, write_json
from semeion.audit.checks import NAMES as AUDITS
from semeion.cohort.cohort import Cohort, CohortOptions, Flow
from semeion.cohort.gather import gather
from semeion.cohort.roles import image_columns
from semeion.errors import InputError
from semeion.evidence.operating import OperatingPoints
from semeion.evidence.question import Question
from semeion.evidence.weigh import weigh
from semeion.model.findings import Finding
from semeion.model.manifest import Manifest
from semeion.model.runtime import Model, load_model
from semeion.progress import Progress
from semeion.report.page import write_report
from semeion.study.inspect import labels
from semeion.study.rows import prediction_rows
from semeion.study.statements import EFFECT, NO_PATIENTS, SCHEMA, strata_of

NOT_RUN = {
    "verdict": "not_run",
    "tier": "check",
    "figures": {},
    "cases": [],
    "advice": "Run `semeion check` on the table.",
}


def evaluate_model(
    model_path: Path,
    source: Path,
    output: Path,
    options: CohortOptions,
    *,
    skip_bad: bool,
    jobs: int | None,
    progress: Progress,
) -> dict[str, Any]:
    """Weigh a shipped model on `source` and write predictions, evidence and the page into `output`.

    Returns
    -------
    dict
        The evidence; its split is ``external``.

    Raises
    ------
    ModelRefused
        When the model folder cannot be trusted.
    InputError
        When the table does not answer the model's question, or images cannot be read.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError("is not empty", where=str(output), fix="choose another folder with -o")
    model = load_model(model_path)
    manifest = model.manifest
    cohort = gather(source, options_for(manifest, options), expected=expected_target(manifest, options))
    cohort = _test_cases(cohort)
    findings: dict[str, list[Finding]] = {}
    table = cohort.table[["case_id", *image_columns(cohort)]]
    for finding in model.findings(table, jobs=jobs, progress=progress):
        findings.setdefault(finding.case_id, []).append(finding)
    cohort = _without_failed(cohort, findings, skip_bad)
    predictions = _predictions(cohort, manifest, findings)
    evidence = _evidence(cohort, manifest, model, predictions, findings)
    with whole_file(output / "predictions.parquet") as temporary:
        predictions.to_parquet(temporary, index=False)
    write_json(output / "evidence.json", evidence)
    write_report(output, name="evaluate")
    return evidence


def options_for(manifest: Manifest, options: CohortOptions) -> CohortOptions:
    """Return the gathering options with the model's own target where the user named none."""
    from dataclasses import replace

    own = replace(options, target=options.target or manifest.target, task=manifest.task)
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
    return Target(name, manifest.task, tuple(manifest.classes), manifest.positive, "as the model was trained")


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


def _without_failed(cohort: Cohort, findings: dict[str, list[Finding]], skip_bad: bool) -> Cohort:
    failed = {case: found[0] for case, found in findings.items() if found[0].status == "failed"}
    if not failed:
        return cohort
    if not skip_bad or len(failed) == len(cohort.table):
        raise InputError(
            f"{len(failed)} of {len(cohort.table)} images cannot be read",
            where=cohort.source,
            fix="correct these, or leave such cases out with --skip-bad",
            details=[f"case {case}: {'; '.join(found.reasons)}" for case, found in failed.items()],
        )
    return cohort.without(set(failed), "readable images", f"{len(failed)} images are missing or unreadable")


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
        raw = p = np.array([[float(str(case[0].call))] for case in found])
    else:
        raw, p = np.array([case[0].raw for case in found]), np.array([case[0].p for case in found])
    name = cohort.target.name
    return prediction_rows(base, name, task, list(manifest.classes), labels(cohort), raw, p)


def _evidence(
    cohort: Cohort,
    manifest: Manifest,
    model: Model,
    predictions: pd.DataFrame,
    findings: dict[str, list[Finding]],
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
    weighed = weigh(predictions, question, points=points, strata=strata_of(cohort))
    notes = [*cohort.notes, *weighed.pop("notes"), *_warned(cohort, findings)]
    if not cohort.has_patients:
        notes.append(NO_PATIENTS)
    flow = Flow("weighed", len(cohort.table), int(cohort.table["patient_id"].nunique()), "every case has a finding")
    return {
        "schema": SCHEMA,
        "semeion": __version__,
        "created": datetime.now(UTC).date().isoformat(),
        "target": question.target,
        "task": question.task,
        "positive": question.positive,
        "classes": list(question.classes),
        "why": cohort.target.why,
        "source": cohort.source,
        "synthetic": manifest.synthetic or cohort.synthetic,
        "has_patients": cohort.has_patients,
        "model": model.hash,
        "operating_point": None
        if point is None
        else {**point.model_dump(exclude_none=True), "chosen_on": "the model's own cases"},
        "calibration": None if manifest.calibration is None else manifest.calibration.model_dump(exclude_none=True),
        **weighed,
        "flow": [vars(step) for step in (*cohort.flow, flow)],
        "audits": dict.fromkeys(AUDITS, NOT_RUN),
        "accepted": [],
        "members": [],
        "notes": notes,
        "not_validated": ["Other sites than those of this table.", EFFECT],
    }


def _warned(cohort: Cohort, findings: dict[str, list[Finding]]) -> list[str]:
    """Return a sentence for each warning of the input gate: how many cases of this table it concerns."""
    counts: dict[str, int] = {}
    for case in cohort.table["case_id"]:
        for text in {reason.split(":")[0] for reason in findings[case][0].reasons}:
            counts[text] = counts.get(text, 0) + 1
    return [f"{count} of {len(cohort.table)} cases carry the warning {code}." for code, count in sorted(counts.items())]
