"""Prepares the images of all cases for networks that classify."""

from __future__ import annotations

import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.cohort.roles import image_references
from semeion.plan.schema import Plan
from semeion.prepare.store import Store, build_store
from semeion.progress import Progress
from semeion.study.folder import RunFolder
from semeion.study.options import RunOptions


def prepared_cases(
    run: RunFolder, cohort: Cohort, facts: pd.DataFrame, plan: Plan, options: RunOptions, progress: Progress
) -> Store:
    """Return the prepared cases in cohort order, kept in ``store/`` of `run`; what is there already is not redone.

    Parameters
    ----------
    run
        Where the store lives.
    cohort, facts
        The cases, and their scan in the same order.
    plan
        Whose preparation is followed.
    options, progress
        Threads, and the bar.
    """
    return build_store(
        cohort.table["case_id"].tolist(),
        image_references(cohort),
        plan.preparation.spec(),
        run / "store",
        groups=plan.images.groups,
        hashes=facts["pixel_hash"].tolist(),
        jobs=options.jobs,
        progress=progress,
    )
