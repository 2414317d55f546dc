"""Learns a member by gradient, and exports it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from semeion.artefacts import write_bytes, write_json
from semeion.errors import TrainingFailed
from semeion.model.combine import from_logits
from semeion.model.engine import open_engine
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.members.taught import read_lesson
from semeion.study.teaching import read_teaching

if TYPE_CHECKING:
    from semeion.learn.further import Further
    from semeion.learn.network import ShippedNetwork
    from semeion.learn.standing import Hooks
    from semeion.plan.teaching import Teaching

PRETRAINED = Path("pretraining", "body.safetensors")
"""In a run folder, the weights that a body learned from images alone."""
SAMPLE = 64
"""Real cases on which the exported graph is compared with the network."""


def learn_network(
    plan: Plan,
    member: MemberPlan,
    store: Store,
    y: npt.NDArray[np.float64],
    side: Sides,
    folder: Path,
    hooks: Hooks,
    taught: Teaching | None = None,
    further: Further | None = None,
) -> None:
    """Train one member and leave ``weights.safetensors graph.onnx member.json`` in its folder, the last one last.

    A member that starts from pretraining takes its weights from `PRETRAINED` of the run, whose ``members/`` holds
    `folder`; one that is taught of images without labels finds there what :func:`semeion.study.members.taught.teach`
    left.

    Parameters and errors are those of :func:`semeion.learn.member.train_member`. `taught` and `further` are what a
    student is taught in the place of what the run's table and plan say.
    """
    from semeion.learn.checkpoint import save_tensors
    from semeion.learn.member import train_member

    folder.mkdir(parents=True, exist_ok=True)
    run = folder.parents[1]
    if taught is None:
        taught, further = read_teaching(run, plan), read_lesson(run, plan, member)
    learned = train_member(plan, member, store, y, side, folder, hooks, run / PRETRAINED, taught, further)
    sample = side.learn[np.linspace(0, len(side.learn) - 1, min(SAMPLE, len(side.learn))).astype(np.int64)]
    graph, facts = exported(learned.shipped, store.take(sample), plan, member)
    save_tensors(folder / "weights.safetensors", learned.shipped.state_dict(), {"member": member.name})
    write_bytes(folder / "graph.onnx", graph)
    facts = {**learned.facts, **facts, "steps_planned": member.steps}
    # Written last: a member with this file is finished, whatever happens after.
    write_json(folder / "member.json", facts)
    for name in ("checkpoint.safetensors", "begun.json"):
        (folder / name).unlink(missing_ok=True)


def exported(
    shipped: ShippedNetwork, sample: npt.NDArray[np.uint8], plan: Plan, member: MemberPlan
) -> tuple[bytes, dict[str, Any]]:
    """Return the graph that a member ships with, and facts about it for ``member.json``.

    The graph says besides its answer where that comes from, unless it does not do so truly on these cases: then that is
    left out, and ``maps`` in the facts says why.

    Raises
    ------
    TrainingFailed
        When graph and network answer differently.
    """
    from semeion.learn.export import refuse_disagreement, refuse_untrue_maps, to_onnx

    task = plan.target.task
    facts: dict[str, Any] = {}
    graph = to_onnx(shipped, sample.shape[1:])
    engine = open_engine(graph, plan.training.threads)
    try:
        apart = refuse_untrue_maps(shipped, lambda images: engine.look(images, engine.extras), sample, member.name)
    except TrainingFailed as error:
        graph = to_onnx(shipped, sample.shape[1:], bare=True)
        engine = open_engine(graph, plan.training.threads)
        facts["maps"] = f"left out: {error.what}"
    else:
        facts["further_outputs"] = list(engine.extras)
        if engine.extras:
            facts["maps_difference"] = apart
    facts["graph_difference"] = refuse_disagreement(
        shipped, lambda images: from_logits(engine.run(images), task), sample, member.name
    )
    return graph, facts
