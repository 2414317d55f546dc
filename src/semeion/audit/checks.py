"""The audits that read pixels, identifiers and the table: all that `semeion check` looks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from semeion.audit.audit import Audit
from semeion.audit.background import background_signal
from semeion.audit.border import border_shortcut
from semeion.audit.copies import (
    Copies,
    duplicate_groups,
    find_copies,
    label_conflicts,
    near_duplicates,
    with_copies,
)
from semeion.audit.images import blank_images, unmatched_files, unreadable_images
from semeion.audit.labels import class_counts, mask_counts, missing_values
from semeion.audit.leak import target_leak
from semeion.audit.metadata import with_origins
from semeion.audit.order import time_order
from semeion.audit.patients import patient_overlap
from semeion.audit.raters import rater_agreement
from semeion.audit.sites import site_confounding
from semeion.audit.sources import source_class
from semeion.cohort.cohort import Cohort
from semeion.errors import InputError

__all__ = ["NAMES", "affected_cases", "duplicate_groups", "is_void", "run_checks"]

NAMES = (
    "unreadable-images",
    "blank-images",
    "near-duplicates",
    "patient-overlap",
    "label-conflicts",
    "unmatched-files",
    "class-counts",
    "missing-values",
    "target-leak",
    "site-confounding",
    "source-class",
    "time-order",
    "rater-agreement",
    "border-shortcut",
    "background-signal",
)
"""The audits of :func:`run_checks`, in the order in which a page shows them."""


def run_checks(
    cohort: Cohort,
    facts: pd.DataFrame,
    *,
    source_files: Iterable[Path] | None = None,
    folds: int = 5,
    copies: Copies | None = None,
) -> dict[str, Audit]:
    """Run every audit of the tier ``check``.

    Parameters
    ----------
    cohort
        All cases, test cases included: reading them beforehand for integrity is honest, and needed.
    facts
        As :func:`semeion.prepare.scan.scan` returns, one row a case in cohort order.
    source_files
        The image files of the source, when known; else the folders of the images are listed.
    folds
        Folds that will be drawn when no split is given.
    copies
        Copies of pictures, when :func:`semeion.audit.copies.find_copies` found them already.

    Returns
    -------
    dict
        An :class:`Audit` for each of `NAMES`.

    Raises
    ------
    InputError
        When `facts` is not of this cohort.
    """
    if facts["case_id"].astype(str).tolist() != cohort.table["case_id"].astype(str).tolist():
        raise InputError("the facts are not of these cases", where="facts", fix="scan this cohort")
    copies = copies if copies is not None else find_copies(cohort, facts)
    facts = with_copies(facts, copies.groups)
    told = with_origins(cohort, facts)
    audits = (
        unreadable_images(cohort, facts),
        blank_images(cohort, facts),
        near_duplicates(cohort, facts, copies),
        patient_overlap(cohort, told),
        label_conflicts(cohort, facts, copies),
        unmatched_files(cohort, source_files),
        mask_counts(cohort, facts) if cohort.target.task == "segmentation" else class_counts(cohort, folds),
        missing_values(cohort),
        target_leak(cohort),
        site_confounding(cohort, told),
        source_class(cohort, told),
        time_order(cohort, told),
        rater_agreement(cohort),
        border_shortcut(cohort, facts),
        background_signal(cohort, facts),
    )
    return {audit.name: audit for audit in audits}


def is_void(audits: Mapping[str, Audit]) -> list[str]:
    """Return the names of the audits that void the result, on which `semeion train` stops."""
    return [name for name, audit in audits.items() if audit.verdict == "void"]


def affected_cases(audits: Mapping[str, Audit]) -> dict[str, set[str]]:
    """Return, for each void audit, the test cases to leave out of the figures given without what was accepted.

    An empty set means that leaving cases out repairs nothing (the target among the inputs).
    """
    return {name: set(audit.affected) for name, audit in audits.items() if audit.verdict == "void"}
