"""From the plan's sets of classes to what the evidence is asked, with the reason where no case calibrates."""

from __future__ import annotations

from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.evidence.use.sets import SetsAsked
from semeion.plan.schema import SetsPlan, ValidationPlan
from semeion.plan.sets import ASIDE
from semeion.study.options import RunOptions

_BY = (
    "Each fold is one {by}, so the cases of a fold are not drawn as those of another, and nothing can be promised for "
    "new cases."
)


def sets_asked(sets: SetsPlan, validation: ValidationPlan, task: str = "") -> SetsAsked | None:
    """Return what is asked of sets of classes or of intervals, None where the plan wants none.

    Parameters
    ----------
    sets, validation
        From the plan.
    task
        Of the target: a measured value has intervals.
    """
    if sets.coverage is None:
        return None
    why, what = sets.why.get("share", ""), "intervals" if task == "regression" else "sets"
    if sets.share:
        why = f"too few val patients were not learned from, so none could be set aside: no {what} are made"
    elif not why or ASIDE in why:
        # The share of a plan was edited, and its reason left as it was.
        why = f"the plan sets no val cases aside, and who chose cannot calibrate: no {what} are made"
    return SetsAsked(
        sets.coverage,
        reason=f"{why[:1].upper()}{why[1:]}.",
        folds=no_promise(validation.by),
    )


def no_promise(by: str | None) -> str:
    """Return why folds that are the values of a column promise nothing for new cases; empty for drawn ones."""
    return "" if by is None else _BY.format(by=by)


def refuse_coverage(options: RunOptions) -> None:
    """Refuse a coverage that cannot be, or that the plan decides, before any case is read.

    Raises
    ------
    InputError
        Saying what to write, or to leave out.
    """
    asked = options.sets
    if asked is None:
        return
    if not 0 <= asked < 1:
        raise InputError(
            f"sets that hold the truth of a share of {asked:g} of the patients cannot be made",
            where="--sets",
            fix="give a share below 1, such as 0.9 or 0.95, or 0 for none",
        )
    if options.plan is not None:
        raise InputError(
            "what sets of classes and intervals promise stands in the plan",
            where="--sets",
            fix="leave --sets out, or write sets.coverage in the plan",
        )


def refuse_sets(cohort: Cohort, options: RunOptions) -> None:
    """Refuse a coverage that nobody would read: the target has no classes, or is told from measurements.

    Raises
    ------
    InputError
        Saying what to leave out.
    """
    asked = options.sets
    if asked is None:
        return
    if cohort.target.task == "segmentation" or cohort.structures:
        what = "a diagnosis from measurements states 0.9" if cohort.structures else "the target has no classes"
        raise InputError(f"{what}, and --sets asks for {asked:g}", where="--sets", fix="leave --sets out")
