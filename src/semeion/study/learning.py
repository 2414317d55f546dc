"""Trains the members of a plan, one after the other, within the budget, and exports each.

torch is imported by the functions that train: the rest is also used where only a shipped model is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json, write_bytes, write_json
from semeion.evidence.question import Question
from semeion.model.combine import from_logits
from semeion.model.engine import open_engine
from semeion.plan.rules import MOST_MEMBERS, member_seed
from semeion.plan.schema import MemberPlan, Plan, Shortened
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.progress import Progress
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder

if TYPE_CHECKING:
    from semeion.learn.member import Hooks

WORTHWHILE = 0.002
"""Relative gain in validation loss over the last `PATIENT` members below which no member is added."""
PATIENT = 5
LEAST = 0.25
"""A further member is trained when at least this share of a full one's steps fits."""
OVERHEAD = 1.0
"""Seconds to export and compare a member."""
SAMPLE = 64
"""Real cases on which the exported graph is compared with the network."""


@dataclass
class Trained:
    """The members of a run as they became.

    Attributes
    ----------
    plan
        The plan with the members and steps that were really done.
    facts
        Each member's ``member.json``.
    ended
        Why no more was learned.
    validation
        Member name to its graph's output for the rows of ``sides[fold].validate``, ``(rows, outputs)``.
    """

    plan: Plan
    facts: list[dict[str, Any]] = field(default_factory=list)
    ended: str = "fixed plan"
    validation: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)


def run_graph(
    graph: Path, task: str, store: Store, rows: npt.NDArray[np.int64], threads: int | None
) -> npt.NDArray[np.float64]:
    """Return what the exported graph says of `rows` through the runtime, ``(rows, outputs)``."""
    engine = open_engine(graph, threads)
    out = [from_logits(engine.run(pixels), task) for pixels in store.batches(rows)]  # type: ignore[arg-type]
    return np.concatenate(out) if out else np.zeros((0, engine.n_outputs))


def member_folder(run: RunFolder, member: MemberPlan) -> Path:
    """Return ``members/<name>``."""
    return run / "members" / member.name


def train_members(
    run: RunFolder,
    plan: Plan,
    store: Store,
    y: npt.NDArray[np.float64],
    sides: list[Sides],
    clock: Clock,
    progress: Progress,
    stop: Callable[[], bool],
) -> Trained:
    """Train what the plan says, and with a budget as many more members as fit and help.

    Parameters
    ----------
    run, plan, store, y, sides
        Where, what, prepared images, reference standard in cohort order, rows of each fold.
    clock
        Its budget counts when the plan has one.
    progress, stop
        For the bar, and whether the user asked to stop.

    Raises
    ------
    Interrupted
        After the checkpoint was written.
    """
    from semeion.learn.member import Hooks

    done = Trained(plan.model_copy(deep=True))
    executed = done.plan
    by_fold = {side.fold: side for side in sides}
    timed = plan.budget.seconds is not None
    losses: list[float] = []
    shown = _Shown(progress, plan, clock)
    index = 0
    while index < len(executed.members) or (timed and _add_member(run, done, clock, losses, sides)):
        member = executed.members[index]
        folder = member_folder(run, member)
        if not (folder / "member.json").exists():
            begun = folder / "begun.json"
            if begun.exists():
                # A member goes on with the steps it began with: its schedule and its evaluations depend on them.
                member.steps = read_json(begun)["steps"]
            else:
                if timed:
                    _lengthen(done, index, clock)
                write_json(begun, {"steps": member.steps})
            hooks = Hooks(
                allowed=_share(executed, index, clock),
                stop=stop,
                stepped=shown.of_member(index, member.steps, len(executed.members), losses),
                log=lambda line: run.log("evaluation", **line),
            )
            _train_one(executed, member, store, y, by_fold[member.fold], folder, hooks)
        facts = read_json(folder / "member.json")
        member.steps = facts["steps_planned"]
        member.shortened = [Shortened(**change) for change in facts["shortened"]]
        done.facts.append(facts)
        rows = by_fold[member.fold].validate
        graph = folder / "graph.onnx"
        done.validation[member.name] = run_graph(graph, plan.target.task, store, rows, plan.training.threads)
        losses.append(pooled_loss(done, y, by_fold))
        run.log("member", name=member.name, seconds=facts["seconds"], ensemble_validation_loss=losses[-1])
        index += 1
    progress.finish()
    if timed and done.ended == "fixed plan":
        done.ended = "budget"
    executed.budget.seconds = None
    return done


def pooled_loss(done: Trained, y: npt.NDArray[np.float64], by_fold: dict[int, Sides]) -> float:
    """Return the validation loss of each fold's ensemble so far, pooled over folds."""
    from semeion.learn.objective import validation_loss

    values, truth = [], []
    for fold, side in by_fold.items():
        outputs = [done.validation[m.name] for m in done.plan.members if m.fold == fold and m.name in done.validation]
        if outputs:
            values.append(np.mean(outputs, axis=0))
            truth.append(y[side.validate])
    return validation_loss(np.concatenate(values), np.concatenate(truth), done.plan.target.task)


def question_of(plan: Plan) -> Question:
    """Return the plan's target as the evidence room knows it."""
    target = plan.target
    return Question(target.name, target.task, tuple(target.classes), target.positive)


def _train_one(
    plan: Plan,
    member: MemberPlan,
    store: Store,
    y: npt.NDArray[np.float64],
    side: Sides,
    folder: Path,
    hooks: Hooks,
) -> None:
    from semeion.learn.checkpoint import save_tensors
    from semeion.learn.export import refuse_disagreement, to_onnx
    from semeion.learn.member import train_member

    folder.mkdir(parents=True, exist_ok=True)
    learned = train_member(plan, member, store, y, side, folder, hooks)
    graph = to_onnx(learned.shipped, store.shape)
    engine = open_engine(graph, plan.training.threads)
    sample = side.learn[np.linspace(0, len(side.learn) - 1, min(SAMPLE, len(side.learn))).astype(np.int64)]
    task = plan.target.task
    difference = refuse_disagreement(
        learned.shipped, lambda images: from_logits(engine.run(images), task), store.take(sample), member.name
    )
    save_tensors(folder / "weights.safetensors", learned.shipped.state_dict(), {"member": member.name})
    write_bytes(folder / "graph.onnx", graph)
    facts = {**learned.facts, "graph_difference": difference, "steps_planned": member.steps}
    # Written last: a member with this file is finished, whatever happens after.
    write_json(folder / "member.json", facts)
    for name in ("checkpoint.safetensors", "begun.json"):
        (folder / name).unlink(missing_ok=True)


def _share(plan: Plan, index: int, clock: Clock) -> Callable[[], float | None]:
    """Return what tells the seconds that member `index`, about to start, may still use.

    Its share of what is left for learning is fixed now, so that no later member is starved by an early slow one.
    """
    left = clock.left()
    if plan.budget.seconds is None or left is None:
        return lambda: None
    following = plan.members[index:]
    share = _left(plan, clock) * following[0].steps / sum(member.steps for member in following)
    end = clock.used() + share
    return lambda: max(0.0, end - clock.used())


class _Shown:
    """The bar of the learning: seconds of the budget, or steps of a fixed plan."""

    def __init__(self, progress: Progress, plan: Plan, clock: Clock) -> None:
        self.progress, self.clock = progress, clock
        self.timed = plan.budget.seconds is not None
        self.done, self.began = 0.0, clock.used()
        left = max(1.0, (clock.left() or 0.0) - plan.budget.reserve)
        progress.start("learning", left if self.timed else sum(member.steps for member in plan.members))

    def of_member(self, index: int, steps: int, count: int, losses: list[float]) -> Callable[[int, int, float], None]:
        """Return what is called after every step of member `index`, which was planned with `steps`."""
        before = self.done
        ensemble = f", ensemble {losses[-1]:.4f}" if losses else ""

        def stepped(step: int, total: int, value: float) -> None:
            now = self.clock.used() - self.began if self.timed else before + steps * step / total
            loss = "" if value != value else f", validation loss {value:.4f}"
            self.progress.advance(now - self.done, f"member {index + 1} of {max(count, index + 1)}{loss}{ensemble}")
            self.done = now

        return stepped


def _name(fold: int, repeat: int) -> str:
    return f"fold{fold}-seed{repeat}" if fold >= 0 else f"seed{repeat}"


def _lengthen(done: Trained, index: int, clock: Clock) -> None:
    """Give member `index` more steps, at most half as many again, where the machine is faster than was measured."""
    plan = done.plan
    if not done.facts:
        return
    following = plan.members[index:]
    share = _left(plan, clock) * following[0].steps / sum(member.steps for member in following)
    possible = int((share - OVERHEAD) / _step_seconds(done))
    if possible > 1.1 * following[0].steps:
        following[0].steps = min(possible, following[0].steps * 3 // 2)


def _left(plan: Plan, clock: Clock) -> float:
    """Return the seconds left for learning."""
    return max(0.0, (clock.left() or 0.0) - plan.budget.reserve)


def _step_seconds(done: Trained) -> float:
    """Return what a step took in the last member, validation included."""
    return float(done.facts[-1]["seconds"]) / float(done.facts[-1]["steps"])


def _add_member(run: RunFolder, done: Trained, clock: Clock, losses: list[float], sides: list[Sides]) -> bool:
    """Append one more member when there is time for most of one and the last ones helped; say why not otherwise."""
    plan = done.plan
    # The fold that has the fewest members gets the next; its number is the first that no member of the plan has.
    counts = {side.fold: sum(member.fold == side.fold for member in plan.members) for side in sides}
    fold = min(counts, key=lambda number: counts[number])
    taken = {member.name for member in plan.members}
    repeat = next(n for n in range(len(taken) + 1) if _name(fold, n) not in taken)
    seed = member_seed(plan.seed, repeat, fold)
    member = MemberPlan(name=_name(fold, repeat), fold=fold, seed=seed, steps=plan.members[0].steps)
    if (member_folder(run, member) / "member.json").exists():
        # It was finished before an interruption.
        plan.members.append(member)
        return True
    affordable = int((_left(plan, clock) - OVERHEAD) / _step_seconds(done))
    if affordable < LEAST * member.steps:
        done.ended = "budget"
        return False
    # With folds the pooled loss holds cases that other folds keep for the end: there only time decides.
    given = plan.validation.scheme == "given"
    stalled = given and len(losses) > 2 * PATIENT and losses[-1] > min(losses[:-PATIENT]) * (1 - WORTHWHILE)
    if len(plan.members) >= MOST_MEMBERS or stalled:
        done.ended = "no further improvement" if stalled else "most members"
        return False
    member.steps = max(1, min(affordable, member.steps * 3 // 2))
    plan.members.append(member)
    return True
