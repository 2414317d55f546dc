"""What a network's body learns from images alone: to know an image again among others, however it was changed.

A loop that fits in a head, and can be stopped and continued at any step, as that of :mod:`semeion.learn.member`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from semeion.artefacts import remove_parts
from semeion.errors import InputError, TrainingFailed
from semeion.learn import augment, checkpoint
from semeion.learn.batches import batches_ahead
from semeion.learn.bodies import body_tensors
from semeion.learn.layouts import laid_in_memory, layout_of
from semeion.learn.network3d import make_encoder
from semeion.learn.scales import measure_scales
from semeion.learn.shrink import shrunk
from semeion.learn.stages import learning_rate
from semeion.learn.standing import Between, Hooks, Standing
from semeion.plan.networks import seen_size
from semeion.plan.recipes import NetworkPlan, TrainingPlan
from semeion.plan.schema import PretrainingPlan, Shortened
from semeion.prepare.store import Store

PROJECTED = (256, 128)
"""Widths of the two layers between features and the loss; they are thrown away afterwards."""
SMOOTHED_OVER = 20
"""Steps whose mean loss is told."""


@dataclass
class Progressing(Standing):
    """Where pretraining stands; `losses` are the last ones."""

    losses: list[float] = field(default_factory=list)


class Projected(nn.Module):
    """Features of one image of a case by the body, and what the loss compares."""

    def __init__(self, network: NetworkPlan, channels: int, size: tuple[int, ...]) -> None:
        super().__init__()
        # Slices are learned from one by one: what pools them learns from labels.
        kind = "residual" if network.kind == "slices" else network.kind
        self.encoder = make_encoder(network.model_copy(update={"kind": kind}), channels, size)
        hidden, out = PROJECTED
        self.project = nn.Sequential(
            nn.Linear(self.encoder.width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(views, 128)`` of standardised images ``(views, channels, (slices,) height, width)``."""
        features: Tensor = self.encoder(x)
        out: Tensor = self.project(features.float())
        return out


def contrast(z: Tensor, temperature: float) -> Tensor:
    """Return the loss of telling the other view of an image from the views of all other images.

    Normalised temperature-scaled cross-entropy (Chen et al., A Simple Framework for Contrastive Learning of Visual
    Representations, ICML 2020, equation 1). By chance it is ``log(2 n - 1)``.

    Parameters
    ----------
    z
        ``(2 n, features)``: the first views of `n` images, then their second ones.
    temperature
        Of the similarities; positive.
    """
    z = F.normalize(z, dim=1)
    images = len(z) // 2
    alike = z @ z.T / temperature
    alike = alike.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -1e9)
    other = (torch.arange(len(z), device=z.device) + images) % len(z)
    return F.cross_entropy(alike, other)


def pretrain(
    plan: PretrainingPlan,
    network: NetworkPlan,
    training: TrainingPlan,
    store: Store,
    folder: Path,
    hooks: Hooks,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Let a body learn from images alone, from its checkpoint when there is one.

    Parameters
    ----------
    plan
        Steps and seed; ``shortened`` is extended where the budget asks for it.
    network
        Whose body learns.
    training
        Of what starts from it: precision, device, threads.
    store
        Prepared images, one a case: ``(channels, (slices,) height, width)``.
    folder
        ``checkpoint.safetensors`` is kept here.
    hooks
        Budget, interruption and reporting.

    Returns
    -------
    tuple
        The weights of the body by name, float32, and facts: steps, images seen, seconds, losses.

    Raises
    ------
    Interrupted
        When the user asked to stop; the checkpoint is written.
    InputError
        When there are fewer than two images.
    TrainingFailed
        When the loss is not a finite number.
    """
    if store.n < 2:
        raise InputError(f"{store.n} images are too few to be told apart", where="--unlabelled", fix="bring more")
    torch.set_num_threads(training.threads)
    torch.use_deterministic_algorithms(True)
    remove_parts(folder)
    return _Loop(plan, network, training, store, folder, hooks).run()


class _Loop:
    """One pretraining; an object only because several values change together at every step."""

    def __init__(
        self,
        plan: PretrainingPlan,
        network: NetworkPlan,
        training: TrainingPlan,
        store: Store,
        folder: Path,
        hooks: Hooks,
    ) -> None:
        self.plan, self.training, self.store, self.hooks = plan, training, store, hooks
        self.device, self.file = torch.device(training.device), folder / "checkpoint.safetensors"
        self.slices = network.kind == "slices"
        rows = np.arange(store.n)
        scales = measure_scales(store, rows, np.zeros(store.n), "binary")
        # Images as the network sees them; of slices one is learned from.
        stored, size = store.shape[1:], seen_size(network, store.shape[1:])
        if self.slices:
            stored, size = stored[1:], size[1:]
        self.shrunk = None if size == stored else shrunk(nn.Identity(), stored, size).to(torch.device(training.device))
        torch.manual_seed(plan.seed)
        self.model = Projected(network, store.shape[0], size)
        self.layout = layout_of(network, training.channels_last)
        self.model = laid_in_memory(self.model, self.device, self.layout)
        parameters = list(self.model.parameters())
        self.optimiser = torch.optim.AdamW(parameters, 1e-3, weight_decay=training.weight_decay, fused=True)
        view = (1, -1, *(1 for _ in size))
        self.mean = torch.tensor(scales.mean, device=self.device).view(view)
        self.std = torch.tensor(scales.std, device=self.device).view(view)
        self.rows, self.batch = rows, min(plan.batch, store.n)
        self.at = Progressing(total=plan.steps)

    def run(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        if self.file.exists():
            self._load()
        at, nothing = self.at, np.zeros(self.store.n)
        batches = batches_ahead(self.store, nothing, self.rows, self.batch, self.plan.seed, at.step)
        between = Between(at, self.hooks, self._save, self._keep_to_budget)
        try:
            for pixels, _ in batches:
                if at.step >= at.total:
                    break
                self._step(pixels)
                between.count(self._loss())
                between.pause()
        finally:
            batches.close()
        facts = {
            "steps": at.step,
            "batch": self.batch,
            "images": self.store.n,
            "epochs": round(at.step * self.batch / self.store.n, 2),
            "seconds": round(at.seconds, 2),
            "loss": self._loss(),
            "chance": math.log(2 * self.batch - 1),
            "shortened": at.shortened,
        }
        return body_tensors(self.model.encoder), facts

    def _step(self, pixels: npt.NDArray[np.uint8]) -> None:
        at, plan = self.at, self.plan
        at.change(plan.shortened)
        # Everything random in a step follows from the seed and the step's number, so a resumed run needs no state.
        torch.manual_seed(int(np.random.default_rng([plan.seed, 2, at.step]).integers(2**31)))
        rng = np.random.default_rng([plan.seed, 3, at.step])
        for group in self.optimiser.param_groups:
            group["lr"] = plan.learning_rate * learning_rate(at.phase)
        if self.slices:
            chosen = rng.integers(pixels.shape[2], size=len(pixels))
            pixels = pixels[np.arange(len(pixels)), :, chosen]
        images = torch.from_numpy(pixels).to(self.device).float()
        images = images if self.shrunk is None else self.shrunk.smaller(images)
        both = torch.cat([augment.apply(images, self._drawn(images, rng)) for _ in range(2)])
        both = (both - self.mean) / self.std
        if self.training.channels_last:
            both = both.contiguous(memory_format=self.layout)
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.training.precision == "bfloat16"):
            features = self.model.encoder(both)
        value = contrast(self.model.project(features.float()), plan.temperature)
        if not bool(torch.isfinite(value)):
            raise TrainingFailed(
                f"the loss of pretraining is not a finite number at step {at.step}",
                where="pretraining",
                fix="lower pretraining.learning_rate in the plan",
            )
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        at.advance()
        at.losses = [*at.losses[1 - SMOOTHED_OVER :], float(value.detach())]

    def _drawn(self, images: Tensor, rng: np.random.Generator) -> augment.Draw:
        size = images.shape[2:]
        if len(size) == 3:
            return augment.draw_volumes(self.plan.augmentation, len(images), (size[0], size[1], size[2]), rng)
        return augment.draw(self.plan.augmentation, len(images), size[0] / size[1], rng)

    def _loss(self) -> float:
        return float(np.mean(self.at.losses)) if self.at.losses else math.nan

    def _keep_to_budget(self, recent: float, _whole: float) -> None:
        plan = self.plan
        plan.shortened = self.at.fitted(plan.shortened, self.hooks.allowed(), recent, plan.steps)

    def _save(self) -> None:
        tensors = {
            **checkpoint.prefixed("model", self.model.state_dict()),
            **checkpoint.prefixed("optimiser", checkpoint.optimiser_tensors(self.optimiser)),
        }
        facts = {**asdict(self.at), "planned": [change.model_dump() for change in self.plan.shortened]}
        checkpoint.save_tensors(self.file, tensors, facts)

    def _load(self) -> None:
        tensors, facts = checkpoint.load_tensors(self.file)
        self.plan.shortened = [Shortened(**change) for change in facts.pop("planned")]
        self.at = Progressing(**facts)
        self.model.load_state_dict(checkpoint.under("model", tensors))
        checkpoint.load_optimiser(self.optimiser, checkpoint.under("optimiser", tensors))
