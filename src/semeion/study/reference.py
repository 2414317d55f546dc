"""Makes what a run's model ships of its training cases: where they lie among features, and how far members disagree.

Learning and validation cases alone are looked at, as they may choose; those that calibrate sets, and test cases, are
not. The share that all limits together may mark, :data:`semeion.model.reference.RATE`, is divided: what looks at pixels
and disagreement mark of these cases is no longer left for distances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.model.engine import Engine, open_engine
from semeion.model.gate_image import FEWEST_PATIENTS, array_remarks, pictures_of, training_looks
from semeion.model.guard import FEATURES
from semeion.model.manifest import Task
from semeion.model.manifest_inputs import Looks
from semeion.model.pixel_statistics import PIXELS, WIDTH, statistics_of
from semeion.model.reference import RATE, REFERENCE, Disagreement, Distances, Reference, Space, disagreement
from semeion.naming import encode_class
from semeion.plan.recipes import FrozenRecipe
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.covariate_fit import shared_quantile
from semeion.prepare.store import Store
from semeion.study.abstained import share_json
from semeion.study.folder import RunFolder
from semeion.study.inputs_seen import told_share
from semeion.study.inspect import labels
from semeion.study.members.frozen import HEAD, Banks
from semeion.study.members.outputs import TOGETHER, graph_file, member_folder
from semeion.study.reference_fit import Known, columns_of, fit_space, per_patient, tail_of

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

MOST_CASES = 1500
"""Cases that directions and limits are fitted on, where features were taken before."""
MOST_LOOKED_AT = {3: 800, 4: 200}
"""Those of a network that must look at each again, by the axes of a case: of volumes fewer."""
EARLY = ("stride4", "stride8", "stride16")
"""Layers of a pretrained network that distances are taken of where its recipe has them: they tell kinds of images apart
(edges, speckle, noise) more surely than later ones, which were taught to overlook such things."""
MEMBERS_RATE = 0.01
"""Share of the cases held out on which members may disagree more than the limit."""
NO_FEATURES = "features absent from an adopted model"
NO_GRAPH = "no network of the model gives its features"
FEW = f"fewer than {FEWEST_PATIENTS} patients to set a limit on"
_TAIL_FACTOR = 1.5


@dataclass(frozen=True)
class Made:
    """What ships, and what the evidence says of it.

    Attributes
    ----------
    reference
        For ``reference.json``.
    facts
        ``rate``, the ``limits`` that could be set, ``reason`` why others could not, how many ``cases`` and
        ``patients`` they were set on, the share of these that each ``marked``, and that of all ``together`` with its
        interval.
    """

    reference: Reference
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str | None:
        """What the manifest's ``reference`` is; None where nothing ships."""
        return None if self.reference.empty else REFERENCE


def make_reference(
    run: RunFolder,
    plan: Plan,
    members: Sequence[MemberPlan],
    graphs: Mapping[str, str],
    cohort: Cohort,
    store: Store,
    sides: Sequence[Sides],
    looks: Looks | None,
    patient: Rows,
) -> Made:
    """Look at the cases that may choose, and say what they look like to the model.

    Parameters
    ----------
    run, plan
        A run whose members have learned, and its plan as executed.
    members, graphs
        Those that ship, and the path of each one's graph in the model folder, of those that have one.
    cohort, store, sides
        The cases, their prepared images, and who learned from what.
    looks
        Limits of the looks at pixels that ship.
    patient
        Number of each case's patient; patients who share a picture count as one, since a copy of a case that was fitted
        would seem nearer than any other.
    """
    disputed, spread, read = members_limit(run, plan, members, cohort, patient)
    spoken = np.zeros(len(patient), dtype=np.bool_)
    spoken[read] = spread > disputed.limit if disputed is not None else False
    marked: dict[str, float] = {}
    if disputed is not None:
        marked["members"] = float(spoken[read].mean())
    images = images_of(plan)
    source = _source(run, members, graphs)
    frozen = source is not None and isinstance(plan.recipe_of(source[0]), FrozenRecipe)
    pixels, space, used = None, None, np.zeros(0, dtype=np.int64)
    if not frozen:
        rows = np.unique(np.concatenate([np.concatenate([one.learn, one.validate]) for one in sides]))
        pixels, used = pixel_space(
            *(cohort, plan.target.task, store, rows, looks, patient, spoken, marked), seed=plan.seed, images=images
        )
    if source is not None:
        member, width = source
        known, rows, columns = _known(run, plan, member, width, cohort, store, sides, patient)
        if frozen:
            marked_by_looks(store, rows, looks, spoken, marked, images)
        else:  # of a large cohort, cases that set no limit on pixels: what that marks of them counts all the same
            rest = np.setdiff1d(rows[known.unseen], used)
            marked_by_looks(store, rest, looks, spoken, {}, images)
            spoken[rest] |= beyond_pixels(store, rest, pixels)
        space, scores, chosen = fit_space(
            known, graphs[member.name], width, columns, seed=plan.seed, spoken=spoken[rows]
        )
        if space is not None:
            used = rows[chosen]
            marked["features"] = float((scores > space.limit).mean())
            spoken[used] |= scores > space.limit
    reason = NO_GRAPH if source is None else FEW if space is None else None
    made = Reference(space=space, pixels=pixels, disagreement=disputed, reason=reason, patients=_count(patient[used]))
    return Made(made, _told(made, looks, used, spoken, marked, patient))


def adopted_reference(
    cohort: Cohort, task: Task, store: Store, rows: Rows, looks: Looks | None, patient: Rows, *, seed: int
) -> Made:
    """Return what the cases look like that calibrated a network from elsewhere: statistics of pixels are all there is.

    `rows` are the cases that may choose; the others are as of :func:`make_reference`.
    """
    spoken, marked = np.zeros(len(cohort.table), dtype=np.bool_), dict[str, float]()
    pixels, used = pixel_space(cohort, task, store, np.unique(rows), looks, patient, spoken, marked, seed=seed)
    made = Reference(pixels=pixels, reason=NO_FEATURES, patients=_count(patient[used]))
    return Made(made, _told(made, looks, used, spoken, marked, patient))


def _told(
    made: Reference,
    looks: Looks | None,
    used: Rows,
    spoken: npt.NDArray[np.bool_],
    marked: dict[str, float],
    patient: Rows,
) -> dict[str, Any]:
    """Return what the evidence says of the limits."""
    parts = {"features": made.space, "pixels": made.pixels, "members": made.disagreement, "looks": looks}
    together = float(spoken[used].mean()) if len(used) else None
    return {
        "rate": RATE,
        "limits": [name for name, part in parts.items() if part is not None],
        "reason": made.reason,
        "cases": len(used),
        "patients": made.patients,
        "marked": {**marked, "together": together},
        "together": share_json(spoken[used], patient[used]) if len(used) else None,
    }


def images_of(plan: Plan) -> int:
    """Return how many images a case has."""
    return max(1, len(plan.images.names)) if plan.images.role != "single" else 1


def marked_by_looks(
    store: Store,
    rows: Rows,
    looks: Looks | None,
    spoken: npt.NDArray[np.bool_],
    marked: dict[str, float],
    images: int = 1,
) -> None:
    """Mark the cases of which any image looks beyond the limits, and note their share."""
    if looks is None or not len(rows):
        return
    odd = np.array(
        [
            any(array_remarks(one, looks) for one in pictures_of(store.take(rows[n : n + 1])[0], images))
            for n in range(len(rows))
        ]
    )
    spoken[rows] |= odd
    marked["looks"] = float(odd.mean())


def pixel_space(
    cohort: Cohort,
    task: Task,
    store: Store,
    rows: Rows,
    looks: Looks | None,
    patient: Rows,
    spoken: npt.NDArray[np.bool_],
    marked: dict[str, float],
    *,
    seed: int,
    images: int = 1,
) -> tuple[Space | None, Rows]:
    """Return where the statistics of cases' pixels lie, and the cases that set its limit, marking those beyond it.

    Half of the rate of all limits is this one's, and the rest is left for features.
    """
    rows = spread_rows(rows, MOST_LOOKED_AT[len(store.shape)])
    marked_by_looks(store, rows, looks, spoken, marked, images)
    known = Known(pixel_statistics(store, rows), _labels(cohort, task, rows), patient[rows])
    space, scores, chosen = fit_space(
        known, PIXELS, WIDTH, columns_of(WIDTH), seed=seed, rate=RATE / 2, spoken=spoken[rows]
    )
    if space is not None:
        marked["pixels"] = float((scores > space.limit).mean())
        spoken[rows[chosen]] |= scores > space.limit
    return space, rows[chosen]


def pixel_statistics(store: Store, rows: Rows) -> Floats:
    """Return the statistics of cases' pixels, ``(N, WIDTH)``."""
    found = [statistics_of(pixels) for pixels in store.batches(rows, store.at_once(TOGETHER))]
    return np.concatenate(found) if found else np.zeros((0, WIDTH))


def beyond_pixels(store: Store, rows: Rows, space: Space | None) -> npt.NDArray[np.bool_]:
    """Return which cases lie beyond the limit on the statistics of pixels."""
    if space is None or not len(rows):
        return np.zeros(len(rows), dtype=np.bool_)
    return np.asarray(Distances(space).scores(pixel_statistics(store, rows)) > space.limit)


def _labels(cohort: Cohort, task: Task, rows: Rows) -> Rows:
    """Return the class index of cases, -1 where it is not known; of targets without classes 0."""
    y = labels(cohort)
    if y.ndim != 1 or task == "regression":
        return np.zeros(len(rows), dtype=np.int64)
    return np.where(np.isnan(y[rows]), -1, np.nan_to_num(y[rows])).astype(np.int64)


def _count(patient: Rows) -> int:
    return len(np.unique(patient))


def looks_part(cohort: Cohort, facts: pd.DataFrame, store: Store, rows: Rows, images: int = 1) -> Looks | None:
    """Return the limits of looks at the pixels of some training cases of so many images, for the manifest's
    ``inputs``.
    """
    seen = facts.iloc[rows]
    text = None
    if "text_fraction" in seen and "size_k" not in seen:
        written = seen["text_fraction"].to_numpy(dtype=np.float64, na_value=np.nan) > 0
        text = told_share(written, cohort.table["patient_id"].iloc[rows].to_numpy(dtype=object))
    patients = cohort.table["patient_id"].iloc[rows].tolist()
    each = [pictures_of(store.take(rows[n : n + 1])[0], images) for n in range(len(rows))]
    whose = [patient for patient, own in zip(patients, each, strict=True) for _ in own]
    return training_looks([one for own in each for one in own], whose, text)


def members_limit(
    run: RunFolder, plan: Plan, members: Sequence[MemberPlan], cohort: Cohort, patient: Rows
) -> tuple[Disagreement | None, Floats, Rows]:
    """Return how far members of one fold may disagree, and how far they did on cases held out, with their rows.

    Members of a fold learned from the same cases, and are compared on cases that none of them saw.
    """
    by_fold: dict[int, list[str]] = {}
    for member in members:
        by_fold.setdefault(member.fold, []).append(member.name)
    groups = {fold: names for fold, names in by_fold.items() if len(names) > 1}
    table = pd.read_parquet(run / "predictions.parquet")
    table = table[table["split"].isin(("val", "oof"))]
    row_of = {case: row for row, case in enumerate(cohort.table["case_id"].astype(str))}
    spread, rows = [], []
    for names in groups.values():
        said, cases = said_by(table, names, plan.target.task, plan.target.classes)
        if len(cases):
            spread.append(disagreement(said, [range(len(names))], plan.target.task))
            rows.append(np.array([row_of[case] for case in cases], dtype=np.int64))
    if not spread:
        return None, np.zeros(0), np.zeros(0, dtype=np.int64)
    values, read = np.concatenate(spread), np.concatenate(rows)
    largest = per_patient(values, patient[read])
    if len(largest) < FEWEST_PATIENTS:
        return None, values, read
    middle, tail = shared_quantile(largest, 0.5), shared_quantile(largest, 0.95)
    limit = max(tail_of(largest, MEMBERS_RATE), middle + _TAIL_FACTOR * (tail - middle))
    return Disagreement(groups=list(groups.values()), limit=limit, rate=MEMBERS_RATE), values, read


def said_by(table: pd.DataFrame, names: Sequence[str], task: Task, classes: Sequence[str]) -> tuple[Floats, list[str]]:
    """Return what members said of the cases that all of them read, ``(M, N, K)``, and the cases' ids."""
    found: list[pd.DataFrame] = []
    for name in names:
        own = table[table["member"] == name].assign(case_id=lambda one: one["case_id"].astype(str))
        if task == "multilabel":
            found.append(own.pivot(index="case_id", columns="target", values="raw_present")[list(classes)])
        elif task == "regression":
            found.append(own.set_index("case_id")[["y_pred"]])
        else:
            found.append(own.set_index("case_id")[[f"raw_{encode_class(one)}" for one in classes]])
    cases = sorted(set.intersection(*(set(one.index) for one in found)))
    return np.stack([one.loc[cases].to_numpy(dtype=np.float64) for one in found]), cases


def _source(run: RunFolder, members: Sequence[MemberPlan], graphs: Mapping[str, str]) -> tuple[MemberPlan, int] | None:
    """Return whose features distances are taken of, and how many: of a network that did not learn if there is one."""
    seeing = [member for member in members if member.name in graphs]
    frozen = [member for member in seeing if (member_folder(run, member) / HEAD).exists()]
    for member in (*frozen, *seeing):
        engine = open_engine(graph_file(run, member), 1)
        if member in frozen:
            return member, engine.n_outputs
        if FEATURES in engine.extras:
            return member, _width(engine)
    return None


def _width(engine: Engine) -> int:
    empty = np.zeros((1, engine.channels, *engine.size), dtype=np.uint8)
    return int(engine.look(empty, (FEATURES,))[FEATURES].shape[1])


def _known(
    run: RunFolder,
    plan: Plan,
    member: MemberPlan,
    width: int,
    cohort: Cohort,
    store: Store,
    sides: Sequence[Sides],
    patient: Rows,
) -> tuple[Known, Rows, Rows]:
    """Return the cases with their features, their rows, and the columns that are taken."""
    columns = columns_of(width)
    recipe = plan.recipe_of(member)
    if isinstance(recipe, FrozenRecipe) and (member_folder(run, member) / HEAD).exists():
        rows = spread_rows(
            np.unique(np.concatenate([np.concatenate([one.learn, one.validate]) for one in sides])), MOST_CASES
        )
        banks = Banks(run, plan, store)
        taken = banks.take(str(member.recipe), rows)
        early = [
            own for name, own in zip(recipe.layers, banks.layers(str(member.recipe)), strict=True) if name in EARLY
        ]
        columns = columns_of(np.concatenate(early)) if early else columns
        features = taken[:, columns]
        held = None
    else:
        side = next((one for one in sides if one.fold == member.fold), sides[0])
        most = MOST_LOOKED_AT[len(store.shape)] // 2
        # Cases that a fold holds out may choose; of a given split those are the test cases.
        out = side.validate if plan.validation.scheme == "given" else np.union1d(side.validate, side.held_out)
        learned, out = spread_rows(np.sort(side.learn), most), spread_rows(np.sort(out), most)
        rows = np.concatenate([learned, out])
        engine = open_engine(graph_file(run, member), plan.threads)
        found = [engine.look(pixels, (FEATURES,))[FEATURES] for pixels in store.batches(rows, store.at_once(TOGETHER))]
        features = np.concatenate(found)[:, columns] if found else np.zeros((0, len(columns)), np.float32)
        held = np.arange(len(rows)) >= len(learned)
    return (
        Known(features.astype(np.float64), _labels(cohort, plan.target.task, rows), patient[rows], held),
        rows,
        columns,
    )


def spread_rows(rows: Rows, most: int) -> Rows:
    """Return `rows`, or of more than `most` so many at even distances."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
