"""What the limits of a model that ships mark of its test cases: read once, after every limit is fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.model.engine import open_engine
from semeion.model.guard import FEATURES
from semeion.model.manifest_inputs import Looks
from semeion.model.reference import Distances, Reference, disagreement
from semeion.plan.schema import MemberPlan, Plan
from semeion.prepare.store import Store
from semeion.study.abstained import share_json
from semeion.study.folder import RunFolder
from semeion.study.members.frozen import HEAD, Banks
from semeion.study.members.outputs import TOGETHER, graph_file, member_folder
from semeion.study.reference import MOST_LOOKED_AT, beyond_pixels, images_of, marked_by_looks, said_by, spread_rows

Rows = npt.NDArray[np.int64]


def held_back(
    made: Reference,
    run: RunFolder,
    plan: Plan,
    members: Sequence[MemberPlan],
    graphs: Mapping[str, str],
    cohort: Cohort,
    store: Store,
    looks: Looks | None,
    patient: Rows,
) -> dict[str, Any] | None:
    """Return the share of the test cases that any limit marks, with its interval over patients.

    None of a table without test cases, where every case sets limits. Parameters are those of
    :func:`semeion.study.reference.make_reference`; `made` is what ships.
    """
    if not cohort.has_split:
        return None
    test = np.flatnonzero((cohort.table["split"] == "test").to_numpy()).astype(np.int64)
    rows = spread_rows(test, MOST_LOOKED_AT[len(store.shape)])
    if not len(rows) or (made.empty and looks is None):
        return None
    spoken = np.zeros(store.n, dtype=np.bool_)
    marked_by_looks(store, rows, looks, spoken, {}, images_of(plan))
    spoken[rows] |= beyond_pixels(store, rows, made.pixels)
    if made.space is not None:
        member = next(one for one in members if graphs.get(one.name) == made.space.graph)
        features = _features(run, plan, member, store, rows)
        spoken[rows] |= Distances(made.space).scores(features) > made.space.limit
    if made.disagreement is not None:
        row_of = {case: row for row, case in enumerate(cohort.table["case_id"].astype(str))}
        table = pd.read_parquet(run / "predictions.parquet")
        for names in made.disagreement.groups:
            said, cases = said_by(table[table["split"] == "test"], names, plan.target.task, plan.target.classes)
            far = disagreement(said, [range(len(names))], plan.target.task) > made.disagreement.limit
            spoken[[row_of[case] for case, one in zip(cases, far, strict=True) if one]] = True
    return share_json(spoken[rows], patient[rows])


def _features(run: RunFolder, plan: Plan, member: MemberPlan, store: Store, rows: Rows) -> npt.NDArray[np.float32]:
    if (member_folder(run, member) / HEAD).exists():
        return Banks(run, plan, store).take(str(member.recipe), rows)
    engine = open_engine(graph_file(run, member), plan.threads)
    found = [engine.look(pixels, (FEATURES,))[FEATURES] for pixels in store.batches(rows, store.at_once(TOGETHER))]
    return np.concatenate(found)
