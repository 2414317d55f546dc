"""Joins the results of several targets: one table of predictions, one evidence, one model folder, one report."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from semeion.artefacts import read_json, whole_file, write_json
from semeion.model.several_targets import write_several
from semeion.progress import Progress
from semeion.report.page import write_report
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder

OF_FIRST = (
    *("cohort.parquet", "scan.parquet", "fingerprint.json", "plan.yaml", "plan.executed.yaml", "readings.json"),
    "gallery",
)
"""What of the first target's run also stands above: the report's first part is of it."""


def join_targets(run: RunFolder, runs: Mapping[str, RunFolder], clock: Clock, progress: Progress) -> None:
    """Join the finished targets of a run.

    Parameters
    ----------
    run, runs
        The run, and those of its targets in the order asked for.
    clock
        Of the whole run.
    progress
        For the bar.
    """
    progress.start("joining", 3)
    found = {name: read_json(own / "evidence.json") for name, own in runs.items()}
    first = next(iter(runs.values()))
    for name in OF_FIRST:
        if (first / name).is_dir():
            shutil.rmtree(run / name, ignore_errors=True)
            shutil.copytree(first / name, run / name)
        elif (first / name).is_file():
            with whole_file(run / name) as temporary:
                shutil.copyfile(first / name, temporary)
    join_predictions({name: own.path for name, own in runs.items()}, run.path)
    progress.advance(1, "model")
    model = write_several(run / "model", {name: (own.path.name, own / "model") for name, own in runs.items()})
    evidence = joined_evidence(found, {name: f"targets/{own.path.name}" for name, own in runs.items()})
    evidence["model"] = model
    used = round(clock.used(), 1)
    evidence["budget"] = {**evidence["budget"], "asked_seconds": clock.budget, "used_seconds": used}
    evidence["cost"] = {"seconds": used, "peak_mib": max(one["cost"]["peak_mib"] for one in found.values())}
    write_json(run / "evidence.json", evidence)
    progress.advance(1, "report")
    write_report(run.path)
    progress.advance()
    progress.finish()


def joined_evidence(found: Mapping[str, dict[str, Any]], folders: Mapping[str, str]) -> dict[str, Any]:
    """Return the evidence of several targets: the first one's as ever, and the others whole below ``targets``.

    Parameters
    ----------
    found
        The evidence of each target, in the order asked for.
    folders
        Where the run or evaluation of each stands, relative to the joined one.

    Returns
    -------
    dict
        ``several`` names the targets in order; ``folder`` of each says where all of it stands.
    """
    names = list(found)
    each = {name: {**one, "folder": folders[name]} for name, one in found.items()}
    audits = {name for one in found.values() for name in one["accepted"]}
    return {
        **each[names[0]],
        "several": names,
        "accepted": sorted(audits),
        "targets": {name: each[name] for name in names[1:]},
    }


def join_predictions(folders: Mapping[str, Path], output: Path) -> None:
    """Write the predictions of several targets as one table, a row a case, target, split and member.

    Where classes and measured values stand in one table, ``y_true`` is text; ``y_pred`` is the measured value.
    """
    tables = [pd.read_parquet(folder / "predictions.parquet") for folder in folders.values()]
    if len({pd.api.types.is_numeric_dtype(table["y_true"]) for table in tables}) > 1:
        tables = [table.assign(y_true=table["y_true"].astype("str")) for table in tables]
    with whole_file(output / "predictions.parquet") as temporary:
        pd.concat(tables, ignore_index=True).to_parquet(temporary, index=False)
