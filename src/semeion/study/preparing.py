"""Prepares the images of all cases for networks that classify."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.cohort.roles import image_references
from semeion.plan.schema import Plan
from semeion.prepare.store import Store, build_store
from semeion.progress import Progress
from semeion.study.folder import RunFolder
from semeion.study.options import RunOptions

Taken = Callable[[int], tuple[npt.NDArray[np.uint8], tuple[str, ...]]]


def prepared_cases(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    plan: Plan,
    options: RunOptions,
    progress: Progress,
    *,
    taken: Taken | None = None,
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
    taken
        Gives the prepared image of a row and its notes where another store has them.
    """
    return build_store(
        cohort.table["case_id"].tolist(),
        image_references(cohort),
        plan.preparation.spec(),
        run / "store",
        groups=plan.images.groups,
        hashes=facts["pixel_hash"].tolist(),
        taken=taken,
        jobs=options.jobs,
        progress=progress,
    )
