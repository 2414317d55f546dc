"""Label randomisation: the map of a member that learned again, from labels that were exchanged at random.

Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, section 4. A head on frozen features is learned again in
seconds. A network would have to be trained once more, for which a run has no time: that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json
from semeion.errors import InputError
from semeion.explain.trial.similarity import spearman
from semeion.model.linear import Linear
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.explained_reading import Side, Trial, kept
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained
from semeion.study.members.frozen import Banks
from semeion.study.members.outputs import member_folder
from semeion.study.sight import Seeing, Sight

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

MOST = 0.25
"""Share of the time of all trials that is kept for learning a head again."""
NOT_NETWORKS = "a network would have to be trained once more, for which the run has no time"


@dataclass(frozen=True)
class Labels:
    """What came of it.

    Attributes
    ----------
    told
        What was done, or why nothing was.
    rows, values
        The cases, and how alike the two maps of each are; None where nothing was done.
    cases
        Which those are, in words.
    """

    told: str
    rows: Rows | None = None
    values: Floats | None = None
    cases: str = ""


def random_labels(
    run: RunFolder,
    trial: Trial,
    trained: Trained,
    store: Store,
    y: Floats,
    groups: Rows,
    parts: Sequence[Sides],
    sides: Sequence[Side],
    seconds: float | None,
) -> Labels:
    """Learn the head of one member again on exchanged labels, and compare the maps of held-out cases.

    Parameters
    ----------
    run, trial, trained, store, y, groups, parts
        The run: where members lie, and what they learned from.
    sides
        Held-out cases and who reads them, in the order of `parts`; the first with a member on frozen features is taken.
    seconds
        That are left; None: as long as it takes.
    """
    from semeion.learn.linear_layers import fit_layers

    began = monotonic()
    chosen = [(side, member) for side in sides for member in side.members if member.head is not None and len(side.rows)]
    if trial.method != "activation" or not chosen:
        return Labels(f"not tried: {NOT_NETWORKS}")
    side, member = chosen[0]
    plan = trained.plan
    planned = next(one for one in plan.members if one.name == member.name)
    took = read_json(member_folder(run, planned) / "member.json").get("seconds")
    if seconds is not None and (took is None or float(took) > seconds):
        return Labels(f"not tried: learning {member.name} again takes {took} s, more than was left")
    learned = next(part for part in parts if part.fold == planned.fold).learn
    banks = Banks(run, plan, store)
    x = banks.take(member.graph, learned)
    rng = np.random.default_rng([trial.seed, 7])
    task = plan.target.task
    outputs = 1 if task == "regression" else len(plan.target.classes)
    try:
        fitted = fit_layers(
            x,
            banks.layers(member.graph),
            y[learned][rng.permutation(len(learned))],
            groups[learned],
            task,
            outputs,
            seed=planned.seed,
        )
    except InputError as error:
        return Labels(f"not tried: {error.what}")
    again = replace(member, head=Linear.model_validate(fitted.arrays), share=1.0)
    values = _alike(trial, side.rows, replace(member, share=1.0), again)
    told = (
        f"the head of {member.name} learned again in {monotonic() - began:.0f} s on labels exchanged among its "
        f"learning cases; of networks not tried: {NOT_NETWORKS}"
    )
    return Labels(told, side.rows, values, f"held-out cases of {member.name} alone")


def _alike(trial: Trial, rows: Rows, before: Seeing, after: Seeing) -> Floats:
    """Return how alike the maps of two members on one graph are, of each case."""
    engines = {before.graph: trial.opened.engine(before.graph)}
    one, other = Sight(trial.asked, [before], engines), Sight(trial.asked, [after], engines)
    found = []
    for first in range(0, len(rows), trial.together):
        pictures = trial.store.take(rows[first : first + trial.together])
        look = one.look(pictures)
        targets = one.targets(one.said(look))
        both = [sight.maps(pictures, look, targets, trial.method) for sight in (one, other)]
        found.append(spearman(*(np.stack([kept(each) for each in maps]) for maps in both)))
    return np.concatenate(found)
