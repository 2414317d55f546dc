"""What learns in a learning curve with ``--full``: all that ``semeion train`` plans, once for every set of patients.

Slow on purpose. Each set is a run of its own, from the plan to the predictions, with a share of the budget that is
known before the first one begins. What is finished is kept, so that a curve that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion import __version__
from semeion.artefacts import read_json, write_json
from semeion.errors import InputError, Interrupted
from semeion.evidence.growth.measure import LEAST_DRAWS
from semeion.naming import encode_class
from semeion.plan.splits import Index
from semeion.progress import Progress, Silent
from semeion.study.curve_learning import Learner
from semeion.study.inspect import Inspected
from semeion.study.options import RunOptions

Floats = npt.NDArray[np.float64]

FOLDER = "learned"
"""Of the output: what was learned, set by set."""
FULL_BUDGET = 3600.0
"""Seconds for everything unless others are asked for."""
LEAST_SECONDS = 45.0
"""Of one training: planning, measuring and telling take half of it."""
FOR_TRAINING = 0.95
"""Share of the budget that trainings get together; the rest reads the cases and weighs."""


@dataclass(frozen=True)
class Trainings:
    """How many there are, and what each takes in seconds."""

    count: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return both for ``curve.json``."""
        return {"n": self.count, "seconds_each": round(self.seconds, 1)}

    @property
    def words(self) -> str:
        """What the curve will cost, in a sentence."""
        minutes = max(1, round(self.count * self.seconds / 60))
        return (
            f"The whole plan is learned {self.count} times, each within {self.seconds:.0f} s: about {minutes} min. "
            "Stopped, the same command goes on where it was."
        )


def trainings_of(sizes: int, sides: int, budget: float, larger: int = 0) -> Trainings:
    """Return how often is trained and how long: for every side each size in every draw, and all patients once.

    Parameters
    ----------
    sizes, sides
        Of the curve, and folds (1 of a given split).
    budget
        Seconds for everything.
    larger
        Folds that have more patients than the largest size: of them it is drawn too.

    Raises
    ------
    InputError
        When a training would get less than :data:`LEAST_SECONDS`, saying what would do.
    """
    count = sides * (LEAST_DRAWS * (sizes - 1) + 1) + larger * (LEAST_DRAWS - 1)
    seconds = FOR_TRAINING * budget / count
    if seconds < LEAST_SECONDS:
        minutes = int(np.ceil(LEAST_SECONDS * count / FOR_TRAINING / 60))
        raise InputError(
            f"with --full the whole plan is learned {count} times, and the budget of {budget:.0f} s leaves "
            f"{seconds:.0f} s for each",
            where="--budget",
            fix=f"allow at least {minutes}m, give a split column with train and val, or leave --full out",
        )
    return Trainings(count, seconds)


def whole_learner(
    seen: Inspected, groups: Index, options: RunOptions, folder: Path, trainings: Trainings, progress: Progress
) -> Learner:
    """Return what trains the whole plan on rows and reads others once, as test cases.

    Parameters
    ----------
    seen
        The cases and their scan.
    groups
        Patient of every row.
    options
        As asked; the budget of each training is that of `trainings`.
    folder
        Keeps what each training said, and the one under way.
    trainings
        What each may take.
    progress
        Is told what it will cost.
    """
    progress.say(trainings.words)
    asked = replace(options, budget=trainings.seconds, plan=None, accept=(), sets=0.0)

    def learn(rows: Index, score: Index) -> Floats:
        kept = folder / f"{_key(seen, groups, asked, rows, score)}.json"
        folder.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            write_json(kept, {"outputs": _train(seen, asked, rows, score, folder).tolist()})
        return np.array(read_json(kept)["outputs"], dtype=np.float64)

    words = (
        f"all that `semeion train` plans and learns within {trainings.seconds:.0f} s, anew for every set of patients"
    )
    return Learner(learn, "full", words)


def _key(seen: Inspected, groups: Index, options: RunOptions, rows: Index, score: Index) -> str:
    """Return a hash of everything that decides what a training says."""
    table = seen.cohort.table
    digest = hashlib.sha256(__version__.encode())
    digest.update(json.dumps(replace(options, jobs=None).to_json(), sort_keys=True, default=str).encode())
    columns = ["case_id", *seen.cohort.target.columns]
    for part in (np.sort(rows), score):
        digest.update(table[columns].iloc[part].to_json(orient="split", date_format="iso").encode())
        digest.update("\n".join(seen.facts["pixel_hash"].iloc[part].astype(str)).encode())
        digest.update(groups[part].tobytes())
    return digest.hexdigest()[:24]


def _train(seen: Inspected, options: RunOptions, rows: Index, score: Index, folder: Path) -> Floats:
    """Go the whole road with `rows` to learn from and `score` as test cases; return what is said of these."""
    from semeion.study.retraining import retrain  # the road, which is long to import

    cohort, chosen = seen.cohort, np.concatenate([np.sort(rows), score])
    table = cohort.table.iloc[chosen].reset_index(drop=True)
    table["split"] = pd.array(["train"] * len(rows) + ["test"] * len(score), dtype="str")
    facts = seen.facts.iloc[chosen].reset_index(drop=True)
    run, machine = folder / "run", folder / "machine.json"
    try:
        retrain(replace(cohort, table=table, drawn=False), facts, options, run, Silent(), machine)
    except (KeyboardInterrupt, Interrupted) as error:
        # What it advises is to resume a run that is none for its own sake.
        raise Interrupted("stopped by the user", fix="give the same command again to go on where it was") from error
    except InputError as error:
        if error.where != "--budget":
            raise
        # What it advises is for the one training.
        raise InputError(
            f"{options.budget:.0f} s are too few for one training of {len(rows)} cases: {error.what}",
            where="--budget",
            fix="allow several times as much for all of them, or leave --full out",
        ) from error
    if not machine.exists():
        shutil.copy(run / "machine.json", machine)
    found = outputs_of(pd.read_parquet(run / "predictions.parquet"), seen, score)
    shutil.rmtree(run)
    return found


def outputs_of(predictions: pd.DataFrame, seen: Inspected, score: Index) -> Floats:
    """Return what the ensemble says of test cases, calibrated, ``(cases, outputs)`` in the order of `score`."""
    target = seen.cohort.target
    rows = predictions[(predictions["member"] == "ensemble") & (predictions["split"] == "test")]
    cases = [str(case) for case in seen.cohort.table["case_id"].iloc[score]]

    def column(part: pd.DataFrame, name: str) -> Floats:
        known = part.assign(case_id=part["case_id"].astype(str)).set_index("case_id")[name]
        return known.loc[cases].to_numpy(dtype=np.float64)

    if target.task == "regression":
        return column(rows, "y_pred")[:, None]
    if target.task == "multilabel":
        return np.column_stack([column(rows[rows["target"] == label], "p_present") for label in target.classes])
    return np.column_stack([column(rows, f"p_{encode_class(name)}") for name in target.classes])


def refuse_other(output: Path, refuse: Callable[[Path], None]) -> None:
    """Refuse a folder that holds anything but what a stopped curve of this kind has learned.

    Parameters
    ----------
    output
        Of the curve.
    refuse
        Refuses one that is not empty.

    Raises
    ------
    InputError
        When it holds something else.
    """
    if not output.is_dir() or {entry.name for entry in output.iterdir()} != {FOLDER}:
        refuse(output)
