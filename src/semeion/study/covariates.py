"""Covariates of a study: which are accepted, and what a plan and a table must agree in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.plan.fingerprint import learning_rows
from semeion.plan.schema import Plan
from semeion.prepare.covariate_fit import covariate_kinds, covariate_rows
from semeion.prepare.covariates import Kind
from semeion.study.options import RunOptions


def kinds_of(cohort: Cohort) -> dict[str, Kind]:
    """Return what each covariate of a cohort holds, by the cases to learn from; empty without any."""
    return covariate_kinds(cohort, learning_rows(cohort).to_numpy()) if cohort.covariates else {}


def refuse_covariates(cohort: Cohort, by: str | None = None) -> None:
    """Refuse covariates that no model should see, and questions whose models see none.

    Parameters
    ----------
    cohort
        The cases.
    by
        A column whose values are held out one after another.

    Raises
    ------
    InputError
        Naming each column, what is wrong with it and what to do.
    """
    if not cohort.covariates:
        return
    if cohort.target.task == "segmentation" or cohort.structures:
        what = "masks are" if cohort.target.task == "segmentation" else "a diagnosis from measurements is"
        raise InputError(
            f"{what} not made with covariates ({', '.join(cohort.covariates)})",
            where="--covariates",
            fix="leave the option out; such columns still are strata and are looked at by audits",
        )
    if by in cohort.covariates:
        raise InputError(
            f"{by!r} is held out value by value, and also an input: its value at use would never have been seen",
            where="--covariates",
            fix="leave it out of --covariates",
        )
    kinds_of(cohort)


def problems_of(cohort: Cohort) -> list[str]:
    """Return why training would refuse the covariates of a cohort, as sentences for ``semeion check``."""
    try:
        refuse_covariates(cohort)
    except InputError as error:
        return [f"Training would refuse --covariates: {text}." for text in (error.details or [str(error)])]
    return []


def refuse_other_covariates(plan: Plan, cohort: Cohort, where: Path) -> None:
    """Refuse a plan that learns from other covariates than were named, or holds them to be something else.

    Raises
    ------
    InputError
        Naming what differs.
    """
    planned, found = plan.covariates, {name: str(kind) for name, kind in kinds_of(cohort).items()}
    if planned == found:
        return
    if set(planned) != set(found):
        own, asked = (", ".join(names) or "no covariates" for names in (planned, found))
        raise InputError(
            f"the plan learns from {own}, and --covariates names {asked}",
            where=str(where),
            fix="leave --covariates out to take the plan's, or plan again with it" if planned else "plan again with it",
        )
    name = next(name for name in planned if planned[name] != found[name])
    raise InputError(
        f"the plan has the covariate {name!r} as {planned[name]}, and the table holds {found[name]}",
        where=str(where),
        fix="give the table that the plan was made for, or plan again",
    )


def with_planned(options: RunOptions, plan: Any) -> RunOptions:
    """Return options that name the covariates of a given plan, where the user named none."""
    if not isinstance(plan, Plan) or options.cohort.covariates:
        return options
    return replace(options, cohort=replace(options.cohort, covariates=tuple(plan.covariates)))


def known_of(cohort: Cohort, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what the columns `names` say of each case, by case id and column."""
    columns = covariate_rows(cohort, names)
    cases = [str(case) for case in cohort.table["case_id"]]
    return {case: {name: columns[name][row] for name in names} for row, case in enumerate(cases)}
