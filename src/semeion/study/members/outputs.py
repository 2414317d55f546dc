"""What a finished member says of cases, by what of it ships."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from semeion.model.combine import from_logits
from semeion.model.engine import open_engine
from semeion.model.manifest_parts import Task
from semeion.plan.recipes import CovariatesRecipe, FrozenRecipe
from semeion.plan.schema import MemberPlan, Plan
from semeion.prepare.store import Store
from semeion.study.folder import RunFolder
from semeion.study.members.covariates import FILE, covariate_outputs
from semeion.study.members.frozen import HEAD, Banks, features_graph, frozen_outputs


def member_folder(run: RunFolder, member: MemberPlan) -> Path:
    """Return ``members/<name>``."""
    return run / "members" / member.name


def graph_file(run: RunFolder, member: MemberPlan) -> Path:
    """Return the graph that a finished member ships with: its own, or that of the features its head takes."""
    own = member_folder(run, member)
    return features_graph(run, str(member.recipe)) if (own / HEAD).exists() else own / "graph.onnx"


def shipped_bytes(run: RunFolder, member: MemberPlan) -> int:
    """Return the size of all that a finished member ships with."""
    own = member_folder(run, member)
    files = [graph_file(run, member), own / HEAD, own / FILE]
    return sum(file.stat().st_size for file in files if file.exists())


TOGETHER = 64
"""Cases that a network looks at together, fewer where they are large."""
Looked = Callable[[float], None]
"""Called with the seconds that looking at cases took, without opening the network."""


def run_graph(
    graph: Path,
    task: Task,
    store: Store,
    rows: npt.NDArray[np.int64],
    threads: int | None,
    looked: Looked = lambda _seconds: None,
) -> npt.NDArray[np.float64]:
    """Return what the exported graph says of `rows` through the runtime, ``(rows, outputs)``."""
    engine = open_engine(graph, threads)
    began = perf_counter()
    out = [from_logits(engine.run(pixels), task) for pixels in store.batches(rows, store.at_once(TOGETHER))]
    looked(perf_counter() - began)
    return np.concatenate(out) if out else np.zeros((0, engine.n_outputs))


def member_outputs(
    run: RunFolder,
    plan: Plan,
    member: MemberPlan,
    store: Store,
    banks: Banks,
    rows: npt.NDArray[np.int64],
    looked: Looked = lambda _seconds: None,
) -> npt.NDArray[np.float64]:
    """Return a finished member's probabilities or values of `rows`, float64 ``(rows, outputs)``.

    `looked` is called with the seconds that a member's own network took.
    """
    folder = member_folder(run, member)
    if isinstance(plan.recipe_of(member), FrozenRecipe):
        return frozen_outputs(folder, member, banks, rows)
    if isinstance(plan.recipe_of(member), CovariatesRecipe):
        return covariate_outputs(
            run, plan, member, rows, lambda one, asked: member_outputs(run, plan, one, store, banks, asked)
        )
    return run_graph(folder / "graph.onnx", plan.target.task, store, rows, plan.threads, looked)
