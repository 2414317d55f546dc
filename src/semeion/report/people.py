"""Who is in a run, case by case: read from its tables for counts that the pages make anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semeion.artefacts import machine_errors
from semeion.errors import InputError
from semeion.report.reading import Artefacts

if TYPE_CHECKING:
    import pandas as pd

COHORT, PREDICTIONS = "cohort.parquet", "predictions.parquet"
_KNOWN = ("case_id", "patient_id", "site", "split", "fold", "member")


@dataclass(frozen=True)
class People:
    """The cases of a run.

    Attributes
    ----------
    table
        A row a case, with ``case_id patient_id site split`` as far as there are, and all other columns of the cohort.
        Empty when neither table is there. ``split`` is train, val, calibration or test of a given split, else what the
        predictions say (``oof``, ``external``).
    source
        The file that `table` was read from, or an empty string.
    named
        Whether patients were named; otherwise every case is its own and nothing is said of patients.
    sides
        ``patient_id`` and ``side``, a row each time a patient's cases stand on a side: a split, or a fold held out.
    """

    table: pd.DataFrame
    source: str
    named: bool
    sides: pd.DataFrame

    def of(self, split: str) -> pd.DataFrame:
        """Return the cases of a split."""
        return self.table[self.table["split"] == split] if "split" in self.table else self.table.iloc[:0]

    def patients(self, table: pd.DataFrame) -> int | None:
        """Return how many patients some rows are of; None where patients were not named."""
        return int(table["patient_id"].nunique()) if self.named and "patient_id" in table else None

    def sites(self, table: pd.DataFrame) -> int | None:
        """Return how many sites some rows are of; None where no site is known."""
        count = int(table["site"].nunique(dropna=True)) if "site" in table else 0
        return count or None

    def across(self) -> list[str]:
        """Return the patients that stand on more than one side."""
        if not len(self.sides):
            return []
        counts = self.sides.drop_duplicates().groupby("patient_id", sort=True)["side"].nunique()
        return [str(name) for name in counts.index[counts > 1]]


def read_people(run: Path, found: Artefacts) -> People:
    """Read who is in a run from ``cohort.parquet``, or from ``predictions.parquet`` where there is no cohort.

    Raises
    ------
    InputError
        When a table is damaged.
    """
    import pandas as pd

    cohort = read_columns(run / COHORT)
    told = read_columns(run / PREDICTIONS, _KNOWN)
    known = [found.evidence.has_patients, found.cohort.get("has_patients")]
    named = next((bool(value) for value in known if value is not None), False)
    cases = _cases(told)
    if cohort is None or "case_id" not in cohort:
        table, source = (cases, PREDICTIONS) if len(cases) else (pd.DataFrame({"case_id": [], "split": []}), "")
    else:
        table, source = _placed(cohort, cases), COHORT
    return People(table, source, named, _sides(table, cases))


def read_columns(path: Path, wanted: tuple[str, ...] = ()) -> pd.DataFrame | None:
    """Return a table, or those of the `wanted` columns that it has; None when there is none.

    Raises
    ------
    InputError
        When it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return None
    try:
        with machine_errors(path):
            names = pq.read_schema(path).names
            columns = [name for name in wanted if name in names] if wanted else None
            found: Any = pq.read_table(path, columns=columns).to_pandas()
    except pa.ArrowInvalid as error:
        raise InputError(
            "is damaged: not a whole Parquet file", where=str(path), fix="restore it from a copy"
        ) from error
    table: pd.DataFrame = found
    return table


def _cases(told: pd.DataFrame | None) -> pd.DataFrame:
    """Return a row for each case and split of the predictions that figures use."""
    import pandas as pd

    if told is None or not {"case_id", "split"} <= set(told.columns):
        return pd.DataFrame({"case_id": [], "split": []})
    if "member" in told:
        told = told[told["member"].astype(str) == "ensemble"]
    kept = [name for name in _KNOWN if name in told.columns and name != "member"]
    return told[kept].drop_duplicates(["case_id", "split"]).reset_index(drop=True)


def _placed(cohort: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Return the cohort, its splits from the predictions where the user gave none, or val cases were set aside."""
    if "split" in cohort and cohort["split"].notna().any():
        aside = cases.loc[cases["split"] == "calibration", "case_id"].astype(str)
        return cohort.assign(split=cohort["split"].mask(cohort["case_id"].astype(str).isin(aside), "calibration"))
    placed = cases.drop_duplicates("case_id").set_index(cases.drop_duplicates("case_id")["case_id"].astype(str))
    return cohort.assign(split=cohort["case_id"].astype(str).map(placed["split"]) if len(placed) else None)


def _sides(table: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Return on which sides each patient's cases stand: given splits, and folds that were held out in turn."""
    import pandas as pd

    rows = []
    if {"patient_id", "split"} <= set(table.columns):
        given = table[table["split"].notna() & (table["split"] != "oof")]
        rows.append(pd.DataFrame({"patient_id": given["patient_id"].astype(str), "side": given["split"].astype(str)}))
    if {"patient_id", "split", "fold"} <= set(cases.columns):
        held = cases[cases["split"] == "oof"]
        side = "fold " + held["fold"].astype(str)
        rows.append(pd.DataFrame({"patient_id": held["patient_id"].astype(str), "side": side}))
    kept = [part for part in rows if len(part)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame({"patient_id": [], "side": []})
