"""Training with each site held out once: from the cohort to the folds, and what the evidence says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.audit.checks import duplicate_groups
from semeion.cohort.cohort import Cohort
from semeion.errors import InputError, nearest
from semeion.plan.schema import Plan
from semeion.plan.sites import Sites, site_folds, site_names
from semeion.study.inspect import labels


def refuse_by(cohort: Cohort, by: str | None) -> None:
    """Refuse to hold out by a column that is not there, or for a task whose folds serve something else.

    Raises
    ------
    InputError
        Saying what can be held out.
    """
    if by is None:
        return
    if cohort.target.task == "segmentation" or cohort.structures:
        raise InputError(
            "only networks that diagnose from images are trained with one site held out after another",
            where="--by",
            fix="leave --by out; weigh the model on another site's cases with `semeion evaluate`",
        )
    possible = ["site", *cohort.covariates, *cohort.unused]
    if by not in possible:
        raise InputError(
            f"no column {by!r} whose values could be held out{nearest(by, possible)}",
            where="--by",
            fix=f"name one of {', '.join(possible)}",
        )


def sites_of(cohort: Cohort, facts: pd.DataFrame, column: str) -> Sites:
    """Return the folds that the values of a column make of all cases but test cases.

    Raises
    ------
    InputError
        See :func:`semeion.plan.sites.site_folds`.
    """
    refuse_by(cohort, column)
    table = cohort.table
    pool = np.flatnonzero(table["split"] != "test") if cohort.has_split else np.arange(len(table))
    return site_folds(
        table[column].tolist(),
        pool.astype(np.int64),
        labels(cohort),
        cohort.target.task,
        pd.factorize(duplicate_groups(cohort, facts))[0].astype("int64"),
        column=column,
        cases=table["case_id"].tolist(),
        patients=table["patient_id"].tolist(),
        classes=cohort.target.classes,
    )


def planned_fold(cohort: Cohort, facts: pd.DataFrame, plan: Plan) -> Any:
    """Return the fold of every row where the plan holds out by a column, else None.

    Raises
    ------
    InputError
        When the table has another number of sites than the plan has folds.
    """
    if plan.validation.by is None:
        return None
    sites = sites_of(cohort, facts, plan.validation.by)
    if len(sites.names) != plan.validation.folds:
        raise InputError(
            f"the plan holds out {plan.validation.folds} values of {sites.column!r}, and the table has "
            f"{len(sites.names)} ({', '.join(sites.names)})",
            where="the plan",
            fix="plan again",
        )
    return sites.fold


def validation_json(cohort: Cohort, plan: Plan) -> dict[str, Any] | None:
    """Return ``validation`` of the evidence: what each fold held out; None where folds were drawn or a split was given.

    The figures of each site are those of its stratum: ``strata.<by>.<site>.metrics.oof``.
    """
    by = plan.validation.by
    if by is None:
        return None
    table = cohort.table[cohort.table["split"] != "test"] if cohort.has_split else cohort.table
    names = sorted(set(site_names(table[by].tolist())))
    return {
        "scheme": f"leave-one-{by}-out",
        "by": by,
        "n": len(names),
        "held_out": {str(fold): name for fold, name in enumerate(names)},
    }
