"""How one network learns: a loop that fits in a head, and can be stopped and continued at any step."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from semeion.artefacts import remove_parts
from semeion.errors import InputError, TrainingFailed
from semeion.learn import augment, checkpoint, cutmix, mixup
from semeion.learn.ahead import Ahead
from semeion.learn.batches import batches_ahead
from semeion.learn.bodies import start_from
from semeion.learn.further import Further
from semeion.learn.layouts import laid_in_memory, layout_of
from semeion.learn.network import ShippedNetwork, outputs_of, planes_view
from semeion.learn.network3d import make_network
from semeion.learn.objective import lesson_of, loss, predict_values, taught_loss, validation_loss
from semeion.learn.scales import scales_of
from semeion.learn.settle import average, settle, settling_batches
from semeion.learn.shrink import made_smaller
from semeion.learn.stages import stage_rates, stages_of
from semeion.learn.standing import Between, Hooks, Standing
from semeion.learn.views import Views, views_of
from semeion.plan.recipes import OWN, AnyNetwork, NetworkRecipe, PretrainedPlan, TrainingPlan, kept_stages
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.plan.teaching import Teaching
from semeion.prepare.store import Store

SMOOTHED_OVER = 3
"""Evaluations whose mean validation loss is compared: one alone is a matter of luck with few validation cases."""


@dataclass
class Progressing(Standing):
    """Where a member stands.

    Attributes
    ----------
    losses, evaluated
        Validation losses so far, and the steps they belong to.
    best, best_step, since_best
        The best smoothed loss, its step, and evaluations since.
    """

    losses: list[float] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    best: float = math.inf
    best_step: int = 0
    since_best: int = 0


@dataclass(frozen=True)
class Learned:
    """A member that has finished.

    Attributes
    ----------
    shipped
        The graph to export, with the averaged weights of the best validation, float32, on the CPU.
    facts
        What ``member.json`` holds: steps, epochs, seconds, validation losses, why it stopped.
    """

    shipped: ShippedNetwork
    facts: dict[str, Any]


def train_member(
    plan: Plan,
    member: MemberPlan,
    store: Store,
    y: npt.NDArray[np.float64],
    sides: Sides,
    folder: Path,
    hooks: Hooks,
    start: Path | None = None,
    taught: Teaching | None = None,
    further: Further | None = None,
) -> Learned:
    """Train one member, from its checkpoint when there is one.

    Parameters
    ----------
    plan, member
        All settings; the same plan on the same machine gives the same weights.
    store
        Prepared images in cohort order.
    y
        Reference standard in cohort order, ``(cases,)`` or ``(cases, labels)``.
    sides
        Rows to learn from and to validate on.
    folder
        Of this member: ``checkpoint.safetensors`` is kept here until the member has finished.
    hooks
        Budget, interruption and reporting.
    start
        Weights of :func:`semeion.learn.selfsup.pretrain` that the body of a recipe with ``start: pretraining`` begins
        with.
    taught
        How much each case counts and the shares of votes; None: every case counts once and has its class.
    further
        Images without labels, and what is taught of each, of a recipe that is `taught` and of students.

    Raises
    ------
    Interrupted
        When the user asked to stop; the checkpoint is written.
    InputError
        When the plan wants a GPU and there is none, `start` is of another network, or the maps of stages that are kept
        would take too much memory.
    TrainingFailed
        When the training or validation loss is not a finite number.
    """
    recipe = plan.recipe_of(member)
    if not isinstance(recipe, NetworkRecipe):
        raise ValueError(f"member {member.name} does not learn by gradient")
    if recipe.training.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "the plan trains on a GPU and torch finds none", where="training.device", fix="write cpu, or plan again"
        )
    torch.set_num_threads(recipe.training.threads)
    torch.use_deterministic_algorithms(True)
    remove_parts(folder)
    if recipe.start == "pretraining" and start is None:
        raise ValueError(f"member {member.name} starts from pretraining, and no weights were given")
    if recipe.taught is not None and further is None:
        raise ValueError(f"member {member.name} is taught of images without labels, and they were not given")
    return _Loop(plan, recipe, member, store, y, sides, folder, hooks, start, taught, further).run()


def _classes(plan: Plan) -> int:
    return 0 if plan.target.task in ("regression", "multilabel") else len(plan.target.classes)


class _Loop:
    """One member's training; an object only because a dozen values change together at every step."""

    def __init__(
        self,
        plan: Plan,
        recipe: NetworkRecipe,
        member: MemberPlan,
        store: Store,
        y: npt.NDArray[np.float64],
        sides: Sides,
        folder: Path,
        hooks: Hooks,
        start: Path | None = None,
        taught: Teaching | None = None,
        further: Further | None = None,
    ) -> None:
        self.plan, self.member, self.store, self.y, self.sides = plan, member, store, y, sides
        self.kind: AnyNetwork = recipe.network
        self.settings: TrainingPlan = recipe.training
        self.task, self.hooks = plan.target.task, hooks
        if further is not None and taught is None:
            taught = Teaching(np.ones(len(y)))
        self.further = further
        self.last = recipe.taught is not None and recipe.taught.last
        self.lesson = y if taught is None else lesson_of(taught, y, sides.learn, _classes(plan))
        self.device = torch.device(self.settings.device)
        self.file = folder / "checkpoint.safetensors"
        self.scales = scales_of(self.kind, store, sides.learn, y, self.task)
        torch.manual_seed(member.seed)
        outputs = outputs_of(self.task, plan.target.classes)
        network = make_network(self.kind, store.shape, plan.images.groups, self.task, outputs)
        if recipe.start == "pretraining" and start is not None:
            start_from(network, start)
        self.layout = layout_of(self.kind, self.settings.channels_last)
        self.network = laid_in_memory(network, self.device, self.layout)
        self.averaged = copy.deepcopy(self.network).eval()
        self.best = copy.deepcopy(self.averaged.state_dict())
        self.stages = stages_of(self.network)
        self.optimiser = torch.optim.AdamW(
            [{"params": stage} for stage in self.stages], 1e-3, weight_decay=self.settings.weight_decay, fused=True
        )
        self.weights = (
            torch.tensor(self.settings.class_weights, device=self.device) if self.settings.class_weights else None
        )
        self.mean = torch.tensor(self.scales.mean, device=self.device).view(planes_view(self.network))
        self.std = torch.tensor(self.scales.std, device=self.device).view(planes_view(self.network))
        # Beside images without labels a batch has as many cases as it asks for, however few there are.
        self.batch = min(self.settings.batch, len(sides.learn)) if further is None else self.settings.batch
        self.cases = self.batch if further is None else further.cases_of(self.batch)
        self.views: Views | None = None
        self.at = Progressing(total=member.steps)
        self.every = max(1, member.steps // self.settings.evaluations)

    def run(self) -> Learned:
        if self.file.exists():
            self._load()
        stopped = "all steps done"
        if isinstance(self.kind, PretrainedPlan) and self.kind.kept and self.further is None:
            sides = (self.sides.learn, self.sides.validate)
            asked = (self.network, self.kind, self.settings, self.store, *sides, self._standardised, self.member.seed)
            began = perf_counter()
            self.views = views_of(*asked, self.hooks.stop)
            self.at.seconds += perf_counter() - began
        batches = self._batches()
        between = Between(self.at, self.hooks, self._save, self._keep_to_budget)
        try:
            for pixels, y in batches:
                if self.at.step >= self.at.total:
                    break
                try:
                    self._step(pixels, y)
                except TrainingFailed as error:
                    if not self.at.best_step:
                        raise
                    # What was validated before is as good as it was.
                    return self._finish(f"{error.what}; the last good weights are kept")
                if self.at.step % self.every == 0 or self.at.step == self.at.total:
                    self._evaluate()
                    self.at.waited, batches.waited = self.at.waited + batches.waited, 0.0
                    if self.at.since_best >= self.settings.patience and self.at.phase > 0.5:
                        stopped = "validation stopped improving"
                between.count(self._smoothed())
                if stopped != "all steps done":
                    break
                between.pause()
        finally:
            batches.close()
        return self._finish(stopped)

    def _batches(self) -> Ahead[tuple[npt.NDArray[Any], npt.NDArray[np.float64]]]:
        """Return the batches from here on: of images, or where stages are kept of the maps at their end."""
        if self.views is not None:
            return self.views.batches_ahead(self.lesson, self.batch, self.member.seed, self.at.step)
        asked = (self.store, self.lesson, self.sides.learn, self.batch, self.member.seed, self.at.step)
        return batches_ahead(*asked) if self.further is None else self.further.batches(*asked)

    def _standardised(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def _seen(self, pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
        """Return images as the network learns from them: changed at random, standardised."""
        images = made_smaller(self.network, torch.from_numpy(pixels).to(self.device).float())
        solid = self.kind.kind == "residual3d"
        drawn = augment.draw_for(self.settings.augmentation, images.shape, rng, solid=solid)
        return self._standardised(augment.apply(images, drawn))

    def _step(self, pixels: npt.NDArray[Any], y: npt.NDArray[np.float64]) -> None:
        settings, at = self.settings, self.at
        at.change(self.member.shortened)
        # Everything random in a step follows from the seed and the step's number, so a resumed run needs no state.
        torch.manual_seed(int(np.random.default_rng([self.member.seed, 2, at.step]).integers(2**31)))
        rng = np.random.default_rng([self.member.seed, 3, at.step])
        rates = stage_rates(at.phase, len(self.stages), settings.layer_decay, settings.frozen_share)
        for group, stage, rate in zip(self.optimiser.param_groups, self.stages, rates, strict=True):
            group["lr"] = settings.learning_rate * rate
            for parameter in stage:
                parameter.requires_grad_(rate > 0)
        kept = self.views is not None
        images = torch.from_numpy(pixels).to(self.device).float() if kept else self._seen(pixels, rng)
        images, blend = cutmix.mixed(images, settings.cutmix, settings.mixup, rng)
        if settings.channels_last and (images.ndim == 4 or self.layout == torch.channels_last_3d):
            images = images.contiguous(memory_format=self.layout)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            logits = (self.network.ended if kept else self.network)(images)  # type: ignore[operator]
        value = self._loss(logits.float(), y, blend)
        if not bool(torch.isfinite(value)):
            raise TrainingFailed(
                f"the training loss is not a finite number at step {at.step}",
                where=f"member {self.member.name}",
                fix="lower training.learning_rate in the plan",
            )
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        at.advance()
        average(self.averaged, self.network, settings.averaging, at.step)

    def _loss(self, logits: Tensor, y: npt.NDArray[np.float64], blend: mixup.Blend | None) -> Tensor:
        everyone = np.arange(len(y), dtype=np.int64)

        def of(rows: npt.NDArray[np.int64]) -> Tensor:
            truth = y[rows]
            if self.further is None:
                return mean(logits, truth, self.settings.label_smoothing)
            # What a teacher says is soft as it is.
            return self.further.loss(
                lambda part, known: mean(logits[part], truth[part], self.settings.label_smoothing if known else 0.0),
                rows < self.cases,
            )

        def mean(said: Tensor, truth: npt.NDArray[np.float64], smoothing: float) -> Tensor:
            wanted = torch.from_numpy(truth).float().to(self.device)
            how = loss if self.lesson is self.y else taught_loss
            return how(said, wanted, self.task, self.scales, self.weights, smoothing)

        if blend is None:
            return of(everyone)
        return blend.share * of(everyone) + (1 - blend.share) * of(blend.other)

    def _shipped(self, network: torch.nn.Module) -> ShippedNetwork:
        return ShippedNetwork(network, self.scales, self.settings.class_weights, self.task).to(self.device)

    def _settled(self) -> ShippedNetwork:
        """Return the averaged weights with batch statistics of their own, which is what is validated and ships.

        It is a copy: learning goes on from the averages, so that a look changes nothing.
        """
        shipped = self._shipped(copy.deepcopy(self.averaged))
        if kept_stages(self.kind):  # and the statistics of batches with them
            return shipped.eval()
        store, rows = self.store, self.sides.learn
        if self.further is not None:
            store = self.further.with_cases(store, rows)
            rows = np.arange(store.n, dtype=np.int64)
        settle(shipped, settling_batches(store, rows, self.member.seed, self.device))
        return shipped

    def _evaluate(self) -> None:
        at, rows = self.at, self.sides.validate
        settled = self._settled()
        views = self.views
        said = (
            predict_values(settled, self.store, rows, self.device)
            if views is None
            else views.said(settled, self.device)
        )
        value = validation_loss(said, self.y[rows], self.task)
        if not math.isfinite(value):
            # No look would ever be the best one, and the weights of the beginning would ship.
            raise TrainingFailed(
                f"the validation loss is not a finite number at step {at.step}",
                where=f"member {self.member.name}",
                fix="see that validation cases have known labels, or lower training.learning_rate in the plan",
            )
        at.losses.append(value)
        at.evaluated.append(at.step)
        smoothed = self._smoothed()
        if self.last or smoothed <= at.best:
            at.best, at.best_step, at.since_best = smoothed, at.step, 0
            self.best = settled.network.state_dict()
        else:
            at.since_best += 1
        self.hooks.looked(said)
        self.hooks.log(
            {
                "member": self.member.name,
                "step": at.step,
                "total": at.total,
                "validation_loss": value,
                "learning_rate": self.optimiser.param_groups[-1]["lr"],
            }
        )

    def _smoothed(self) -> float:
        return float(np.mean(self.at.losses[-SMOOTHED_OVER:])) if self.at.losses else math.nan

    def _keep_to_budget(self, recent: float, _whole: float) -> None:
        member = self.member
        member.shortened = self.at.fitted(member.shortened, self.hooks.allowed(), recent, member.steps)

    def _save(self) -> None:
        facts = {**asdict(self.at), "member": self.member.model_dump()}
        tensors = checkpoint.learning(self.network, self.averaged, self.best, self.optimiser)
        checkpoint.save_tensors(self.file, tensors, facts)

    def _load(self) -> None:
        tensors, facts = checkpoint.load_tensors(self.file)
        begun = MemberPlan(**facts.pop("member"))
        self.member.steps, self.member.shortened = begun.steps, begun.shortened
        self.every = max(1, begun.steps // self.settings.evaluations)
        self.at = Progressing(**facts)
        self.best = checkpoint.load_learning(tensors, self.network, self.averaged, self.optimiser)

    def _finish(self, stopped: str) -> Learned:
        at = self.at
        self.averaged.load_state_dict(self.best)
        shipped = self._shipped(self.averaged).to("cpu").eval()
        learned = len(self.sides.learn)
        per_epoch = max(1, learned // self.batch) if self.further is None else learned / self.cases
        facts = {
            "name": self.member.name,
            "recipe": self.member.recipe or OWN,
            "fold": self.member.fold,
            "seed": self.member.seed,
            **at.facts(per_epoch),
            "val_loss": at.best,
            "best_step": at.best_step,
            "validation": {"step": at.evaluated, "loss": at.losses},
            "stopped": f"{stopped}, shortened to keep the budget" if at.shortened else stopped,
            "scales": asdict(self.scales),
        }
        return Learned(shipped, facts)
