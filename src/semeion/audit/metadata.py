"""What is known of a case beside its picture's content: where and how it was taken, stored and written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.columns import date_role, metadata_kind
from semeion.audit.dates import read_dates
from semeion.cohort.cohort import Cohort
from semeion.cohort.origin import read_origins
from semeion.cohort.words import is_missing
from semeion.evidence.association import Factor, centred_ranks

FEW_VALUES = 8
"""Numbers with at most so many different values are compared as categories."""
RARE = 5
"""Levels with fewer cases are one level together."""
CONTENT = "bytes_per_pixel"
"""How well a file packs: it follows what the picture shows as well as how it is stored."""
_REMARKS = frozenset(
    (
        *("exif-rotated", "alpha-composited", "monochrome1-inverted", "padding-replaced", "palette-applied"),
        *("rescaled", "range-from-values", "suffix-differs", "spacing-at-detector"),
    )
)
"""Notes of reading that tell how a file is stored; others tell of its content."""
_CATEGORIES = {"source_format": "file_type", "photometry": "photometry", "bits": "bits", "modality": "modality"}
_CATEGORIES |= {name: name for name in ("unit", "channels", "planes", "orientation")}
_CATEGORIES |= {name: name for name in ("manufacturer", "scanner_model", "station", "institution", "software")}
_CATEGORIES |= {name: name for name in ("protocol", "view", "encoding")}
_NUMBERS = {"rows": "image_rows", "cols": "image_columns", "size_k": "slices"}
_NUMBERS |= {f"spacing_{axis}": f"spacing_{axis}" for axis in ("row", "col", "i", "j", "k")}
_NUMBERS |= {name: name for name in ("jpeg_quality", "kvp", "field_strength", "slice_thickness")}


@dataclass(frozen=True)
class Question:
    """One thing to be predicted: what it is called (empty for the target), class codes, and which cases have one."""

    about: str
    y: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Metadata:
    """The facts that vary, and the columns that could not be read, with why."""

    factors: tuple[Factor, ...]
    unread: tuple[str, ...] = ()


def with_origins(cohort: Cohort, facts: pd.DataFrame) -> pd.DataFrame:
    """Return the facts with what the image files say of scanner, protocol, date, study and encoding.

    Columns that the facts have already are kept. Of several images a case the first speaks.
    """
    origins = read_origins(cohort.table["image"].astype(str))
    fresh = {name: origins[name].array for name in origins.columns if name not in facts.columns}
    return facts.reset_index(drop=True).assign(**fresh)


def questions(cohort: Cohort) -> list[Question]:
    """Return what can be predicted: the classes, each label of several, or a measured value above its median."""
    target, table = cohort.target, cohort.table
    asked = []
    for column in target.columns:
        values = table[column].to_numpy(dtype=np.float64)
        known = np.isfinite(values)
        if target.task == "regression":
            values = (values > np.median(values[known])).astype(np.float64) if known.any() else values
        about = column.removeprefix("y.") if target.task == "multilabel" else ""
        asked.append(Question(about, np.where(known, values, 0).astype(np.int64), known))
    return asked


def metadata(cohort: Cohort, facts: pd.DataFrame) -> Metadata:
    """Return the metadata of a cohort that vary between its cases.

    They are the column ``site``; columns that are no inputs and whose names say that they are of a site, a scanner, a
    protocol (:func:`semeion.audit.columns.metadata_kind`) or the date of the image; such columns among the covariates;
    and what the scan and the files tell: size, shape, spacing, slices, bits, photometry, type, encoding, maker, date.
    Never clinical columns such as age or sex.
    """
    factors: list[Factor | None] = []
    unread: list[str] = []
    if "site" in cohort.table.columns:
        factors.append(as_category("site", cohort.table["site"]))
    for name in (*cohort.unused, *cohort.covariates):
        if name not in cohort.table.columns or name == cohort.target.name:
            continue
        if date_role(name) == "acquired":
            dates = read_dates(cohort.table[name])
            unread += [f"column {name!r} {dates.problem}: {dates.fix}"] if dates.problem else []
            factors.append(as_number(name, dates.first))
        elif metadata_kind(name) is not None:
            factors.append(_column(name, cohort.table[name]))
    own = {factor.name for factor in factors if factor is not None}
    factors += [factor for factor in _from_facts(facts) if factor is None or factor.name not in own]
    return Metadata(tuple(factor for factor in factors if factor is not None), tuple(unread))


def as_category(name: str, values: pd.Series[Any]) -> Factor | None:
    """Return a factor of texts; missing is a level, rare ones are one together. None when all cases have one level."""
    texts = [level_text(value) for value in values]
    codes, levels = pd.factorize(np.array(texts, dtype=object))
    counts = np.bincount(codes, minlength=len(levels))
    rare = counts[codes] < RARE
    codes = np.where(rare, len(levels), codes)
    codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    return Factor(name, codes=codes) if codes.max(initial=0) > 0 else None


def as_number(name: str, values: npt.NDArray[np.float64]) -> Factor | None:
    """Return a factor of numbers; of few different ones a category; None when all are one."""
    known = np.isfinite(values)
    distinct = np.unique(values[known])
    if len(distinct) <= FEW_VALUES:
        return as_category(name, pd.Series(np.where(known, values, np.nan)))
    return Factor(name, numbers=np.where(known, values, np.nan))


def columns_of(factors: tuple[Factor, ...]) -> npt.NDArray[np.float64]:
    """Return factors as features ``(cases, columns)``: one a level; of a number its rank, the square and absence."""
    columns: list[npt.NDArray[np.float64]] = []
    for factor in factors:
        if factor.codes is not None:
            columns += [(factor.codes == level).astype(np.float64) for level in range(int(factor.codes.max()) + 1)]
        elif factor.numbers is not None:
            rank = centred_ranks(factor.numbers)
            missing = ~np.isfinite(factor.numbers)
            # The square finds a class of middling size among small and large ones.
            columns += [rank, rank**2, missing.astype(np.float64)]
    return np.column_stack(columns)


def _column(name: str, values: pd.Series[Any]) -> Factor | None:
    """Return a column of the table as numbers when it holds nothing else."""
    missing = values.map(lambda value: level_text(value) == "").to_numpy(dtype=np.bool_)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if missing.all() or bool((np.isnan(numbers) & ~missing).any()):
        return as_category(name, values)
    return as_number(name, np.where(missing, np.nan, numbers))


def _from_facts(facts: pd.DataFrame) -> list[Factor | None]:
    """Return what the scan and the files tell."""
    read = (facts["status"] == "ok").to_numpy()
    factors: list[Factor | None] = []
    for column, name in _CATEGORIES.items():
        if column in facts.columns:
            factors.append(as_category(name, facts[column].astype(object).where(read, None)))
    numbers = {name: _numeric(facts, column, read) for column, name in _NUMBERS.items() if column in facts.columns}
    if {"image_rows", "image_columns"} <= numbers.keys():
        rows, cols = numbers["image_rows"], numbers["image_columns"]
        numbers["aspect"] = np.divide(cols, rows, out=np.full(len(rows), np.nan), where=rows > 0)
        if "file_bytes" in facts.columns:
            area = rows * cols
            size = _numeric(facts, "file_bytes", read)
            numbers[CONTENT] = np.divide(size, area, out=np.full(len(area), np.nan), where=area > 0)
    factors += [as_number(name, values) for name, values in numbers.items()]
    if "notes" in facts.columns and "size_k" not in facts.columns:
        kept = facts["notes"].astype(str).map(lambda text: ";".join(sorted(_REMARKS & set(text.split(";")))))
        factors.append(as_category("how_it_was_read", kept))
    if "acquired" in facts.columns:
        factors.append(as_number("acquired", read_dates(facts["acquired"]).first))
    return factors


def _numeric(facts: pd.DataFrame, column: str, read: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    values = pd.to_numeric(facts[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(read, values, np.nan)


def level_text(value: object) -> str:
    """Return a level's name: 1 and 1.0 are the same, what is missing is empty."""
    if value is None or value is pd.NA:
        return ""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return f"{float(value):.15g}" if np.isfinite(value) else ""
    text = " ".join(str(value).split()).casefold()
    return "" if is_missing(text) else text
