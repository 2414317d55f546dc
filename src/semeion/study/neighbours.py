"""Makes what a model ships of single training cases, where the user asked for it, and refuses where it cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.model.guard import FEATURES
from semeion.model.neighbours import MAX_CASES, WARNING, Neighbours, as_text, lengths
from semeion.model.reference import Distances, Space
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.covariate_fit import FEWEST_WITH_NUMBER, shared_quantile
from semeion.prepare.store import Store
from semeion.study.folder import RunFolder
from semeion.study.inspect import labels
from semeion.study.members.frozen import HEAD, Banks
from semeion.study.members.outputs import TOGETHER, graph_file, member_folder
from semeion.study.options import RunOptions

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
OPTION = "--ship-neighbours"
NONE = (
    "Training cases were to ship with the model, and none does: no network of it gives features in which cases "
    "could be near, or the patients are too few to set a limit on."
)
LONGEST = 200
"""Letters of a case id."""
MOST_HELD = 500
"""Held-out cases whose nearest training case is looked for."""


def make_neighbours(
    run: RunFolder,
    plan: Plan,
    members: Sequence[MemberPlan],
    graphs: Mapping[str, str],
    cohort: Cohort,
    store: Store,
    sides: Sequence[Sides],
    space: Space | None,
) -> Neighbours | None:
    """Return the cases that were learned from as they lie in the model's space of features; None without such a space.

    Parameters
    ----------
    run, plan, members, graphs, cohort, store, sides
        As of :func:`semeion.study.reference.make_reference`.
    space
        What that made.
    """
    if space is None:  # all has been learned by now, and a model without neighbours is better than none
        return None
    member = next(one for one in members if graphs.get(one.name) == space.graph)
    distances = Distances(space)
    patients = pd.factorize(cohort.table["patient_id"])[0].astype(np.int64)
    learned = _spread(np.unique(np.concatenate([side.learn for side in sides])), MAX_CASES)
    frozen = (member_folder(run, member) / HEAD).exists()
    own = [side for side in sides if side.fold == member.fold]
    if frozen:  # it learned from no case, so that all are held out from it
        knew, held = learned, _spread(learned, MOST_HELD)
    else:
        # Of a given split what a fold holds out are the test cases, which nothing may look at before it is locked.
        out = [
            side.validate if plan.validation.scheme == "given" else np.union1d(side.validate, side.held_out)
            for side in own
        ]
        knew, held = own[0].learn, _spread(np.unique(np.concatenate(out)), MOST_HELD)
    rows = np.unique(np.concatenate([learned, knew, held]))
    places = np.concatenate(
        [distances.project(part) for part in _features(run, plan, member, store, rows, frozen=frozen)]
    ).astype(np.float32)
    at = {row: number for number, row in enumerate(rows)}
    usual, far = _usual(places.astype(np.float64), [at[row] for row in held], [at[row] for row in knew], patients[rows])
    return Neighbours(
        graph=space.graph,
        dims=len(space.projection),
        cases=[str(case) for case in cohort.table["case_id"].iloc[learned]],
        standards=standards(cohort, learned),
        places=as_text(places[[at[row] for row in learned]]),
        usual=usual,
        far=far,
    )


def standards(cohort: Cohort, rows: Rows) -> list[str]:
    """Return the reference standard of cases in words."""
    y, target = labels(cohort)[rows], cohort.target
    if target.task == "multilabel":
        return [
            ("|".join(name for name, one in zip(target.classes, row, strict=True) if one == 1) or "none")[:200]
            for row in y
        ]
    if target.classes:
        return [target.classes[int(one)] for one in y]
    return [f"{one:.4g}{f' {target.unit}' if target.unit else ''}" for one in y]


def _features(
    run: RunFolder, plan: Plan, member: MemberPlan, store: Store, rows: Rows, *, frozen: bool
) -> list[npt.NDArray[np.float32]]:
    if frozen:
        return [Banks(run, plan, store).take(str(member.recipe), rows)]
    from semeion.model.engine import open_engine

    engine = open_engine(graph_file(run, member), plan.threads)
    return [engine.look(pixels, (FEATURES,))[FEATURES] for pixels in store.batches(rows, store.at_once(TOGETHER))]


def _usual(
    places: Floats, held: Sequence[int], knew: Sequence[int], patients: Rows
) -> tuple[float | None, float | None]:
    """Return how far the nearest case of another patient usually is: the median over patients, and the 95 % point.

    Of a patient with several cases the median counts.
    """
    if not len(held) or not len(knew):
        return None, None
    apart = lengths(places[list(held)], places[list(knew)])
    apart[patients[list(held)][:, None] == patients[list(knew)][None]] = np.inf
    least = pd.Series(apart.min(axis=1)).groupby(patients[list(held)]).median().to_numpy()
    least = np.sort(least[np.isfinite(least)])
    if len(least) < FEWEST_WITH_NUMBER:
        return None, None
    return shared_quantile(least, 0.5), shared_quantile(least, 0.95)


def _spread(rows: Rows, most: int) -> Rows:
    """Return `rows`, or of more than `most` so many at even distances."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def with_neighbours(plan: Plan, options: RunOptions) -> Plan:
    """Return the plan with what was asked of training cases that ship."""
    if options.ship_neighbours:
        plan.combination.neighbours = True
        plan.combination.why["neighbours"] = f"asked with {OPTION}: the model holds patient data"
    return plan


def refuse_neighbours(cohort: Cohort, options: RunOptions) -> None:
    """Refuse to ship cases where nothing classifies by features of images.

    Raises
    ------
    InputError
        Saying so.
    """
    if options.ship_neighbours and (cohort.structures or cohort.target.task == "segmentation"):
        raise InputError(
            "training cases are near in the features of a network that classifies images, and there is none here",
            where=OPTION,
            fix="leave it out",
        )
    if options.ship_neighbours:
        refuse_long_ids(cohort)


def refuse_long_ids(cohort: Cohort) -> None:
    """Refuse to ship ids that no model file holds, before anything is learned.

    Raises
    ------
    InputError
        Saying how many there are.
    """
    if long := [case for case in cohort.table["case_id"].astype(str) if len(case) > LONGEST]:
        raise InputError(
            f"{len(long)} cases have an id of more than {LONGEST} letters, and ids ship",
            where=OPTION,
            fix="shorten them, or leave the option out",
        )


def refuse_unplanned(options: RunOptions, plan: Plan) -> None:
    """Refuse the option beside a plan that ships no cases.

    Raises
    ------
    InputError
        Saying so.
    """
    if options.ship_neighbours and not plan.combination.neighbours:
        raise InputError(
            "the plan ships no training cases", where=OPTION, fix="write combination.neighbours: true in the plan"
        )


def told(neighbours: Neighbours | None) -> dict[str, Any]:
    """Return what the evidence says of them, on the report's first page and in the card."""
    if neighbours is None:
        return {"n": 0, "sentence": NONE}
    return {"n": len(neighbours.cases), "sentence": WARNING.format(n=len(neighbours.cases))}
