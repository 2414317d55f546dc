"""Trains the networks of a segmentation within the budget, exports each, and makes the choices on validation cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json, write_bytes, write_json
from semeion.model.combine import from_logits
from semeion.model.engine import open_engine
from semeion.plan.members import MOST_MEMBERS, member_seed
from semeion.plan.schema import Shortened
from semeion.plan.segment_schema import SegmentationPlan, SegmentMemberPlan
from semeion.plan.splits import Sides
from semeion.prepare.volume_store import VolumeStore
from semeion.progress import Progress
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.segment_choice import choose_arm, choose_use
from semeion.study.segment_graphs import FAST, PLAIN

if TYPE_CHECKING:
    from semeion.learn.segment import Outlined
    from semeion.learn.standing import Hooks

LEAST = 0.3
"""A further member is trained when at least this share of a full one's steps fits."""
OVERHEAD = 3.0
"""Seconds to export and compare a member."""
SAMPLE = 2
"""Patches of real cases on which the exported graph is compared with the network."""


@dataclass(frozen=True)
class ExportedMember:
    """The graphs of a member.

    Attributes
    ----------
    graph
        As it was exported.
    difference
        Its largest difference in probability from the network, on real patches.
    fast
        The same for ONNX Runtime, of a network of volumes; None where it does not agree.
    fast_difference
        Its largest difference in probability from `graph`, on real patches and on noise; None without one.
    """

    graph: bytes
    difference: float
    fast: bytes | None = None
    fast_difference: float | None = None


@dataclass
class TrainedSegmenters:
    """The members of a run as they became.

    Attributes
    ----------
    plan
        With the arm, the members, the steps and the choices that were really made; training from it repeats the
        weights bit for bit on the same machine.
    facts
        Each member's ``member.json``.
    ended
        Why no more was learned.
    """

    plan: SegmentationPlan
    facts: list[dict[str, Any]] = field(default_factory=list)
    ended: str = "fixed plan"


def train_segmenters(
    run: RunFolder,
    plan: SegmentationPlan,
    store: VolumeStore,
    parts: list[Sides],
    clock: Clock,
    progress: Progress,
    stop: Callable[[], bool],
    groups: npt.NDArray[np.int64] | None = None,
) -> TrainedSegmenters:
    """Choose the network, train what the plan says, with a budget as many more members as fit, and choose their use.

    Parameters
    ----------
    run, plan, store, parts
        Where, what, prepared volumes with masks in cohort order, rows of each fold.
    clock
        Its budget counts when the plan has one.
    progress, stop
        For the bar, and whether the user asked to stop.
    groups
        Patient number a row, for the intervals of choices; None: every case is a patient of its own.

    Returns
    -------
    TrainedSegmenters
        ``members/<name>/graph.onnx`` is written for each member of its plan, and ``graph.fast.onnx`` for those that
        outline volumes.

    Raises
    ------
    Interrupted
        After the checkpoint was written.
    """
    done = TrainedSegmenters(plan.model_copy(deep=True))
    executed = done.plan
    by_fold = {side.fold: side for side in parts}
    patients = np.arange(store.n, dtype=np.int64) if groups is None else groups
    timed = executed.budget.seconds is not None
    shown = _Shown(progress, executed, clock)
    if executed.choice.arm is None or executed.choice.supervision_open():
        choose_arm(run, executed, store, by_fold[executed.members[0].fold], patients, clock, shown.during_trial, stop)
    index = 0
    while index < len(executed.members) or (timed and _add_member(run, done, clock, parts)):
        member = executed.members[index]
        folder = run / "members" / member.name
        if not (folder / "member.json").exists():
            hooks = _hooks(run, executed, index, clock, stop, shown.of_member(index, member.steps))
            _train_one(executed, member, store, by_fold[member.fold], folder, hooks)
        facts = read_json(folder / "member.json")
        member.steps = facts["steps_planned"]
        member.shortened = [Shortened(**change) for change in facts["shortened"]]
        done.facts.append(facts)
        run.log("member", name=member.name, seconds=facts["seconds"], validation_dice=facts["val_dice"])
        index += 1
    progress.finish()
    if not any(decision.question == "mirroring" for decision in executed.choice.decisions):
        choose_use(run, executed, store, parts, patients, progress)
    if timed and done.ended == "fixed plan":
        done.ended = "budget"
    executed.budget.seconds = None
    return done


def _hooks(
    run: RunFolder,
    plan: SegmentationPlan,
    index: int,
    clock: Clock,
    stop: Callable[[], bool],
    stepped: Callable[[int, int, float], None],
) -> Hooks:
    from semeion.learn.standing import Hooks

    return Hooks(
        allowed=_share(plan, index, clock),
        stop=stop,
        stepped=stepped,
        log=lambda line: run.log("evaluation", **line),
    )


def spacing_of(store: VolumeStore, rows: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """Return the median spacing of prepared volumes along (k, j, i), mm."""
    spacing = np.median([store.grid(int(row)).spacing for row in rows], axis=0)
    return float(spacing[2]), float(spacing[1]), float(spacing[0])


def export_member(
    plan: SegmentationPlan, member: SegmentMemberPlan, outlined: Outlined, store: VolumeStore, side: Sides
) -> ExportedMember:
    """Return the member's graphs, compared with the network and with each other.

    Raises
    ------
    TrainingFailed
        When the exported graph does not agree with the network.
    """
    from semeion.learn.export import TOLERANCE
    from semeion.learn.flat_graph import flatten_convolutions
    from semeion.learn.patches import Sampling, make_batch
    from semeion.learn.segment_export import refuse_disagreement, to_onnx

    arm = plan.arm(member.arm)
    graph = to_onnx(outlined.shipped, len(plan.preparation.channels), arm.network.patch)
    engine = open_engine(graph, plan.training.threads, takes="float32")
    sampling = Sampling(
        side.learn, tuple(plan.target.values), spacing_of(store, side.learn), arm, plan.training, member.seed
    )
    patches = make_batch(store, sampling, 0)[0][:SAMPLE].numpy()
    difference = refuse_disagreement(outlined.shipped, engine.run, patches, member.name)
    if arm.network.dims == 2:
        return ExportedMember(graph, difference)
    fast = flatten_convolutions(graph)
    faster = open_engine(fast, plan.training.threads, takes="float32")
    noise = np.random.default_rng(0).normal(size=(1, *patches.shape[1:])).astype(np.float32)
    apart = max(largest_difference(engine.run(given), faster.run(given)) for given in (patches, noise))
    return ExportedMember(graph, difference, fast if apart <= TOLERANCE else None, apart)


def largest_difference(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Return the largest difference in probability of two answers ``(N, L, ...)`` in logits."""
    a, b = (from_logits(np.moveaxis(logits, 1, -1), "multiclass") for logits in (one, other))
    return float(np.abs(a - b).max())


def _train_one(
    plan: SegmentationPlan, member: SegmentMemberPlan, store: VolumeStore, side: Sides, folder: Path, hooks: Hooks
) -> None:
    from semeion.learn.checkpoint import save_tensors
    from semeion.learn.segment import train_segmenter

    folder.mkdir(parents=True, exist_ok=True)
    outlined = train_segmenter(plan, member, store, spacing_of(store, side.learn), side, folder, hooks)
    exported = export_member(plan, member, outlined, store, side)
    save_tensors(folder / "weights.safetensors", outlined.shipped.state_dict(), {"member": member.name})
    write_bytes(folder / PLAIN, exported.graph)
    (folder / FAST).unlink(missing_ok=True)
    if exported.fast is not None:
        write_bytes(folder / FAST, exported.fast)
    # Written last: a member with this file is finished, whatever happens after.
    write_json(
        folder / "member.json",
        {
            **outlined.facts,
            "graph_difference": exported.difference,
            "fast_graph_difference": exported.fast_difference,
            "steps_planned": member.steps,
        },
    )
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def left_for_learning(plan: SegmentationPlan, clock: Clock) -> float:
    """Return the seconds left for learning."""
    return max(0.0, (clock.left() or 0.0) - plan.budget.reserve)


def _share(plan: SegmentationPlan, index: int, clock: Clock) -> Callable[[], float | None]:
    """Return what tells the seconds that member `index`, about to start, may still use.

    Its share of what is left for learning is fixed now, so that no later member is starved by an early slow one.
    """
    if plan.budget.seconds is None or clock.left() is None:
        return lambda: None
    following = plan.members[index:]
    share = left_for_learning(plan, clock) * following[0].steps / sum(member.steps for member in following)
    end = clock.used() + share - OVERHEAD
    return lambda: max(0.0, end - clock.used())


class _Shown:
    """The bar of the learning: seconds of the budget, or steps of a fixed plan."""

    def __init__(self, progress: Progress, plan: SegmentationPlan, clock: Clock) -> None:
        self.progress, self.clock, self.count = progress, clock, len(plan.members)
        self.timed = plan.budget.seconds is not None
        self.done, self.began = 0.0, clock.used()
        total = max(1.0, left_for_learning(plan, clock)) if self.timed else sum(m.steps for m in plan.members)
        progress.start("learning", total)

    def during_trial(self, arm: str) -> Callable[[int, int, float], None]:
        """Return what is called after every step of the trial of `arm`."""
        return lambda step, _total, value: self._advance(self._used(), f"trying {arm}, step {step}", value)

    def of_member(self, index: int, steps: int) -> Callable[[int, int, float], None]:
        """Return what is called after every step of member `index`, which was planned with `steps`."""
        before = self.done

        def stepped(step: int, total: int, value: float) -> None:
            now = self._used() if self.timed else before + steps * step / total
            self._advance(now, f"member {index + 1} of {max(self.count, index + 1)}, step {step} of {total}", value)

        return stepped

    def _used(self) -> float:
        return self.clock.used() - self.began

    def _advance(self, now: float, note: str, value: float) -> None:
        dice = "" if value != value else f", validation Dice {1 - value:.4f}"
        self.progress.advance(now - self.done, note + dice)
        self.done = now


def _add_member(run: RunFolder, done: TrainedSegmenters, clock: Clock, parts: list[Sides]) -> bool:
    """Append one more member when there is time for a good part of one; say why not otherwise."""
    plan = done.plan
    counts = {side.fold: sum(member.fold == side.fold for member in plan.members) for side in parts}
    fold = min(counts, key=lambda number: counts[number])
    repeat = counts[fold]
    name = f"fold{fold}-seed{repeat}" if fold >= 0 else f"seed{repeat}"
    last = done.facts[-1]
    member = SegmentMemberPlan(
        name=name,
        fold=fold,
        seed=member_seed(plan.seed, repeat, fold),
        steps=plan.members[0].steps,
        arm=plan.members[0].arm,
    )
    if (run / "members" / name / "member.json").exists():
        # It was finished before an interruption.
        plan.members.append(member)
        return True
    affordable = int((left_for_learning(plan, clock) - OVERHEAD) / (last["seconds"] / max(last["steps"], 1)))
    full = max(1, min(fact["steps"] for fact in done.facts))
    if affordable < LEAST * full or len(plan.members) >= MOST_MEMBERS:
        done.ended = "budget" if affordable < LEAST * full else "most members"
        return False
    member.steps = max(1, min(affordable, full))
    plan.members.append(member)
    return True
