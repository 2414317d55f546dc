"""Trains once more from cases that are already read, for the audits that need it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from semeion.artefacts import whole_file, write_json
from semeion.cohort.cohort import Cohort, write_cohort
from semeion.progress import Progress
from semeion.study.folder import RunFolder, read_run_state
from semeion.study.options import RunOptions
from semeion.study.road import resume_run


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
        Of the new run; a finished one is left as it is.
    progress
        For the bar.
    machine
        A ``machine.json`` that spares the measurement.

    Returns
    -------
    Path
        The run folder.
    """
    run = RunFolder(folder)
    if not run.state.exists():
        shutil.rmtree(folder, ignore_errors=True)
        run.begin(Path(cohort.source), options)
        write_cohort(cohort, run / "cohort.parquet")
        with whole_file(run / "scan.parquet") as temporary:
            facts.to_parquet(temporary, index=False)
        if machine is not None and machine.exists():
            shutil.copy(machine, run / "machine.json")
        # Last: with this file the cases count as gathered and audited.
        write_json(run / "audits.json", {"audits": {}, "accepted": [], "affected": {}})
    if not read_run_state(folder)["finished"]:
        resume_run(folder, progress)
    return folder
