"""How one network learns: a loop that fits in a head, and can be stopped and continued at any step."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from semeion.artefacts import remove_parts
from semeion.errors import InputError, Interrupted, TrainingFailed
from semeion.learn import augment, checkpoint, cutmix, mixup
from semeion.learn.batches import batches_ahead
from semeion.learn.bodies import start_from
from semeion.learn.further import Further
from semeion.learn.network import ShippedNetwork, outputs_of, planes_view
from semeion.learn.network3d import layout_of, make_network
from semeion.learn.objective import lesson_of, loss, taught_loss, to_values, validation_loss
from semeion.learn.scales import scales_of
from semeion.learn.settle import average, settle, settling_batches
from semeion.learn.shrink import made_smaller
from semeion.learn.stages import stage_rates, stages_of
from semeion.plan.recipes import OWN, AnyNetwork, NetworkRecipe, TrainingPlan
from semeion.plan.schema import MemberPlan, Plan, Shortened
from semeion.plan.splits import Sides
from semeion.plan.teaching import Teaching
from semeion.prepare.store import Store

CHECKPOINT_SECONDS = 15.0
LOOK_SECONDS = 8.0
"""The pace is judged over at least this long: a shared machine stutters, and the first steps are slow everywhere."""
SMOOTHED_OVER = 3
"""Evaluations whose mean validation loss is compared: one alone is a matter of luck with few validation cases."""


@dataclass
class Progressing:
    """Where a member stands; with the tensors of a checkpoint, all that the rest of its training depends on."""

    step: int = 0
    total: int = 0
    phase: float = 0.0
    """Share of the learning-rate schedule that is over."""
    losses: list[float] = field(default_factory=list)
    """Validation losses so far, and the steps they belong to in `evaluated`."""
    evaluated: list[int] = field(default_factory=list)
    best: float = math.inf
    best_step: int = 0
    since_best: int = 0
    shortened: list[dict[str, int]] = field(default_factory=list)
    seconds: float = 0.0
    waited: float = 0.0


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


@dataclass(frozen=True)
class Hooks:
    """What a run tells a member and hears from it.

    Attributes
    ----------
    allowed
        Seconds that this member may still use, None without a budget.
    stop
        Whether the user asked to stop.
    stepped
        Called after every step with the steps done, the total and the last smoothed validation loss (NaN before).
    log
        Called with one JSON-ready line an evaluation.
    looked
        Called at an evaluation with what is said of the validation rows, ``(rows, outputs)``, before `log`.
    """

    allowed: Callable[[], float | None] = lambda: None
    stop: Callable[[], bool] = lambda: False
    stepped: Callable[[int, int, float], None] = lambda *_: None
    log: Callable[[dict[str, Any]], None] = lambda _: None
    looked: Callable[[npt.NDArray[np.float64]], None] = lambda _: None


def predict_values(
    shipped: ShippedNetwork, store: Store, rows: npt.NDArray[np.int64], device: torch.device
) -> npt.NDArray[np.float64]:
    """Return float32 predictions of `rows`, ``(len(rows), outputs)``: probabilities, or measured values."""
    shipped.eval()
    with torch.inference_mode():
        batches = store.batches(rows, store.at_once(128))
        out = [to_values(shipped(torch.from_numpy(pixels).to(device)), shipped.task) for pixels in batches]
    return np.concatenate(out)


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
        When the plan wants a GPU and there is none, or `start` is of another network.
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
        self.network = network.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
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
        self.at = Progressing(total=member.steps)
        self.every = max(1, member.steps // self.settings.evaluations)

    def run(self) -> Learned:
        if self.file.exists():
            self._load()
        last_saved = last_look = last = perf_counter()
        looked_at, stopped = self.at.step, "all steps done"
        asked = (self.store, self.lesson, self.sides.learn, self.batch, self.member.seed, self.at.step)
        batches = batches_ahead(*asked) if self.further is None else self.further.batches(*asked)
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
                now = perf_counter()
                self.at.seconds += now - last
                last = now
                self.hooks.stepped(self.at.step, self.at.total, self._smoothed())
                if stopped != "all steps done":
                    break
                if now - last_look > LOOK_SECONDS:
                    self._keep_to_budget((now - last_look) / (self.at.step - looked_at))
                    last_look, looked_at = now, self.at.step
                if self.hooks.stop():
                    self._save()
                    raise Interrupted("stopped by the user", fix="continue with `semeion resume`")
                if now - last_saved > CHECKPOINT_SECONDS:
                    self._save()
                    last_saved = now
        finally:
            batches.close()
        return self._finish(stopped)

    def _step(self, pixels: npt.NDArray[np.uint8], y: npt.NDArray[np.float64]) -> None:
        settings, at = self.settings, self.at
        for change in self.member.shortened:
            if change.at == at.step:
                at.total = change.to
                at.shortened.append({"at": change.at, "to": change.to})
        # Everything random in a step follows from the seed and the step's number, so a resumed run needs no state.
        torch.manual_seed(int(np.random.default_rng([self.member.seed, 2, at.step]).integers(2**31)))
        rng = np.random.default_rng([self.member.seed, 3, at.step])
        rates = stage_rates(at.phase, len(self.stages), settings.layer_decay, settings.frozen_share)
        for group, stage, rate in zip(self.optimiser.param_groups, self.stages, rates, strict=True):
            group["lr"] = settings.learning_rate * rate
            for parameter in stage:
                parameter.requires_grad_(rate > 0)
        images = made_smaller(self.network, torch.from_numpy(pixels).to(self.device).float())
        solid = self.kind.kind == "residual3d"
        images = augment.apply(images, augment.draw_for(settings.augmentation, images.shape, rng, solid=solid))
        images = (images - self.mean) / self.std
        images, blend = cutmix.mixed(images, settings.cutmix, settings.mixup, rng)
        if settings.channels_last and (images.ndim == 4 or self.layout == torch.channels_last_3d):
            images = images.contiguous(memory_format=self.layout)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            logits = self.network(images)
        value = self._loss(logits.float(), y, blend)
        if not bool(torch.isfinite(value)):
            raise TrainingFailed(
                f"the training loss is not a finite number at step {at.step}",
                where=f"member {self.member.name}",
                fix="lower training.learning_rate in the plan",
            )
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        at.phase = min(1.0, at.phase + (1 - at.phase) / (at.total - at.step))
        at.step += 1
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
        store, rows = self.store, self.sides.learn
        if self.further is not None:
            store = self.further.with_cases(store, rows)
            rows = np.arange(store.n, dtype=np.int64)
        settle(shipped, settling_batches(store, rows, self.member.seed, self.device))
        return shipped

    def _evaluate(self) -> None:
        at, rows = self.at, self.sides.validate
        settled = self._settled()
        said = predict_values(settled, self.store, rows, self.device)
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

    def _keep_to_budget(self, seconds_a_step: float) -> None:
        """Fit what is left to the time left, never beyond the planned steps.

        The change is noted, so that the executed plan repeats it.
        """
        allowed = self.hooks.allowed()
        left = self.at.total - self.at.step
        if allowed is None or left <= 1:
            return
        possible = max(1, int(max(allowed, 0.0) / seconds_a_step))
        total = min(self.member.steps, self.at.step + possible)
        slack = 0.1 if self.at.phase < 0.5 else 0.03
        if abs(total - self.at.total) > slack * left:
            change = Shortened(at=self.at.step, to=total)
            self.member.shortened = [c for c in self.member.shortened if c.at < change.at] + [change]

    def _tensors(self) -> dict[str, Tensor]:
        return {
            **checkpoint.prefixed("network", self.network.state_dict()),
            **checkpoint.prefixed("averaged", self.averaged.state_dict()),
            **checkpoint.prefixed("best", self.best),
            **checkpoint.prefixed("optimiser", checkpoint.optimiser_tensors(self.optimiser)),
        }

    def _save(self) -> None:
        facts = {**asdict(self.at), "member": self.member.model_dump()}
        checkpoint.save_tensors(self.file, self._tensors(), facts)

    def _load(self) -> None:
        tensors, facts = checkpoint.load_tensors(self.file)
        begun = MemberPlan(**facts.pop("member"))
        self.member.steps, self.member.shortened = begun.steps, begun.shortened
        self.every = max(1, begun.steps // self.settings.evaluations)
        self.at = Progressing(**facts)
        self.network.load_state_dict(checkpoint.under("network", tensors))
        self.averaged.load_state_dict(checkpoint.under("averaged", tensors))
        self.best = checkpoint.under("best", tensors)
        checkpoint.load_optimiser(self.optimiser, checkpoint.under("optimiser", tensors))

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
            "steps": at.step,
            "epochs": round(at.step / per_epoch, 2),
            "seconds": round(at.seconds, 2),
            "waited_share": round(at.waited / max(at.seconds, 1e-9), 4),
            "val_loss": at.best,
            "best_step": at.best_step,
            "validation": {"step": at.evaluated, "loss": at.losses},
            "shortened": at.shortened,
            "stopped": f"{stopped}, shortened to keep the budget" if at.shortened else stopped,
            "scales": asdict(self.scales),
        }
        return Learned(shipped, facts)
