"""What a model will be watched by in service, from cases that are no test cases: ``baseline.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.evidence.table import ENSEMBLE
from semeion.model.engine import open_engine
from semeion.model.guard import FEATURES
from semeion.model.manifest import OperatingPoint
from semeion.model.reference import Reference
from semeion.monitor.asks import Question
from semeion.monitor.baseline import FAMILIES, FEWEST_PATIENTS, Baseline, Embedding, Statistic, embedding_of
from semeion.monitor.bins import Bins, fit_bins, hidden, one_each
from semeion.monitor.facts import INPUTS, looks
from semeion.monitor.features import DISTANCE, projection_of
from semeion.monitor.kernel import fit_kernel
from semeion.monitor.logfile import probability_columns
from semeion.monitor.statistics import ABSTAINED, YES_NO, Values, statistics_of
from semeion.naming import encode_class
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.folder import RunFolder
from semeion.study.members.frozen import HEAD, Banks
from semeion.study.members.outputs import TOGETHER, graph_file, member_folder
from semeion.study.reference import MOST_LOOKED_AT

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

MOST_CASES = 1000
"""Cases whose images are looked at."""
MOST_VALUES = 1 << 28
"""Values of prepared images that are looked at: of large volumes fewer cases."""
_HELD_OUT = ("val", "calibration", "oof")
_SCAN = {
    "size_i": ("size_i", "cols"),
    "size_j": ("size_j", "rows"),
    "size_k": ("size_k",),
    "spacing_i": ("spacing_i", "spacing_col"),
    "spacing_j": ("spacing_j", "spacing_row"),
    "spacing_k": ("spacing_k",),
}
"""Columns of the scan by the statistic: of volumes, of pictures."""


def monitor_baseline(
    run: RunFolder,
    plan: Plan,
    members: list[MemberPlan],
    parts: Mapping[str, Any],
    cohort: Cohort,
    facts: pd.DataFrame,
    store: Store,
    sides: list[Sides],
    reference: Reference | None = None,
    gate: Mapping[str, Any] | None = None,
) -> Baseline | None:
    """Return the baseline of a model, of one case a patient; None where there are too few patients for one.

    Images are those of learning and validation cases. What the model says of cases is taken where no member learned
    from them. Of a given split that are the validation cases and what calibrates sets, read by the ensemble that
    ships. Of folds it is each fold's own members that read the cases they did not learn from, and their mean is more
    extreme than that of all: calls are taken, and probabilities are not.

    Parameters
    ----------
    run, plan, members
        The run, with its predictions, its plan as executed, and the members that ship.
    parts
        Of the manifest: task, classes, positive, operating point.
    cohort, facts, store, sides
        The cases, the scan of their images, prepared images, and who learned from what.
    reference
        What ships of the features; None: they are not watched.
    gate
        What the evidence says of the limits that set cases aside: ``patients`` and ``marked.together``.
    """
    patients = cohort.table["patient_id"].to_numpy(dtype=object)
    seen = np.unique(np.concatenate([np.concatenate([side.learn, side.validate]) for side in sides]))
    known = _one_a_patient(seen, patients, plan.seed)
    if len(known) < FEWEST_PATIENTS:
        return None
    point = parts["operating_point"]
    asked = Question(
        parts["task"],
        tuple(parts["classes"]),
        parts["positive"],
        None if point is None else OperatingPoint.model_validate(point),
    )
    statistics = _statistics(statistics_of(_images(known, facts, store), asked))
    answers, prevalence, of = _answers(run, plan, asked, cohort, patients)
    statistics += answers
    embedding, more = _features(run, plan, members, reference, sides, patients, store)
    statistics += more
    statistics += _set_aside(gate or {})
    statistics.sort(key=lambda one: FAMILIES.index(one.family))
    return Baseline(
        cases="Images: learning and validation cases. Answers and features: cases held out. One case a patient.",
        statistics=statistics,
        embedding=embedding,
        prevalence=prevalence,
        known=of,
    )


def _one_a_patient(rows: Rows, patients: npt.NDArray[np.object_], seed: int) -> Rows:
    return rows[one_each(patients[rows].tolist(), seed)] if len(rows) else rows


def _statistics(found: dict[str, Values], *, one_class: bool = False) -> list[Statistic]:
    """Return statistics as they ship; those without a value are left out.

    Where every case has `one_class`, calls are counted together: the counts of the other classes would tell how many
    patients a small one has.
    """
    made = []
    calls = [name for name, values in found.items() if one_class and values.family == "prevalence"]
    each = [int(np.nansum(found[name].values[found[name].counts])) for name in calls]
    n = int(found[calls[0]].counts.sum()) if calls else 0
    shown = dict(zip(calls, hidden([*each, n - sum(each)]).tolist(), strict=False))
    for name, values in found.items():
        own = values.values[values.counts]
        if len(own) < FEWEST_PATIENTS or np.isnan(own).all():
            continue
        bins = fit_bins(own, values.edges)
        if name in shown:
            bins = Bins(bins.edges, np.array([0, n - shown[name], shown[name]], dtype=np.int64))
        made.append(Statistic(name=name, family=values.family, edges=bins.edges.tolist(), counts=bins.counts.tolist()))
    return made


def _set_aside(gate: Mapping[str, Any]) -> list[Statistic]:
    """Return how many patients held out the limits set aside; nothing where that is not known."""
    share, n = (gate.get("marked") or {}).get("together"), int(gate.get("patients") or 0)
    if share is None or n < FEWEST_PATIENTS:
        return []
    marked = round(share * n)
    counts = hidden([0, n - marked, marked]).tolist()
    return [Statistic(name=ABSTAINED, family="abstained", edges=list(YES_NO), counts=counts)]


def _images(rows: Rows, facts: pd.DataFrame, store: Store) -> dict[str, Floats]:
    """Return :data:`INPUTS` of cases; the looks of as many as there is time for, missing of the others."""
    numbers = {name: np.full(len(rows), np.nan) for name in INPUTS}
    most = max(FEWEST_PATIENTS, min(MOST_CASES, MOST_VALUES // int(np.prod(store.shape))))
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64))
    for start in range(0, len(chosen), 16):
        for place, array in zip(chosen[start:], store.take(rows[chosen[start : start + 16]]), strict=False):
            for name, value in looks(array).items():
                numbers[name][place] = value
    scanned = facts.iloc[rows]
    for name, columns in _SCAN.items():
        column = next((one for one in columns if one in scanned), None)
        if column is not None:
            numbers[name] = pd.to_numeric(scanned[column], errors="coerce").to_numpy(dtype=np.float64)
    return numbers


def _answers(
    run: RunFolder, plan: Plan, asked: Question, cohort: Cohort, patients: npt.NDArray[np.object_]
) -> tuple[list[Statistic], dict[str, int], dict[str, int]]:
    """Return the statistics of what the model says of cases held out, and how many patients have each class."""
    table = pd.read_parquet(run / "predictions.parquet")
    table = table[(table["member"] == ENSEMBLE) & table["split"].isin(_HELD_OUT)]
    ids = table["case_id"].drop_duplicates()
    place = {case: row for row, case in enumerate(cohort.table["case_id"])}
    rows = _one_a_patient(np.array(sorted(place[case] for case in ids), dtype=np.int64), patients, plan.seed)
    if len(rows) < FEWEST_PATIENTS:
        return [], {}, {}
    cases = cohort.table["case_id"].to_numpy(dtype=object)[rows]
    numbers, prevalence, known = _said(table, cases, asked)
    found = _statistics(statistics_of(numbers, asked), one_class=asked.task != "multilabel")
    if plan.validation.scheme != "given":
        found = [one for one in found if one.family != "probabilities"]
    return found, prevalence, known


def _said(
    table: pd.DataFrame, cases: npt.NDArray[np.object_], asked: Question
) -> tuple[dict[str, Floats], dict[str, int], dict[str, int]]:
    """Return the columns that a log would have of these cases, and their classes counted."""
    if asked.task == "regression":
        own = table.set_index("case_id").reindex(cases)
        return {"value": own["y_pred"].to_numpy(dtype=np.float64)}, {}, {}
    if asked.task != "multilabel":
        own = table.set_index("case_id").reindex(cases)
        numbers = {name: own[name].to_numpy(dtype=np.float64) for name in probability_columns(asked)}
        counts = hidden([int((own["y_true"] == name).sum()) for name in asked.classes])
        return numbers, dict(zip(asked.classes, counts.tolist(), strict=True)), {}
    numbers, present, known = {}, {}, {}
    for label in asked.classes:
        own = table[table["target"] == label].set_index("case_id").reindex(cases)
        numbers[f"p_{encode_class(label)}"] = own["p_present"].to_numpy(dtype=np.float64)
        yes, stated = int((own["y_true"] == "present").sum()), int(own["y_true"].notna().sum())
        counts = hidden([yes, stated - yes, len(own) - stated])
        present[label], known[label] = int(counts[0]), int(counts[0] + counts[1])
    return numbers, present, known


def _features(
    run: RunFolder,
    plan: Plan,
    members: list[MemberPlan],
    reference: Reference | None,
    sides: list[Sides],
    patients: npt.NDArray[np.object_],
    store: Store,
) -> tuple[Embedding | None, list[Statistic]]:
    """Return the embedding and the statistics of the features of cases that their graph did not learn from."""
    projection = projection_of(reference)
    member = next((one for one in members if one.name == Path(projection.graph).stem), None)
    if member is None:
        return None, []
    rows = _one_a_patient(_unlearned(member, sides), patients, plan.seed)
    most = MOST_LOOKED_AT[len(store.shape)]
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64))]
    if len(rows) < FEWEST_PATIENTS:
        return None, []
    placed = projection.project(_features_of(run, plan, member, store, rows))
    placed = placed[np.isfinite(placed).all(axis=1)]
    if len(placed) < FEWEST_PATIENTS:
        return None, []
    numbers = dict(zip(projection.names, placed.T, strict=True))
    asked = Question("regression", (), None, None)  # features are watched alike whatever is asked
    directions = [k for k, name in enumerate(projection.names) if name != DISTANCE]
    kernel = fit_kernel(placed[:, directions], plan.seed)
    return embedding_of(kernel), _statistics(statistics_of(numbers, asked))


def _features_of(run: RunFolder, plan: Plan, member: MemberPlan, store: Store, rows: Rows) -> npt.NDArray[np.float32]:
    """Return the features of a member's graph, ``(rows, features)``; of frozen ones those that were taken before."""
    if (member_folder(run, member) / HEAD).exists():
        return np.asarray(Banks(run, plan, store).take(str(member.recipe), rows), dtype=np.float32)
    engine = open_engine(graph_file(run, member), plan.threads)
    batches = store.batches(rows, store.at_once(TOGETHER))
    return np.concatenate([engine.look(one, (FEATURES,))[FEATURES] for one in batches])


def _unlearned(member: MemberPlan, sides: list[Sides]) -> Rows:
    """Return the cases that the graph of a member did not learn from and that are no test cases.

    A network of a fold did not learn from the cases that its fold holds out; of a given split from those that validate
    and calibrate.
    """
    own = next((side for side in sides if side.fold == member.fold), None)
    if own is None:  # one network that was taught by all folds' members
        return np.empty(0, dtype=np.int64)
    held = np.concatenate([own.held_out, own.calibrate]) if member.fold >= 0 else own.calibrate
    return np.unique(np.concatenate([held, own.validate]))
