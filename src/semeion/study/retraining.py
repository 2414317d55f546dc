"""Trains once more from cases that are already read, for the audits that need it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd

from semeion import __version__
from semeion.artefacts import read_json, whole_file, write_json
from semeion.cohort.cohort import Cohort, write_cohort
from semeion.progress import Progress
from semeion.study.folder import RunFolder, read_run_state
from semeion.study.options import RunOptions
from semeion.study.road import resume_run

KEY = "retrained.json"
"""Says what a training was made of."""


def retrain(
    cohort: Cohort, facts: pd.DataFrame, options: RunOptions, folder: Path, progress: Progress, machine: Path | None
) -> Path:
    """Go the whole road from gathered and scanned cases on; what an interrupted call left is gone on with.

    Parameters
    ----------
    cohort, facts
        The cases, and their scan in the same order.
    options
        As of a run.
    folder
        Of the new run; one that was made of the same cases and options is gone on with, or left as it is when it is
        finished, and any other is replaced.
    progress
        For the bar.
    machine
        A ``machine.json`` that spares the measurement.

    Returns
    -------
    Path
        The run folder.
    """
    run, key = RunFolder(folder), _key(cohort, facts, options)
    if not run.state.exists() or not (folder / KEY).exists() or read_json(folder / KEY)["key"] != key:
        shutil.rmtree(folder, ignore_errors=True)
        run.begin(Path(cohort.source), options)
        write_cohort(cohort, run / "cohort.parquet")
        with whole_file(run / "scan.parquet") as temporary:
            facts.to_parquet(temporary, index=False)
        if machine is not None and machine.exists():
            shutil.copy(machine, run / "machine.json")
        write_json(folder / KEY, {"key": key})
        # Last: with this file the cases count as gathered and audited.
        write_json(run / "audits.json", {"audits": {}, "accepted": [], "affected": {}})
    if not read_run_state(folder)["finished"]:
        resume_run(folder, progress)
    return folder


def _key(cohort: Cohort, facts: pd.DataFrame, options: RunOptions) -> str:
    """Return a hash of everything that decides a training."""
    digest = hashlib.sha256(__version__.encode())
    digest.update(json.dumps(replace(options, jobs=None).to_json(), sort_keys=True, default=str).encode())
    if options.plan is not None:
        digest.update(Path(options.plan).read_bytes())
    digest.update(cohort.table.to_json(orient="split", date_format="iso").encode())
    digest.update("\n".join(facts["pixel_hash"].astype(str)).encode())
    return digest.hexdigest()
