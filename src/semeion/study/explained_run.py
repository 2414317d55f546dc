"""A finished run opened again, to see where its members look in cases that they did not learn from.

Public, for research: a run tries its maps within its budget (:mod:`semeion.study.explaining`); here whoever studies
maps sees each one, and repeats the trials on more cases. The page on explanations has an example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import read_json
from semeion.cohort.cohort import Cohort, read_cohort
from semeion.plan.files import read_plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store, open_store
from semeion.study.explained_reading import Side
from semeion.study.explaining import MOST_CASES, held_out_sides, trial_of, try_explanations
from semeion.study.folder import RunFolder
from semeion.study.inspect import labels
from semeion.study.learning import Alone, Trained
from semeion.study.sight import Sight


@dataclass(frozen=True)
class OpenedRun:
    """What a finished run holds.

    Attributes
    ----------
    run, cohort, trained, store, parts
        The folder, its cases, members with their shares, prepared images, and who learned from whom.
    groups, y
        Number of each case's patient, and the reference standard.
    """

    run: RunFolder
    cohort: Cohort
    groups: npt.NDArray[np.int64]
    trained: Trained
    store: Store
    y: npt.NDArray[np.float64]
    parts: list[Sides]

    def sights(self) -> Iterator[tuple[Side, Sight]]:
        """Yield cases that members did not learn from, and these members."""
        trial = trial_of(self.run, self.cohort, self.trained, self.store, "activation", {}, self.trained.plan.seed)
        for side in held_out_sides(self.run, self.trained, self.parts):
            engines = {one.graph: trial.opened.engine(one.graph) for one in side.members}
            yield side, Sight(trial.asked, side.members, engines)

    def trials(self, *, seed: int, most: int = MOST_CASES, seconds: float | None = None) -> dict[str, Any]:
        """Return what the trials say of the run's maps; see :func:`semeion.study.explaining.try_explanations`."""
        given = (self.run, self.cohort, self.groups, self.trained, self.store, self.y, self.parts)
        return try_explanations(*given, seed=seed, most=most, seconds=seconds)


def opened_run(path: Path) -> OpenedRun:
    """Open a run that learned one target from images and is finished.

    Raises
    ------
    InputError
        When a file of it is missing or damaged.
    """
    from semeion.study.road import groups_of, sides_of

    run = RunFolder(path)
    plan, cohort = read_plan(run / "plan.executed.yaml"), read_cohort(run / "cohort.parquet")
    facts = pd.read_parquet(run / "scan.parquet")
    trained = Trained(plan)
    shares = {one["name"]: one.get("share") for one in read_json(run / "evidence.json")["members"]}
    for fold in {member.fold for member in plan.members}:
        own = {m.name: float(shares.get(m.name) or 0.0) for m in plan.members if m.fold == fold}
        if (total := sum(own.values())) > 0:
            trained.combinations[fold] = Alone({name: share / total for name, share in own.items()}, "of the run")
    parts = sides_of(cohort, facts, plan)
    return OpenedRun(run, cohort, groups_of(cohort, facts), trained, open_store(run / "store"), labels(cohort), parts)
