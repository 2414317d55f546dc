"""Copies across the sides of a run, looked for in the features of its first network once all is learned.

One member is enough, and of folds the first as well: features name pairs to look at, the pictures themselves decide
(:mod:`semeion.audit.feature_copies`), and no figure comes from them. It belongs to the reading of the test cases that
weighs the model; nothing is chosen from it.
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.feature_copies import (
    FOLD,
    FeatureCopies,
    Floats,
    find_feature_copies,
    not_searched,
    with_features,
)
from semeion.audit.lookalike import MOST_SEARCHED
from semeion.cohort.cohort import Cohort
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder, read_run_state
from semeion.study.members.frozen import HEAD, Banks
from semeion.study.members.outputs import member_folder
from semeion.study.options import RunOptions
from semeion.study.weighing import Audited

SHARE, LEAST = 0.02, 5.0
"""Share of the budget, and seconds, that it may take...."""
OF_THE_REST = 1 / 3
"""...and share of what is left, as the rest is needed to ship and tell."""
FOR_FEATURES = 0.6
"""Share of the time for computing features; the rest is for comparing pictures."""
BATCH = 64


def look_in_features(
    run: RunFolder,
    plan: Plan,
    cohort: Cohort,
    facts: pd.DataFrame,
    store: Store,
    parts: list[Sides],
    audited: Audited,
    clock: Clock,
) -> Audited:
    """Return what was looked for in a run with what its network's features say of copies.

    Where they make a verdict void that was not, the cases that it concerns are among those that figures are also given
    without: nobody could be asked before.

    Parameters
    ----------
    run, plan
        The run and its executed plan; the graph of its first member is read.
    cohort, facts, store
        The cases, their scan and their prepared images, in the same order.
    parts
        Who was held out.
    audited
        The audits of before learning; without ``near-duplicates`` they come back as they are.
    clock
        With a budget, it takes a fiftieth at most, and what does not fit is left out and said.
    """
    from semeion.study.retraining import KEY  # which imports the road, which imports this

    audits, name = audited.audits, "near-duplicates"
    if name not in audits or (run / KEY).exists():
        return audited
    sides = sides_of_cases(cohort, parts)
    options = RunOptions.from_json(read_run_state(run.path)["options"])
    found = _found(run, plan, cohort, facts, store, sides, seconds_for(clock), options.jobs)
    changed, affected = with_features(audits, cohort, facts, sides, found)
    late, known = list(audited.late), dict(audited.affected)
    if changed[name]["verdict"] == "void" and affected:
        known[name] = sorted({*known.get(name, ()), *affected})
        if name not in audited.accepted:
            late.append(name)
    return replace(audited, audits={**audits, **changed}, affected=known, late=late)


def seconds_for(clock: Clock) -> float | None:
    """Return how long it may take; None without a budget, where a number of pairs bounds it."""
    left = clock.left()
    if clock.budget is None or left is None:
        return None
    return max(0.0, min(max(SHARE * clock.budget, LEAST), OF_THE_REST * left))


def _found(
    run: RunFolder,
    plan: Plan,
    cohort: Cohort,
    facts: pd.DataFrame,
    store: Store,
    sides: npt.NDArray[np.object_],
    seconds: float | None,
    jobs: int | None,
) -> FeatureCopies:
    began = monotonic()
    if cohort.images.kind != "picture":
        return not_searched("volumes are compared by their exact voxels alone")
    if "thumb" not in facts.columns:
        return not_searched("the scan kept no thumbnails")
    if store.n > MOST_SEARCHED:
        return not_searched(f"{store.n:,} cases are more than {MOST_SEARCHED:,}")
    member = next((one for one in plan.members if _learned_network(run, one) or _frozen_network(run, one)), None)
    if member is None:
        return not_searched("no member is a network")
    features: Floats | str
    if _frozen_network(run, member):
        # Its features were taken when its head learned, and are kept; of cases on no side they may be missing.
        rows = np.flatnonzero(sides != "")
        taken = Banks(run, plan, store).take(str(member.recipe), rows)
        features = np.full((store.n, taken.shape[1]), np.nan, dtype=np.float32)
        features[rows] = taken
    else:
        graph = (member_folder(run, member) / "graph.onnx").read_bytes()
        given = None if seconds is None else FOR_FEATURES * seconds
        features = network_features(graph, store, plan.threads, given)
    if isinstance(features, str):
        return not_searched(f"{features} ({member.name})")
    left = None if seconds is None else seconds - (monotonic() - began)
    return find_feature_copies(cohort, facts, features, sides, seconds=left, jobs=jobs)


def _learned_network(run: RunFolder, member: MemberPlan) -> bool:
    return (member_folder(run, member) / "graph.onnx").exists()


def _frozen_network(run: RunFolder, member: MemberPlan) -> bool:
    """Tell whether a member is a head on the features of a network that does not learn."""
    return (member_folder(run, member) / HEAD).exists()


def network_features(graph: bytes, store: Store, threads: int | None, seconds: float | None) -> Floats | str:
    """Return the penultimate features of every stored case, ``(cases, width)``, or why there are none.

    Parameters
    ----------
    graph
        The graph of a member, as it ships.
    store
        The prepared images.
    threads
        Of the engine.
    seconds
        That it may take, foretold from the first batch; as long as it takes when None.
    """
    from semeion.learn.penultimate import penultimate_graph
    from semeion.model.engine import open_engine

    cut = penultimate_graph(graph)
    if cut is None:
        return "the network has no linear layer before its output"
    engine = open_engine(cut, threads, where="features")
    began, parts = monotonic(), []
    for pixels in store.batches(np.arange(store.n, dtype=np.int64), store.at_once(BATCH)):
        parts.append(engine.run(pixels))
        done = sum(len(part) for part in parts)
        need = (monotonic() - began) * store.n / done
        if seconds is not None and need > seconds:
            return f"features of {store.n:,} cases would take {need:.0f} s, and {seconds:.0f} s are left for them"
    return np.concatenate(parts) if parts else np.zeros((0, engine.n_outputs), dtype=np.float32)


def sides_of_cases(cohort: Cohort, parts: list[Sides]) -> npt.NDArray[np.object_]:
    """Return the side of each case: its split, or ``fold 0`` and on where folds were held out; empty for none."""
    sides = np.full(len(cohort.table), "", dtype=object)
    folds = [part for part in parts if part.fold >= 0]
    if cohort.has_split:
        split = cohort.table["split"].to_numpy(dtype=object)
        known = np.array([isinstance(name, str) for name in split], dtype=np.bool_)
        if folds:
            known &= split == "test"
        sides[known] = split[known]
    for part in folds:
        sides[part.held_out] = f"{FOLD}{part.fold}"
    return sides
