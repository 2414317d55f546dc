"""How one segmentation network learns: it can be stopped and continued at any step, and tried for a first round."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semeion.artefacts import remove_parts
from semeion.errors import InputError, TrainingFailed
from semeion.learn import checkpoint
from semeion.learn.ahead import Ahead
from semeion.learn.layouts import laid_in_memory
from semeion.learn.patches import Sampling, Volumes, make_batch
from semeion.learn.segment_look import laid_out, validation_dice
from semeion.learn.segment_objective import loss
from semeion.learn.settle import average
from semeion.learn.standing import Between, Hooks, Standing
from semeion.learn.unet import ShippedUNet, UNet
from semeion.plan.segment_schema import SegmentationPlan, SegmentMemberPlan, SegmentTrainingPlan
from semeion.plan.splits import Sides

POWER = 0.9
"""Of the polynomial schedule."""
LONGER = 3.0
"""A member is given at most this many times its planned steps where the machine is faster than was measured."""
CLIP = 12.0
"""Largest norm of a gradient."""


@dataclass
class Progressing(Standing):
    """Where a member stands.

    Attributes
    ----------
    second
        Whether the first round of the schedule is over, or there is none.
    dice, evaluated
        Validation Dice so far, and the steps it belongs to.
    best, best_step
        The best Dice, and its step.
    """

    second: bool = False
    dice: list[float] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    best: float = -1.0
    best_step: int = 0


@dataclass(frozen=True)
class Outlined:
    """A member that has finished, or its first round has.

    Attributes
    ----------
    shipped
        The graph to export, with the averaged weights of the best validation, float32, on the CPU.
    facts
        What ``member.json`` holds.
    finished
        False when it stopped after the first round of its schedule; its checkpoint is written.
    """

    shipped: ShippedUNet
    facts: dict[str, Any]
    finished: bool = True


def learning_rate(phase: float, plan: SegmentTrainingPlan) -> float:
    """Return the factor of the peak rate: a linear rise over `warm_up`, then polynomial or cosine down to 0."""
    if phase < plan.warm_up:
        return 0.05 + 0.95 * phase / plan.warm_up
    left = 1 - (phase - plan.warm_up) / (1 - plan.warm_up)
    return max(left, 0.0) ** POWER if plan.schedule == "polynomial" else 0.5 * (1 - math.cos(math.pi * left))


def train_segmenter(
    plan: SegmentationPlan,
    member: SegmentMemberPlan,
    store: Volumes,
    spacing_kji: tuple[float, float, float],
    sides: Sides,
    folder: Path,
    hooks: Hooks,
    *,
    trial: bool = False,
) -> Outlined:
    """Train one member, from its checkpoint when there is one.

    Parameters
    ----------
    plan, member
        All settings; the same plan on the same machine gives the same weights.
    store
        Prepared volumes in cohort order.
    spacing_kji
        Of the prepared volumes, in mm.
    sides
        Rows to learn from and to validate on.
    folder
        Of this member: ``checkpoint.safetensors`` is kept here until the member has finished.
    hooks
        Budget, interruption and reporting; the smoothed figure that it hears is 1 less the validation Dice.
    trial
        Stop at the end of the first round of the schedule, keep the checkpoint and return the best weights so far.

    Raises
    ------
    Interrupted
        When the user asked to stop; the checkpoint is written.
    InputError
        When the plan wants a GPU and there is none.
    TrainingFailed
        When the training loss is not a finite number, or no validation case shows any label.
    """
    if plan.training.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "the plan trains on a GPU and torch finds none", where="training.device", fix="write cpu, or plan again"
        )
    torch.set_num_threads(plan.training.threads)
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory that was not written; filling it all costs a twentieth of every step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property
    remove_parts(folder)
    return _Loop(plan, member, store, spacing_kji, sides, folder, hooks).run(trial)


class _Loop:
    """One member's training; an object only because a dozen values change together at every step."""

    def __init__(
        self,
        plan: SegmentationPlan,
        member: SegmentMemberPlan,
        store: Volumes,
        spacing_kji: tuple[float, float, float],
        sides: Sides,
        folder: Path,
        hooks: Hooks,
    ) -> None:
        self.member, self.store, self.sides, self.hooks = member, store, sides, hooks
        self.settings, self.arm = plan.training, plan.arm(member.arm)
        self.values = tuple(plan.target.values)
        self.device = torch.device(self.settings.device)
        self.file = folder / "checkpoint.safetensors"
        self.sampling = Sampling(sides.learn, self.values, spacing_kji, self.arm, self.settings, member.seed)
        torch.manual_seed(member.seed)
        network = UNet(self.arm.network, len(plan.preparation.channels), 1 + len(self.values)).to(self.device)
        if self.arm.channels_last:
            layout = torch.channels_last if self.arm.network.dims == 2 else torch.channels_last_3d
            network = laid_in_memory(network, self.device, layout)
        self.network = network
        self.averaged = copy.deepcopy(self.network).eval()
        self.best = copy.deepcopy(self.averaged.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), 1e-3, weight_decay=self.settings.weight_decay, fused=True
        )
        self.at = Progressing(total=member.first or member.steps, second=member.first is None)
        self._look_often()
        count = min(self.settings.validation_cases, len(sides.validate))
        self.looked = sides.validate[np.linspace(0, len(sides.validate) - 1, count).astype(np.int64)]
        if not any(np.isin(store.foreground(int(row))[:, 0], self.values).any() for row in self.looked):
            raise TrainingFailed(
                f"none of the {count} validation cases that are looked at shows any label",
                where=f"member {member.name}",
                fix="bring validation cases whose masks hold the labels",
            )

    def run(self, trial: bool) -> Outlined:
        if self.file.exists():
            self._load()
        batches = Ahead(
            lambda step: make_batch(self.store, self.sampling, step),
            self.at.step,
            started=lambda: torch.set_num_threads(1),
        )
        between = Between(self.at, self.hooks, self._save, self._keep_to_budget)
        try:
            for images, wanted in batches:
                if self.at.step >= self.at.total:
                    if self.at.second or trial:
                        break
                    self._second_round()
                self._step(images, wanted)
                if self.at.step % self.every == 0 or self.at.step == self.at.total:
                    self._evaluate()
                    self.at.waited, batches.waited = self.at.waited + batches.waited, 0.0
                between.count(1 - self.at.dice[-1] if self.at.dice else math.nan)
                between.pause()
        finally:
            batches.close()
        if not self.at.second:
            self._save()
        # A copy: where the member goes on, its averages do so from the weights of the last step.
        shipped = copy.deepcopy(self.averaged)
        shipped.load_state_dict(self.best)
        done = "all steps done" if self.at.second else "first round done"
        return Outlined(self._shipped(shipped), self._facts(done), finished=self.at.second)

    def _second_round(self) -> None:
        self.at.second, self.at.phase = True, 0.0
        self.at.total = max(self.member.steps, self.at.step + 1)
        self._look_often()

    def _look_often(self) -> None:
        """Validate evenly over the planned steps of the round, and more often in a short one."""
        first, steps = self.member.first, self.member.steps
        share = 1.0 if first is None else (1 - first / steps if self.at.second else first / steps)
        planned = steps * share
        self.every = max(1, int(planned / max(2, round(self.settings.evaluations * share))))

    def _step(self, images: Tensor, wanted: Tensor) -> None:
        settings, at = self.settings, self.at
        at.change(self.member.shortened)
        for group in self.optimiser.param_groups:
            group["lr"] = self.arm.learning_rate * learning_rate(at.phase, settings)
        images = laid_out(images.to(self.device), self.arm)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.arm.precision == "bfloat16"):
            outputs = self.network(images)
        value = loss(outputs, wanted.to(self.device), settings)
        if not bool(torch.isfinite(value)):
            raise TrainingFailed(
                f"the training loss is not a finite number at step {at.step}",
                where=f"member {self.member.name}",
                fix=f"lower learning_rate of arm {self.arm.name} in the plan",
            )
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        at.advance()
        average(self.averaged, self.network, settings.averaging, at.step)

    def _shipped(self, network: UNet) -> ShippedUNet:
        return ShippedUNet(laid_in_memory(copy.deepcopy(network), "cpu", torch.contiguous_format)).eval()

    def _evaluate(self) -> None:
        value = validation_dice(ShippedUNet(self.averaged), self.store, self.looked, self.values, self.arm, self.device)
        at = self.at
        at.dice.append(value)
        at.evaluated.append(at.step)
        if value >= at.best:
            at.best, at.best_step = value, at.step
            self.best = copy.deepcopy(self.averaged.state_dict())
        self.hooks.log(
            {
                "member": self.member.name,
                "step": at.step,
                "total": at.total,
                "validation_dice": value,
                "learning_rate": self.optimiser.param_groups[0]["lr"],
            }
        )

    def _keep_to_budget(self, recent: float, whole: float) -> None:
        member = self.member
        most = int(LONGER * (member.steps if self.at.second else member.first or member.steps))
        # What was lately alone stutters with the machine, and the pace of the whole may be of the past.
        member.shortened = self.at.fitted(member.shortened, self.hooks.allowed(), (recent + whole) / 2, most)

    def _save(self) -> None:
        tensors = checkpoint.learning(self.network, self.averaged, self.best, self.optimiser)
        checkpoint.save_tensors(self.file, tensors, {**asdict(self.at), "member": self.member.model_dump()})

    def _load(self) -> None:
        tensors, facts = checkpoint.load_tensors(self.file)
        begun = SegmentMemberPlan(**facts.pop("member"))
        self.member.first, self.member.steps, self.member.shortened = begun.first, begun.steps, begun.shortened
        self.at = Progressing(**facts)
        self._look_often()
        self.best = checkpoint.load_learning(tensors, self.network, self.averaged, self.optimiser)

    def _facts(self, stopped: str) -> dict[str, Any]:
        at = self.at
        per_epoch = max(1, len(self.sides.learn) / self.arm.batch)
        return {
            "name": self.member.name,
            "arm": self.arm.name,
            "fold": self.member.fold,
            "seed": self.member.seed,
            **at.facts(per_epoch),
            "val_dice": at.best,
            "best_step": at.best_step,
            "validation": {"step": at.evaluated, "dice": at.dice},
            "stopped": f"{stopped}, steps changed to keep the budget" if at.shortened else stopped,
        }
