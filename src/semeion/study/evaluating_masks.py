"""External validation of a segmentation: its masks of new cases against their reference masks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from semeion.artefacts import write_json
from semeion.cohort.cohort import Cohort, CohortOptions
from semeion.cohort.decathlon import is_dataset, read_dataset
from semeion.cohort.roles import image_columns, mask_references
from semeion.cohort.volumes.read import read_volume
from semeion.errors import InputError
from semeion.evidence.masks.segmentation import weigh_segmentation
from semeion.model.findings import Finding
from semeion.model.manifest import Manifest
from semeion.model.runtime import Model
from semeion.prepare.volume_scan import scan_volumes
from semeion.progress import Progress
from semeion.report.page import write_report
from semeion.study.external import external_evidence, failures, without_unread
from semeion.study.folder import RunFolder
from semeion.study.outlining import measured_rows, read_reference, write_predictions
from semeion.study.outside import outside_json
from semeion.study.segment_gallery import write_segment_gallery
from semeion.study.segment_weighing import BORDER
from semeion.study.statements import strata_of


def refuse_other_labels(manifest: Manifest, source: Path, options: CohortOptions) -> None:
    """Refuse a source that has no masks, or says that its masks hold other labels than the model's.

    Raises
    ------
    InputError
        Naming both.
    """
    where = source.name
    dataset = source.exists() and is_dataset(source)
    if source.suffix.lower() == ".npz" or (source.is_dir() and not dataset):
        raise InputError(
            "holds no masks, and the model outlines",
            where=where,
            fix="give a table with columns image and mask, or a dataset.json",
        )
    how = manifest.segmentation
    own = {str(value): name for value, name in zip(how.values if how else (), manifest.classes, strict=True)}
    named = options.labels or (read_dataset(source).labels if dataset else {})
    named = {str(int(code)) if code.isdigit() else code: name for code, name in named.items()}
    named.pop("0", None)
    if named and named != own:
        given, wanted = (",".join(f"{code}={name}" for code, name in pairs.items()) for pairs in (named, own))
        raise InputError(
            f"its masks hold {given}, and the model outlines {wanted}",
            where="--labels" if options.labels else where,
            fix=f"where the masks mean the same, give --labels {wanted}; else write masks with the model's numbers",
        )


def evaluate_masks(
    model: Model, cohort: Cohort, output: Path, *, skip_bad: bool, jobs: int | None, progress: Progress
) -> dict[str, Any]:
    """Outline the cases, weigh the masks, and write predictions, evidence, masks, pictures and the page into `output`.

    Parameters
    ----------
    model
        That outlines.
    cohort
        Cases that it never saw, with reference masks in the model's numbers.
    output
        A new or empty folder.
    skip_bad
        Whether cases that cannot be read are left out.
    jobs, progress
        Threads that read, and the bar.

    Returns
    -------
    dict
        The evidence; its split is ``external``.

    Raises
    ------
    InputError
        When images or masks cannot be read; nothing is written then.
    """
    scanned = scan_volumes(cohort, jobs=jobs, progress=progress)
    bad = scanned[scanned["status"] != "ok"]
    cohort = without_unread(cohort, dict(zip(bad["case_id"], bad["problem"], strict=True)), skip_bad)
    run, existed = RunFolder(output), output.exists()
    try:
        findings = _outlined(model, cohort, run, progress)
        cohort = without_unread(cohort, failures(findings), skip_bad)
        table = _measured(cohort, model.manifest, run, findings, progress)
    except BaseException:  # interrupted, too: nothing is left of what did not finish
        shutil.rmtree(run.path if not existed else run / "masks", ignore_errors=True)
        raise
    weighed = weigh_segmentation(table, model.classes, strata=strata_of(cohort), jobs=jobs)
    evidence = external_evidence(
        cohort,
        model,
        weighed,
        findings,
        last="every case has a mask and a reference mask",
        not_validated=[BORDER],
        external=outside_json(cohort, scanned, None),
    )
    write_predictions(table, run / "predictions.parquet")
    write_segment_gallery(run, table, weighed["ranking"], cohort)
    write_json(run / "evidence.json", evidence)
    write_report(run.path, name="evaluate")
    return evidence


def _outlined(model: Model, cohort: Cohort, run: RunFolder, progress: Progress) -> dict[str, list[Finding]]:
    """Write the mask of every case, named by its row, and return its findings by case id."""
    cases = cohort.table["case_id"].tolist()
    table = cohort.table[list(image_columns(cohort))].assign(case_id=[f"{row:06d}" for row in range(len(cases))])
    findings: dict[str, list[Finding]] = {}
    for finding in model.findings(table, progress=progress, masks=run / "masks", abstain=False):
        findings.setdefault(str(cases[int(finding.case_id)]), []).append(finding)
    return findings


def _measured(
    cohort: Cohort, manifest: Manifest, run: RunFolder, findings: dict[str, list[Finding]], progress: Progress
) -> pd.DataFrame:
    lesions = manifest.segmentation.lesions if manifest.segmentation is not None else []
    references = mask_references(cohort)
    rows: list[dict[str, Any]] = []
    progress.start("measuring", len(references))
    for row, case in enumerate(cohort.table["case_id"]):
        name = Path(findings[case][0].mask).name
        found = read_volume(str(run / "masks" / name))
        reference = read_reference(str(references[row][0]), found, cohort, row)
        if findings[case][0].call is None:  # the file of a mask cannot say that its voxels have no known size
            found = replace(found, notes=(*found.notes, "no-spacing"))
        measured = measured_rows(cohort, row, reference, found, lesions)
        rows += [{**one, "split": "external", "mask": name} for one in measured]
        progress.advance()
    progress.finish()
    return pd.DataFrame(rows)
