"""``semeion audit``: every audit of a finished run, those that train again where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from semeion import __version__
from semeion.artefacts import read_json, write_json
from semeion.audit.audit import Audit
from semeion.audit.checks import NAMES as CHECKS
from semeion.audit.checks import run_checks
from semeion.cohort.cohort import read_cohort
from semeion.errors import InputError
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.progress import Progress
from semeion.report.audit_page import write_audit
from semeion.report.page import write_report
from semeion.study.auditing import columns_of, looks_of, prediction_audits
from semeion.study.folder import RunFolder, read_run_state, refuse_several_targets
from semeion.study.full_audits import NAMES as FULL
from semeion.study.full_audits import run_full_audits
from semeion.study.robustness import measure_robustness

BUDGET = 600.0
"""Seconds for all trainings with permuted labels, unless others are asked for."""


def audit_run(
    path: Path, output: Path | None, *, full: bool, seconds: float | None, jobs: int | None, progress: Progress
) -> dict[str, Any]:
    """Audit a finished run, write ``audit.json`` and ``audit.html``, and bring its evidence and report up to date.

    Parameters
    ----------
    path
        The run folder.
    output
        Where the account goes; ``audit/`` of the run when None.
    full
        Whether to train again.
    seconds
        For the trainings with permuted labels together; 10 minutes when None.
    jobs, progress
        Threads that read, and the bar.

    Returns
    -------
    dict
        What ``audit.json`` holds: ``semeion source synthetic target task audits accepted``.

    Raises
    ------
    InputError
        When the run is not finished.
    """
    run = RunFolder(path)
    refuse_several_targets(path)
    if not read_run_state(path)["finished"]:
        raise InputError("is not finished", where=str(path), fix=f"finish it with `semeion resume {path}`")
    folder = run / "audit" if output is None else output
    with run.locked():
        evidence = read_json(run / "evidence.json")
        audits = {**evidence["audits"], **_again(run, evidence)}
        if full:
            evidence["robustness"] = _curves(run, evidence, jobs, progress)
            found = run_full_audits(path, folder, BUDGET if seconds is None else seconds, progress, jobs)
        else:
            advice = "It trains again: run `semeion audit --full` on this run."
            found = {name: Audit(name, "not_run", "full", advice=advice) for name in FULL if name not in audits}
        audits |= {name: audit.to_json() for name, audit in found.items()}
        evidence["audits"] = audits
        account = {
            "semeion": __version__,
            "source": evidence["source"],
            "synthetic": evidence["synthetic"],
            "target": evidence["target"],
            "task": evidence["task"],
            "accepted": evidence["accepted"],
            "audits": audits,
        }
        write_json(run / "evidence.json", evidence)
        write_report(run.path)
        write_audit(folder, account)
    return account


def _again(run: RunFolder, evidence: dict[str, Any]) -> dict[str, Any]:
    """Return the audits of the tier ``train``, and those of the tier ``check`` that the run lacks."""
    cohort, facts = read_cohort(run / "cohort.parquet"), pd.read_parquet(run / "scan.parquet")
    # What was found before cases were left out and images moved is the better account: only what is new is added.
    absent = [name for name in CHECKS if name not in evidence["audits"]]
    checked = run_checks(cohort, facts) if absent else {}
    found = {name: checked[name].to_json() for name in absent}
    if evidence["task"] == "segmentation":
        return found
    question = Question(evidence["target"], evidence["task"], tuple(evidence["classes"]), evidence["positive"])
    readings = run / "readings.json"
    return found | prediction_audits(
        pd.read_parquet(run / "predictions.parquet"),
        question,
        points_of(evidence),
        evidence,
        columns_of(cohort),
        tuple(cohort.covariates),
        embedding=looks_of(facts),
        readings=int(read_json(readings)["test"]) if readings.exists() else None,
        seed=int(read_run_state(run.path)["options"]["seed"]),
    )


def _curves(run: RunFolder, evidence: dict[str, Any], jobs: int | None, progress: Progress) -> dict[str, Any]:
    """Return the robustness curves; those that the run has, where they cannot be measured now."""
    found = measure_robustness(
        run,
        read_cohort(run / "cohort.parquet"),
        pd.read_parquet(run / "scan.parquet"),
        evidence,
        points_of(evidence) if evidence["task"] != "segmentation" else None,
        seed=int(read_run_state(run.path)["options"]["seed"]),
        jobs=jobs,
        progress=progress,
    )
    before: dict[str, Any] = evidence.get("robustness") or found
    kept = not found["about"]["measured"] and before["about"].get("model") == evidence.get("model")
    return before if kept else found


def points_of(evidence: dict[str, Any]) -> OperatingPoints | None:
    """Return the operating points that an ``evidence.json`` states."""

    def one(stated: dict[str, Any]) -> OperatingPoints:
        by_fold = {int(fold): float(value) for fold, value in (stated.get("by_fold") or {}).items()}
        return OperatingPoints(stated["rule"], stated.get("value"), by_fold)

    if evidence["task"] == "multilabel":
        parts = {name: one(part["operating_point"]) for name, part in evidence["targets"].items()}
        rule = next(iter(parts.values())).rule if parts else "argmax"
        return OperatingPoints(rule, by_target=parts)
    stated = evidence["operating_point"]
    return one(stated) if evidence["task"] == "binary" and stated else None
