"""The characteristics of external cases beside those of the cases that a model was built on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.evidence.external.casemix import Trait, case_mix
from semeion.model.manifest import Manifest
from semeion.report.demographics import columns_of, years_of
from semeion.study.origin import Origin

IMAGES = (
    ("rows", "Rows", "pixels"),
    ("cols", "Columns", "pixels"),
    ("spacing_row", "Spacing of rows", "mm"),
    ("spacing_col", "Spacing of columns", "mm"),
    ("size_i", "Voxels across", ""),
    ("size_j", "Voxels down", ""),
    ("size_k", "Slices", ""),
    ("spacing_i", "Spacing across", "mm"),
    ("spacing_j", "Spacing down", "mm"),
    ("spacing_k", "Spacing of slices", "mm"),
    ("mean", "Mean intensity", ""),
)
"""Facts of the scan that are numbers: column, title, unit."""
KINDS = (("source_format", "File format"), ("modality", "Modality"), ("bits", "Bits a pixel"))
NAMING = {"id", "ids", "uid", "mrn", "accession", "name", "surname", "birth", "dob"}
"""Words in the name of a column that tells who somebody is."""
_MOST_COLUMNS = 8
_MOST_LABELS = 12
_MOST_LEVELS = 12
_TITLES = {"age": "Age", "sex": "Sex", "ethnicity": "Ethnicity", "site": "Site"}


def mix_json(cohort: Cohort, facts: pd.DataFrame, origin: Origin | None, manifest: Manifest) -> dict[str, Any]:
    """Return ``case_mix`` of the evidence.

    Parameters
    ----------
    cohort, facts
        The external cases and their scan, row by row.
    origin
        The run that made the model, if it was given.
    manifest
        Of the model; it knows the range of sizes that it learned from, and nothing of people.

    Returns
    -------
    dict
        ``source``: ``run`` or ``model``; ``people`` and ``cases``: ``{unit, internal, external, rows}``, how many
        patients (cases, where patients were not named) and the rows of
        :func:`semeion.evidence.external.casemix.case_mix`.
    """
    own, there = (None, None) if origin is None else origin.built_on
    traits, outside, inside = _people(cohort, own)
    named = cohort.has_patients and (origin is None or origin.cohort.has_patients)
    if named:
        outside = outside.drop_duplicates("patient_id")
        inside = None if inside is None else inside.drop_duplicates("patient_id")
    rows = case_mix(traits, outside, inside)
    unit = "patients" if named else "cases"
    people = {
        "unit": unit,
        "internal": None if inside is None else len(inside),
        "external": len(outside),
        "rows": rows,
    }
    traits, outside, inside = _cases(cohort, facts, own, there)
    rows = [_ranged(row, manifest) if origin is None else row for row in case_mix(traits, outside, inside)]
    # What neither side tells, such as the spacing of photographs, is no characteristic of them.
    rows = [row for row in rows if row["internal"] is not None or row["external"] is not None]
    counted = {"unit": "cases", "internal": None if inside is None else len(inside), "external": len(outside)}
    return {"source": "model" if origin is None else "run", "people": people, "cases": {**counted, "rows": rows}}


def _people(cohort: Cohort, own: pd.DataFrame | None) -> tuple[list[Trait], pd.DataFrame, pd.DataFrame | None]:
    """Return who the patients are: age, sex, ethnicity, site, then other columns that both tables have."""
    sides = [cohort.table, own]
    target = cohort.target.name
    found = [{} if side is None else columns_of([str(name) for name in side.columns], target) for side in sides]
    made: list[dict[str, Any]] = [{}, {}]
    traits = []
    for key, title in _TITLES.items():
        values = [
            side[columns[key]] if side is not None and key in columns else None
            for side, columns in zip(sides, found, strict=True)
        ]
        numbers = [None if one is None else years_of(one)[0] for one in values] if key == "age" else [None, None]
        told = [one is not None and one.notna().any() for one in values]
        if not any(told):
            continue
        number = key == "age" and all(number is not None for number, there in zip(numbers, told, strict=True) if there)
        traits.append(Trait(key, title, "number", "years") if number else Trait(key, title, "levels"))
        for place, one, years in zip(made, values, numbers, strict=True):
            if one is not None:
                place[key] = years if number else one
    used = {name for columns in found for name in columns.values()}
    for name in _shared_columns(cohort, own, used):
        number = all(side is None or pd.api.types.is_numeric_dtype(side[name]) for side in sides)
        many = any(side is not None and side[name].nunique() > _MOST_LEVELS for side in sides)
        if many and not number:
            continue
        traits.append(Trait(name, name, "number" if many else "levels"))
        for place, side in zip(made, sides, strict=True):
            if side is not None:
                place[name] = side[name]
    outside = pd.DataFrame({"patient_id": cohort.table["patient_id"], **made[0]})
    inside = None if own is None else pd.DataFrame({"patient_id": own["patient_id"], **made[1]})
    return traits, outside, inside


def _shared_columns(cohort: Cohort, own: pd.DataFrame | None, used: set[str]) -> list[str]:
    """Return the other columns worth comparing: those of both tables that name nobody, or were covariates."""
    possible = [name for name in (*cohort.covariates, *cohort.unused) if name in cohort.table and name not in used]
    if own is not None:
        possible = [name for name in possible if name in own]
    sides = [side for side in (cohort.table, own) if side is not None]
    told = [name for name in dict.fromkeys(possible) if cohort.table[name].notna().any()]
    told = [name for name in told if name in cohort.covariates or not any(_names(side, name) for side in sides)]
    return told[:_MOST_COLUMNS] if own is not None else [name for name in told if name in cohort.covariates]


def _names(table: pd.DataFrame, column: str) -> bool:
    """Return whether a column tells patients or cases apart: text or whole numbers of which no two share one, or a
    name that says so.

    A record number describes nobody, and its quartiles would stand on the page.
    """
    if NAMING & {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", column)}:
        return True
    told = table[["patient_id", column]].dropna().drop_duplicates()
    values = told[column]
    if len(values) < 2 or values.duplicated().any():
        return False
    return not pd.api.types.is_numeric_dtype(values) or bool((values.astype("float64") % 1 == 0).all())


def _cases(
    cohort: Cohort, facts: pd.DataFrame, own: pd.DataFrame | None, there: pd.DataFrame | None
) -> tuple[list[Trait], pd.DataFrame, pd.DataFrame | None]:
    """Return the classes and the images of the cases."""
    traits = _truth_traits(cohort)
    outside = _of_cases(cohort, cohort.table, facts)
    inside = None if own is None or there is None else _of_cases(cohort, own, there)
    known = [outside] if inside is None else [outside, inside]
    for name, title, unit in IMAGES:
        if any(name in one for one in known):
            traits.append(Trait(name, title, "number", unit))
    traits += [Trait(name, title, "levels") for name, title in KINDS if any(name in one for one in known)]
    return traits, outside, inside


def _of_cases(cohort: Cohort, table: pd.DataFrame, scan: pd.DataFrame) -> pd.DataFrame:
    seen = {name: scan[name].to_numpy() for name, *_ in (*IMAGES, *KINDS) if name in scan}
    return pd.DataFrame({**_truth(cohort, table), **seen})


def _truth_traits(cohort: Cohort) -> list[Trait]:
    target = cohort.target
    if target.task == "regression":
        return [Trait("truth", target.name, "number")]
    if target.task == "multilabel":
        return [Trait(f"truth.{name}", name, "levels") for name in target.classes[:_MOST_LABELS]]
    return [] if target.task == "segmentation" else [Trait("truth", f"Class ({target.name})", "levels")]


def _truth(cohort: Cohort, table: pd.DataFrame) -> dict[str, Any]:
    target = cohort.target
    if target.task == "segmentation":
        return {}
    if target.task == "multilabel":
        words = {0.0: "absent", 1.0: "present"}
        return {f"truth.{name}": table[f"y.{name}"].map(words).to_numpy() for name in target.classes[:_MOST_LABELS]}
    if target.task == "regression":
        return {"truth": table["y"].to_numpy()}
    names = np.array(target.classes, dtype=object)
    return {"truth": names[table["y"].to_numpy(dtype=np.int64)]}


def _ranged(row: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """Return a row with what the model folder itself knows: from which size to which it has seen."""
    inputs = manifest.inputs
    spans: dict[str, Any] = {}
    if inputs.size_seen is not None:
        spans |= {"rows": inputs.size_seen.rows, "cols": inputs.size_seen.cols}
    if inputs.volumes_seen is not None:
        for place, axis in enumerate("ijk"):
            spans[f"size_{axis}"] = inputs.volumes_seen.size[place]
            spans[f"spacing_{axis}"] = inputs.volumes_seen.spacing[place]
    span = spans.get(row["column"])
    if span is None:
        return row
    told = {"range": [float(span[0]), float(span[1])]}
    return {**row, "internal": told, "reason": "the model folder knows the range alone"}
