"""The run that made a model: what an external validation compares with, where the user has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from semeion.artefacts import read_json
from semeion.cohort.cohort import Cohort, read_cohort
from semeion.errors import InputError
from semeion.evidence.foreign.columns import Named
from semeion.evidence.pairs.pairing import Side
from semeion.evidence.table import ENSEMBLE
from semeion.study.folder import read_run_state, refuse_several_targets
from semeion.study.predictions_file import Loaded, load_predictions

HONEST = ("test", "oof")
"""Splits of a run whose figures are compared with external ones, the most trustworthy first."""
CHOSE = ("val", "oof")
"""Splits of a run whose cases calibrated the shipped model."""


@dataclass(frozen=True)
class Origin:
    """A finished run.

    Attributes
    ----------
    name
        What the folder is called.
    evidence
        Its ``evidence.json``.
    cohort, facts
        All its cases and their scan.
    loaded
        Its predictions with their operating points.
    """

    name: str
    evidence: dict[str, Any]
    cohort: Cohort
    facts: pd.DataFrame
    loaded: Loaded

    @property
    def split(self) -> str | None:
        """The most trustworthy split of its figures; None where there are validation figures alone."""
        there = set(self.loaded.found.predictions["split"].astype(str))
        return next((name for name in HONEST if name in there), None)

    @property
    def side(self) -> Side | None:
        """Its honest predictions, to be compared with those of other patients."""
        if self.split is None:
            return None
        loaded = self.loaded
        return Side(
            self.name, loaded.found.predictions, loaded.question, loaded.points, self.split, loaded.has_patients
        )

    @property
    def chose(self) -> pd.DataFrame:
        """Predictions of the cases that calibrated the shipped model; empty where the run has none."""
        table = self.loaded.found.predictions
        table = table[table["member"].astype(str) == ENSEMBLE]
        split = next((name for name in CHOSE if (table["split"] == name).any()), "")
        return table[table["split"] == split]

    @property
    def built_on(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Cases that the model was built on and their scan, row by row: all but the test cases of a given split."""
        table = self.cohort.table
        keep = (table["split"] != "test").to_numpy(dtype=bool) if self.cohort.has_split else [True] * len(table)
        return table.loc[keep].reset_index(drop=True), self.facts.loc[keep].reset_index(drop=True)


def read_origin(run: Path, model: str) -> Origin:
    """Read the run that made a model.

    Parameters
    ----------
    run
        The run folder.
    model
        The model's hash.

    Raises
    ------
    InputError
        When the folder holds no finished run, or the run of another model.
    """
    refuse_several_targets(run)
    if not read_run_state(run)["finished"]:
        raise InputError("the run is not finished", where=str(run), fix=f"continue it with `semeion resume {run}`")
    evidence = read_json(run / "evidence.json")
    if evidence.get("model") != model:
        raise InputError(
            "is the run of another model: the hash of the model that it shipped differs",
            where=str(run),
            fix="give the run folder that this model folder comes from, or leave --run out",
        )
    for name in ("cohort.parquet", "scan.parquet", "predictions.parquet"):
        if not (run / name).is_file():
            raise InputError(f"the run has no {name}", where=str(run), fix="restore it from a copy")
    loaded = load_predictions(run, Named())
    facts = pd.read_parquet(run / "scan.parquet")
    return Origin(run.name, evidence, read_cohort(run / "cohort.parquet"), facts, loaded)
