"""The classic small network of the textbooks, learned as its tutorials do: a named baseline, and never a member.

It is what a reader would try first: one convolution, one pooling, one hidden layer, trained for ten rounds with the
defaults of Keras. Every report compares with it, so nothing here is tuned, neither to a cohort nor to a machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from semeion.errors import Interrupted
from semeion.learn.ahead import Ahead
from semeion.learn.batches import Batch, epoch_order
from semeion.learn.export import traced
from semeion.learn.network import outputs_of
from semeion.prepare.store import Store

SIDE = 64
"""Rows and columns that the network sees, in pixels."""
FILTERS, KERNEL, HIDDEN = 32, 3, 128
BATCH = 32
LEARNING_RATE, EPSILON = 1e-3, 1e-7
"""Keras' defaults of Adam."""
DECAY = 0.999
"""Of Adam's second moment, in Keras and in torch."""
JUDGED_FROM = 20
"""Steps before the pace tells how long the whole will take."""


class Classic(nn.Module):
    """The graph: from uint8 images of any size to logits, by the classic network.

    64 x 64 x 3 values from 0 to 1; 32 filters of 3 x 3 without padding, ReLU; the maximum of every 2 x 2; 128 hidden
    units, ReLU; one output through a sigmoid for two classes, a softmax over several, a sigmoid for each of several
    labels, the standardised value itself for a measurement. Ordered grades are learned as plain classes: the textbook
    knows no order. Weights begin as Keras begins them: uniform after Glorot and Bengio (AISTATS 2010, equation 16),
    biases at 0.

    What of a case it sees: a grey image three times, a colour image as it is, of two planes both and their mean, of
    more the first three. Of a volume the slices at a quarter, at half and at three quarters of the depth of its first
    image (rounded down, counted from 0), as its three planes. Every plane is stretched to 64 x 64 with a triangle
    filter that is as wide as the reduction asks for, as Pillow and ``keras.ops.image.resize(antialias=True)`` do it.

    Parameters
    ----------
    shape
        Of a case: planes, (slices,) rows and columns.
    task, outputs
        As :func:`semeion.learn.network.outputs_of` counts them.
    target
        Mean and standard deviation of a measured value; 0 and 1 otherwise.
    """

    rows: Tensor
    columns: Tensor
    target: Tensor

    def __init__(
        self, shape: tuple[int, ...], task: str, outputs: int, target: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        super().__init__()
        self.task, self.depth = task, shape[1] if len(shape) == 4 else 0
        self.register_buffer("rows", torch.tensor(resizing(shape[-2], SIDE), dtype=torch.float32))
        self.register_buffer("columns", torch.tensor(resizing(shape[-1], SIDE).T, dtype=torch.float32))
        self.register_buffer("target", torch.tensor(target, dtype=torch.float32))
        self.convolution = nn.Conv2d(3, FILTERS, KERNEL)
        self.hidden = nn.Linear(FILTERS * ((SIDE - KERNEL + 1) // 2) ** 2, HIDDEN)
        self.output = nn.Linear(HIDDEN, 1 if task == "binary" else outputs)
        for layer in (self.convolution, self.hidden, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # each of them has a bias

    def seen(self, image: Tensor) -> Tensor:
        """Return what the network sees of uint8 cases, float32 ``(batch, 3, 64, 64)`` from 0 to 1."""
        slices = [int(share * self.depth) for share in (0.25, 0.5, 0.75)]
        planes = (image[:, 0, slices] if self.depth else image[:, :3]).to(torch.float32) / 255
        if planes.shape[1] == 1:
            planes = torch.cat([planes, planes, planes], 1)
        elif planes.shape[1] == 2:
            planes = torch.cat([planes, planes.mean(1, keepdim=True)], 1)
        return torch.matmul(torch.matmul(self.rows, planes), self.columns)

    def raw(self, image: Tensor) -> Tensor:
        """Return the last layer's output ``(batch, outputs)`` of uint8 cases; one for two classes."""
        # The larger of two ReLUs is the ReLU of the larger: the same function, with a quarter of the work.
        maps = F.relu(F.max_pool2d(self.convolution(self.seen(image)), 2))
        raw: Tensor = self.output(F.relu(self.hidden(maps.flatten(1))))
        return raw

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(batch, outputs)``, or the measured value, of uint8 ``(batch, planes, (slices,) h, w)``."""
        raw = self.raw(image)
        if self.task == "regression":
            return raw * self.target[1] + self.target[0]
        # A sigmoid of z is a softmax of 0 and z: the form in which every graph of two classes answers.
        return torch.cat([raw - raw, raw], 1) if self.task == "binary" else raw

    def loss(self, image: Tensor, y: Tensor) -> Tensor:
        """Return the mean cross-entropy of a batch, of known labels alone; of a measured value the squared error."""
        raw = self.raw(image)
        if self.task == "regression":
            return F.mse_loss(raw[:, 0], (y - self.target[0]) / self.target[1])
        if self.task == "binary":
            return F.binary_cross_entropy_with_logits(raw[:, 0], y)
        if self.task == "multilabel":
            known = ~torch.isnan(y)
            each = F.binary_cross_entropy_with_logits(raw, torch.nan_to_num(y), reduction="none")
            return (each * known).sum() / known.sum().clamp_min(1)
        return F.cross_entropy(raw, y.long())


def resizing(inputs: int, outputs: int) -> npt.NDArray[np.float64]:
    """Return the matrix ``(outputs, inputs)`` that resizes one axis with a triangle filter; each row sums to 1.

    Pixels are areas (the first one's centre is at 0.5). Where the axis becomes shorter the filter is as much wider, so
    that no pixel is skipped; where it becomes longer this is linear interpolation.
    """
    scale = inputs / outputs
    centre = (np.arange(outputs) + 0.5) * scale
    distance = np.abs(np.arange(inputs)[None] + 0.5 - centre[:, None])
    weights = np.maximum(0.0, 1 - distance / max(scale, 1.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class ClassicLearned:
    """What became of it.

    Attributes
    ----------
    network
        None where it was given up.
    facts
        ``epochs steps cases seconds losses parameters``; the losses are the means over the batches of each epoch.
    reason
        Why it was given up, in words.
    """

    network: Classic | None
    facts: dict[str, Any]
    reason: str = ""


def train_classic(
    store: Store,
    y: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int64],
    task: str,
    classes: list[str],
    *,
    epochs: int,
    seed: int,
    threads: int,
    allowed: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> ClassicLearned:
    """Learn from `rows` as the textbook does: Adam, batches of 32, all of them in every epoch, no look at other cases.

    The same seed, rows and threads on the same machine give the same weights. It learns on the processor, whatever else
    there is: it is small.

    Parameters
    ----------
    store, y
        Prepared images and the reference standard, in cohort order; ``(cases,)`` or ``(cases, labels)``, NaN unknown.
    rows
        Who it learns from.
    task, classes
        Of the target.
    epochs, seed, threads
        Of the plan; the seed decides first weights and order.
    allowed
        Seconds; where the pace says that it will take longer, it is given up.
    stop
        Whether the user asked to stop.

    Raises
    ------
    Interrupted
        When the user asked to stop; it begins anew when the run goes on.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    target = (0.0, 1.0)
    if task == "regression":
        target = (float(y[rows].mean()), float(max(y[rows].std(), 1e-9)))
    network = Classic(store.shape, task, outputs_of(task, classes), target)
    optimiser = make_optimiser(network)
    an_epoch = math.ceil(len(rows) / BATCH)
    total, began = epochs * an_epoch, perf_counter()
    losses: list[float] = []
    facts: dict[str, Any] = {"epochs": epochs, "steps": total, "cases": len(rows)}
    facts["parameters"] = sum(each.numel() for each in network.parameters())

    def given_up(reason: str) -> ClassicLearned:
        return ClassicLearned(None, {**facts, "seconds": round(perf_counter() - began, 2)}, reason)

    batches = _batches(store, y, rows, seed, an_epoch)
    try:
        for step, (pixels, truth) in enumerate(batches):
            if step == total:
                break
            losses.append(learn_batch(network, optimiser, pixels, truth, step))
            if not math.isfinite(losses[-1]):
                return given_up(f"its loss was not a finite number at step {step}")
            if stop():
                raise Interrupted("stopped by the user", fix="continue with `semeion resume`")
            needed = (perf_counter() - began) / (step + 1) * total
            if allowed is not None and step + 1 >= JUDGED_FROM and needed > allowed:
                return given_up(f"it would have taken about {needed:.0f} s, and {allowed:.0f} s were to spare for it")
    finally:
        batches.close()
    facts["losses"] = [float(np.mean(losses[k : k + an_epoch])) for k in range(0, total, an_epoch)]
    return ClassicLearned(network.eval(), {**facts, "seconds": round(perf_counter() - began, 2)})


def make_optimiser(network: Classic) -> torch.optim.Adam:
    """Return Adam with Keras' defaults, for :func:`learn_batch`."""
    return torch.optim.Adam(network.parameters(), LEARNING_RATE, betas=(0.9, DECAY), eps=EPSILON, fused=True)


def learn_batch(
    network: Classic, optimiser: torch.optim.Adam, pixels: npt.NDArray[np.uint8], y: npt.NDArray[np.float64], step: int
) -> float:
    """Do step number `step` (from 0) and return the loss before it.

    Keras adds epsilon to the root of the uncorrected second moment, which is the last form in section 2 of Kingma and
    Ba, ICLR 2015, and torch to that of the corrected one: the same, when epsilon is corrected too. Of the millions of
    weights with hardly any gradient the first steps would differ otherwise.
    """
    optimiser.param_groups[0]["eps"] = EPSILON / math.sqrt(1 - DECAY ** (step + 1))
    value = network.loss(torch.from_numpy(pixels), torch.from_numpy(y).float())
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    optimiser.step()
    return float(value.detach())


def classic_onnx(network: Classic, shape: tuple[int, ...]) -> bytes:
    """Return the graph, resizing included: input ``image`` uint8 ``(N, *shape)``, output ``logits`` float32."""
    return traced(network, torch.zeros((2, *shape), dtype=torch.uint8))


def classic_step_seconds(shape: tuple[int, ...], threads: int) -> float:
    """Return what a step on cases of this shape takes here, in seconds: the median of a few on noise."""
    torch.set_num_threads(threads)
    network = Classic(shape, "binary", 2)
    optimiser, y = make_optimiser(network), np.zeros(BATCH)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *shape), dtype=np.uint8)
    times = []
    for step in range(7):
        began = perf_counter()
        learn_batch(network, optimiser, pixels, y, step)
        times.append(perf_counter() - began)
    return float(np.median(times[2:]))


def _batches(
    store: Store, y: npt.NDArray[np.float64], rows: npt.NDArray[np.int64], seed: int, an_epoch: int
) -> Ahead[Batch]:
    """Return the batches, read ahead; the last one of an epoch holds what is left, as Keras' does."""
    order, last = rows, -1

    def read(step: int) -> Batch:
        nonlocal order, last
        epoch, place = divmod(step, an_epoch)
        if epoch != last:
            order, last = epoch_order(rows, seed, epoch), epoch
        chosen = order[place * BATCH : (place + 1) * BATCH]
        return store.take(chosen), y[chosen]

    return Ahead(read, 0)
