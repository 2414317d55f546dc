"""Puts a network of the user's in the place of the plan's own, with the time that it takes."""

from __future__ import annotations

from pathlib import Path

from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.plan.recipes import OwnNetworkPlan
from semeion.plan.schema import Plan

OPTION = "--network"
FEWEST_STEPS = 20
"""Steps that a member keeps, however slow the network is."""


def with_own_network(plan: Plan, factory: str | None) -> Plan:
    """Return a plan whose own network is what a factory makes; the plan as it is where there is none.

    Members of that network get as many steps as fit into the time that was planned for them.

    Parameters
    ----------
    plan
        As it was made for the networks that Semeion knows.
    factory
        ``package.module:Factory``.

    Raises
    ------
    InputError
        When the factory cannot be imported, or makes what cannot be trained or exported.
    """
    if factory is None:
        return plan
    from semeion.learn.network import outputs_of
    from semeion.learn.own import check_own, code_of, own_step_seconds

    why = {"factory": f"given with {OPTION}; the hash is of the file that it is written in"}
    own = OwnNetworkPlan(factory=factory, code=code_of(factory), why=why)
    outputs, training = outputs_of(plan.target.task, plan.target.classes), plan.training
    check_own(own, plan.shape, outputs)
    took = own_step_seconds(own, plan.shape, outputs, training.batch, training.threads)
    before = plan.budget.step_seconds.get("network", took)
    made = plan.model_copy(deep=True)
    made.network = own
    made.training.channels_last = False
    made.training.precision = "float32"
    made.training.why["precision"] = f"a network of the user's: float32, {took:.3f} s a step"
    made.budget.step_seconds["network"] = max(took, 1e-6)
    for member in made.members:
        if member.recipe is None:
            member.steps = max(FEWEST_STEPS, int(member.steps * before / max(took, before / 4)))
    return Plan.model_validate(made.model_dump(by_alias=True))


def refuse_other_code(plan: Plan, factory: str | None, where: Path) -> None:
    """Refuse a plan whose network is code that the command line does not name: reading a file must not run code.

    Raises
    ------
    InputError
        Saying what to add, or to leave out.
    """
    planned = plan.network.factory if isinstance(plan.network, OwnNetworkPlan) else None
    if planned == factory:
        return
    if planned is not None and factory is None:
        raise InputError(
            f"the plan's network is the code {planned}, which is run by name alone",
            where=str(where),
            fix=f"add {OPTION} {planned} if you trust it",
        )
    raise InputError(
        f"{OPTION} names {factory}, and the plan's network is {planned or 'one of Semeion'}",
        where=str(where),
        fix=f"leave {OPTION} out, or plan again with it",
    )


def refuse_own(cohort: Cohort, factory: str | None) -> None:
    """Refuse a network of the user's where outlines are drawn.

    Raises
    ------
    InputError
        Saying what to leave out.
    """
    if factory is not None and (cohort.target.task == "segmentation" or cohort.structures):
        raise InputError(
            "networks that outline are Semeion's own", where=OPTION, fix=f"leave {OPTION} out, or classify images"
        )


def check_factory(factory: str | None) -> None:
    """Import a factory before any image is read.

    Raises
    ------
    InputError
        When the text is no import path, or nothing is there.
    """
    if factory is None:
        return
    from pydantic import ValidationError

    from semeion.learn.own import load_factory

    try:
        OwnNetworkPlan(factory=factory, code="0" * 64)
    except ValidationError as error:
        raise InputError(f"{factory!r} is no import path", where=OPTION, fix="write package.module:Factory") from error
    load_factory(factory)
