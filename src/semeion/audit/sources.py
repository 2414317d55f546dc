"""Classes that come from one source each, so that telling the sources apart is all that a model has to learn."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict
from semeion.audit.columns import joined, metadata_kind, tokens
from semeion.audit.copies import duplicate_groups
from semeion.audit.metadata import Question, level_text, questions
from semeion.cohort.cohort import Cohort
from semeion.cohort.words import SPLIT_WORDS, sense
from semeion.evidence.association import Factor, cramers_v, holm, permutation_p

NEAR_ONE = 0.9
"""Cramér's V, or phi of one class with one source, from which on a class and its source are one thing..."""
STRONG = 0.7
"""...from which on it is warned of, without blocking a "valid" verdict..."""
MODERATE = 0.5
"""...and from which on it is noted."""
SIGNIFICANT = 0.01
FEWEST = 5
"""A class with fewer patients (cases, where no patients are given) is left out, sources with fewer are one together."""
FEWEST_ALL = 20
"""With fewer patients in all only a class that has a source of its own altogether counts."""
MOST_SOURCES = 20
"""More levels than this are identifiers and no sources."""
NAMED_AS_CLASS = 0.9
"""Share of cases whose folder (or id) is named as their class, from which on it is the label itself."""
_FACTS = {"source_format": "file type", "manufacturer": "manufacturer", "scanner_model": "scanner model"}
_FACTS |= {"station": "station", "institution": "institution"}
_IDS = "series of patient ids"


@dataclass(frozen=True)
class _Tie:
    """How a question's classes go with one kind of source."""

    source: str
    about: str
    v: float
    phi: float
    label: str
    level: str
    exclusive: bool
    p: float = 1.0

    @property
    def strength(self) -> float:
        return 1.0 if self.exclusive else max(self.v, self.phi)


def source_class(cohort: Cohort, facts: pd.DataFrame, *, permutations: int = 1999, seed: int = 0) -> Audit:
    """Look for classes that come from one source only.

    Sources are the site, columns that name a site or a scanner, the type of file, maker and model as the files tell,
    folders, and series of patient ids (the letters before the number). A level of folders whose names are the cases'
    own classes (``yes/``, ``0/``, ``malignant/``) is the label and no source: of a tree of class folders only levels
    above and below count, and so do all levels where folders are named otherwise. Names of splits are no sources.

    Counted are patients (cases, where no patients are given) of each class in each source. ``warn``, with
    ``blocks_valid``, when a class of at least 5 has a source to itself (all of it comes from there, and nothing else
    does), or Cramér's V of classes and sources, or phi of one class with one source, is 0.9 or more; ``warn`` from
    0.7, ``note`` from 0.5, both with an adjusted p-value below 0.01. A series of ids never blocks: it may be a way of
    writing the label.

    Parameters
    ----------
    cohort, facts
        The cases and their scan, with the columns of :func:`semeion.cohort.origin.read_origins` where they are known.
    permutations, seed
        Of the test.
    """
    asked = questions(cohort) if cohort.target.task != "regression" else []
    if not asked:
        advice = "There are no classes: a measured value or a mask does not come from one source or another."
        return Audit("source-class", "not_run", figures={"blocks_valid": False}, advice=advice)
    units = duplicate_groups(cohort, facts).to_numpy()
    sources = _sources(cohort, facts, units)
    ties: list[_Tie] = []
    for question in asked:
        names = ("absent", "present") if question.about else cohort.target.classes
        written = _written(cohort, question)
        for source, levels in sources.items():
            if not _is_label(levels, question, names, written, cohort.target.positive):
                tie = _tie(source, levels, units, question, names, permutations, seed)
                ties += [tie] if tie is not None else []
    if not ties:
        return Audit(
            "source-class",
            "not_run",
            figures={"blocks_valid": False},
            advice="All cases come from one source as far as is known: no site, scanner or folder varies, and all "
            "files are of one type. Bring a column 'site' if there are several.",
        )
    adjusted = holm([tie.p for tie in ties])
    graded = sorted(
        ((_grade(tie, float(p)), tie) for tie, p in zip(ties, adjusted, strict=True)),
        key=lambda one: (-_RANK[one[0]], -one[1].strength),
    )
    worst, first = graded[0]
    blocks = any(grade == "blocks" for grade, _ in graded)
    figures: dict[str, Any] = {
        "blocks_valid": blocks,
        "sources_compared": len({tie.source for tie in ties}),
        "strongest_source": first.source,
    }
    figures |= {"cramers_v": round(first.v, 4), "phi": round(first.phi, 4)}
    figures["ties"] = [_entry(tie) for _, tie in graded[:10]]
    verdict: Verdict = "warn" if worst in ("blocks", "strong") else "note" if worst == "moderate" else "clear"
    return Audit("source-class", verdict, figures=figures, advice=_advice(graded))


_RANK = {"blocks": 3, "strong": 2, "moderate": 1, "none": 0}


def _grade(tie: _Tie, adjusted: float) -> str:
    if tie.exclusive or tie.strength >= NEAR_ONE:
        return "strong" if tie.source == _IDS else "blocks"
    if adjusted >= SIGNIFICANT:
        return "none"
    return "strong" if tie.strength >= STRONG else "moderate" if tie.strength >= MODERATE else "none"


def _sources(cohort: Cohort, facts: pd.DataFrame, units: npt.NDArray[np.int64]) -> dict[str, list[str]]:
    """Return the level of every case by kind of source, those that vary and are no identifiers."""
    table = cohort.table
    found: dict[str, list[str]] = {"site": [level_text(value) for value in table["site"]]}
    for name in (*cohort.unused, *cohort.covariates):
        if name in table.columns and name != cohort.target.name and metadata_kind(name) in ("site", "scanner"):
            found[name] = [level_text(value) for value in table[name]]
    read = (facts["status"] == "ok").to_numpy()
    for column, name in _FACTS.items():
        if column in facts.columns and name not in found:
            levels = [level_text(value) for value in facts[column]]
            found[name] = [level if ok else "" for level, ok in zip(levels, read, strict=True)]
    found |= _folders(table["image"].astype(str).tolist())
    if cohort.has_patients:
        found[_IDS] = [
            re.split(r"\d", str(one), maxsplit=1)[0].strip(" _-./").casefold() for one in table["patient_id"]
        ]
    return {name: levels for name, levels in found.items() if _are_sources(levels, units)}


def _folders(references: Sequence[str]) -> dict[str, list[str]]:
    """Return the folder of every image at each level below the folder that holds them all."""
    if not references or any(".npz#" in reference.lower() for reference in references):
        return {}
    parents = [PurePath(os.path.normpath(reference)).parent.parts for reference in references]
    shared = 0
    while all(len(parts) > shared and parts[shared] == parents[0][shared] for parts in parents):
        shared += 1
    depth = max(len(parts) for parts in parents) - shared
    if depth > MOST_SOURCES:
        return {}
    found = {}
    for level in range(depth):
        names = [parts[shared + level] if len(parts) > shared + level else "" for parts in parents]
        if not {name.casefold() for name in names if name} <= SPLIT_WORDS.keys():
            found[f"folder, level {level + 1}"] = names
    return found


def _are_sources(levels: Sequence[str], units: npt.NDArray[np.int64]) -> bool:
    """Tell whether levels vary, are few, and hold most of the patients in groups."""
    counts = _unit_counts(levels, units)
    large = [count for count in counts.values() if count >= FEWEST]
    return len(counts) > 1 and bool(large) and len(large) <= MOST_SOURCES and sum(large) >= sum(counts.values()) / 2


def _unit_counts(levels: Sequence[str], units: npt.NDArray[np.int64]) -> dict[str, int]:
    pairs = pd.DataFrame({"level": list(levels), "unit": units}).drop_duplicates()
    return {str(name): int(count) for name, count in pairs["level"].value_counts().items()}


def _written(cohort: Cohort, question: Question) -> list[str]:
    """Return how the table writes each case's class; empty where it does not."""
    name = cohort.target.name
    if question.about or name not in cohort.table.columns:
        return [""] * len(cohort.table)
    return [joined(level_text(value)) for value in cohort.table[name]]


def _is_label(
    levels: Sequence[str], question: Question, names: Sequence[str], written: Sequence[str], positive: str | None
) -> bool:
    """Tell whether levels are named as the cases' own classes."""
    told: dict[tuple[str, int, str], bool] = {}
    hits = total = 0
    for level, code, text, known in zip(levels, question.y, written, question.known, strict=True):
        if known:
            key = (level, int(code), text)
            if key not in told:
                told[key] = _names(level, names[int(code)], text, positive)
            hits += told[key]
            total += 1
    return total > 0 and hits >= NAMED_AS_CLASS * total


def _names(level: str, name: str, written: str, positive: str | None) -> bool:
    """Tell whether a folder or an id is named as a class: its name, what the table writes, or a word of its sense."""
    plain, own = joined(level), joined(name)
    if not plain:
        return False
    if plain in (own, written) or plain.removesuffix("s") == own.removesuffix("s"):
        return True
    words = set(tokens(level))
    if any(text and set(tokens(text)) <= words for text in (name, written)):
        return True
    return positive is not None and sense(level) == (1 if name == positive else -1)


def _tie(
    source: str,
    levels: Sequence[str],
    units: npt.NDArray[np.int64],
    question: Question,
    names: Sequence[str],
    permutations: int,
    seed: int,
) -> _Tie | None:
    """Compare classes and sources, a patient once in each class and source that it has."""
    frame = pd.DataFrame({"unit": units, "y": question.y, "level": list(levels)})[question.known].drop_duplicates()
    frame = frame[frame["y"].map(frame["y"].value_counts()) >= FEWEST]
    counts = frame["level"].value_counts()
    frame["level"] = frame["level"].where(frame["level"].map(counts) >= FEWEST, "")
    codes, level_names = pd.factorize(frame["level"])
    y = frame["y"].to_numpy(dtype=np.int64)
    table = np.zeros((len(level_names), len(names)))
    np.add.at(table, (codes, y), 1)
    table_seen = table[:, table.sum(axis=0) > 0]
    if min(table_seen.shape) < 2:
        return None
    phi = _phi(table)
    enough = (table.sum(axis=0) > 0)[None, :] & (table.sum(axis=1) >= FEWEST)[:, None]
    enough &= np.array([name != "" for name in level_names], dtype=np.bool_)[:, None]
    best = np.where(enough, phi, -1.0)
    row, column = divmod(int(np.argmax(best)), best.shape[1])
    exclusive = bool(best[row, column] >= 1 - 1e-9)
    few = table.sum() < FEWEST_ALL
    v = 0.0 if few else float(np.nan_to_num(cramers_v(table)))
    unit = np.unique(frame["unit"].to_numpy(), return_inverse=True)[1].astype(np.int64)
    dense = np.unique(y, return_inverse=True)[1].astype(np.int64)
    factor = Factor(source, codes=np.asarray(codes, dtype=np.int64))
    p = permutation_p([factor], dense, unit, permutations=permutations, seed=seed)[0]
    shown = 0.0 if few and not exclusive else float(max(best[row, column], 0.0))
    return _Tie(source, question.about, v, shown, names[column], str(level_names[row]), exclusive, float(p))


def _phi(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return phi of each class against the rest with each level against the rest, ``(levels, classes)``, -1 to 1."""
    n, rows, cols = table.sum(), table.sum(axis=1)[:, None], table.sum(axis=0)[None, :]
    spread = np.sqrt(rows * (n - rows) * cols * (n - cols))
    return np.asarray(np.divide(n * table - rows * cols, spread, out=np.zeros_like(table), where=spread > 0))


def _entry(tie: _Tie) -> dict[str, Any]:
    entry: dict[str, Any] = {"label": tie.about} if tie.about else {}
    entry |= {"source": tie.source, "cramers_v": round(tie.v, 4), "phi": round(tie.phi, 4), "p": round(tie.p, 6)}
    return entry | {"class": tie.label, "has_a_source_to_itself": tie.exclusive}


def _advice(graded: Sequence[tuple[str, _Tie]]) -> str:
    """Return what was found and what to do."""
    worst, tie = graded[0]
    kinds = list(dict.fromkeys(tie.source for _, tie in graded))
    if worst == "none":
        return f"No class comes from one source of its own. Compared: {', '.join(kinds)}."
    about = f"{tie.about!r} ({tie.label})" if tie.about else f"class {tie.label!r}"
    if tie.exclusive:
        what = f"all of {about} comes from one source ({tie.source} {tie.level!r}), and nothing else comes from there"
    elif tie.phi >= tie.v:
        what = f"nearly all of {about} comes from one source ({tie.source} {tie.level!r}; phi {tie.phi:.2f})"
    else:
        what = f"the classes come from different sources ({tie.source}; Cramér's V {tie.v:.2f})"
    text = f"{what[0].upper()}{what[1:]}. "
    if tie.source == _IDS:
        return (
            f"{text}If the ids only write the label in another way, nothing is wrong; if each series is of a place of "
            "its own, bring cases of every class from every place."
        )
    if worst == "moderate":
        return text + "Read the figures of each source, and bring cases of every class from every source."
    folders = " If such folders are patients, bring a column patient_id." if tie.source.startswith("folder") else ""
    blocked = " No result on these data can be called valid until then." if worst == "blocks" else ""
    return (
        f"{text}A model that tells the sources apart would seem to diagnose. Bring cases of every class from every "
        f"source.{blocked}{folders}"
    )
