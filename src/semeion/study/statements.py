"""What the evidence of a run and of an external evaluation have in common; needs no training stack."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from semeion import __version__
from semeion.cohort.cohort import Cohort
from semeion.provenance import code_hash

SCHEMA = 1
MOST_LEVELS = 12
MOST_STRATA = 6
"""The site and the first other columns of few levels that are weighed as strata without being asked for."""
NO_PATIENTS = (
    "No patient ids were given, so every case counts as its own patient: intervals may be too narrow, and a patient "
    "with several images may be on both sides of a split."
)
EFFECT = "The effect on decisions or outcomes of any reader who sees a finding."


def made() -> dict[str, Any]:
    """Return the first keys of evidence: in which form it is written, by which version and code, and on which day."""
    day = datetime.now(UTC).date().isoformat()
    return {"schema": SCHEMA, "semeion": __version__, "code": code_hash(), "created": day}


def strata_of(cohort: Cohort, by: str | None = None) -> pd.DataFrame | None:
    """Return the columns that figures are also given for: `by`, the site, and other columns of few levels."""
    table = cohort.table
    possible = [name for name in ("site", *cohort.covariates, *cohort.unused) if name in table.columns]
    names = [name for name in possible if 2 <= table[name].nunique(dropna=True) <= MOST_LEVELS]
    chosen = list(dict.fromkeys([*([] if by is None else [by]), *names]))[:MOST_STRATA]
    return table[["case_id", *chosen]] if chosen else None
