"""The network: a compact residual body, and the head that suits the task."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from semeion.learn.places import Encoded, Told, contributions, last_layer, strided
from semeion.plan.recipes import NetworkPlan


@dataclass(frozen=True)
class Scales:
    """Constants of a member taken from its learning cases, stored in its graph.

    Attributes
    ----------
    mean, std
        Per channel, of the prepared images in units of 0..255.
    target_mean, target_std
        Of a regression target, in its unit; 0 and 1 otherwise.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    target_mean: float = 0.0
    target_std: float = 1.0


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al., CVPR 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map, ``(batch, outputs, height / stride, width / stride)``."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def residual_body(plan: NetworkPlan, channels: int) -> tuple[nn.Sequential, int]:
    """Return the two-dimensional body, pictures to maps, and the width of its last map."""
    first = plan.widths[0]
    stem = nn.Conv2d(channels, first, 3, plan.stem_stride, 1, bias=False)
    layers: list[nn.Module] = [stem, nn.BatchNorm2d(first), nn.ReLU()]
    width = first
    for stage, wanted in enumerate(plan.widths):
        for block in range(plan.blocks):
            layers.append(ResidualBlock(width, wanted, 2 if stage and not block else 1))
            width = wanted
    return nn.Sequential(*layers), width


def body_stride(plan: NetworkPlan) -> int:
    """Return how many pixels lie between the places of the last map of :func:`residual_body`."""
    return plan.stem_stride * int(2 ** (len(plan.widths) - 1))


class OrderedHead(nn.Module):
    """Cumulative-link head for ordinal grades: one score, and thresholds that cannot cross.

    ``P(y > k) = sigmoid(score - threshold_k)`` (McCullagh, J R Stat Soc B 42:109, 1980, the proportional-odds model);
    the output is the logarithm of each grade's probability, so that a softmax returns the probabilities.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.score = nn.Linear(inputs, 1)
        self.first = nn.Parameter(torch.tensor([-(classes - 2) / 2.0]))
        self.gaps = nn.Parameter(torch.full((classes - 2,), math.log(math.e - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return log probabilities ``(batch, classes)``."""
        # A product with a triangle of ones is a cumulative sum that is repeatable on a GPU too.
        triangle = torch.ones((len(self.gaps), len(self.gaps)), device=x.device).tril()
        thresholds = torch.cat([self.first, self.first + triangle @ F.softplus(self.gaps)])
        above = torch.sigmoid(self.score(x).float() - thresholds)
        edge = torch.ones_like(above[:, :1])
        probabilities = torch.cat([edge, above], 1) - torch.cat([above, edge - 1], 1)
        return torch.log(probabilities.clamp_min(1e-7))


def make_head(inputs: int, task: str, outputs: int) -> nn.Module:
    """Return the last layer that suits the task."""
    return OrderedHead(inputs, outputs) if task == "ordinal" and outputs > 2 else nn.Linear(inputs, outputs)


def planes_view(network: nn.Module) -> tuple[int, ...]:
    """Return the shape that lets constants a plane meet the images of a network: pictures, or volumes (`spatial` 3)."""
    return (1, -1, *(1 for _ in range(int(getattr(network, "spatial", 2)))))


class Network(nn.Module):
    """Body and head; sees standardised images.

    Parameters
    ----------
    plan
        Widths, blocks, stem and dropout.
    channels
        1 or 3.
    task, outputs
        Task of the target, and the number of classes (labels for multi-label, 1 for regression).
    """

    def __init__(self, plan: NetworkPlan, channels: int, task: str, outputs: int) -> None:
        super().__init__()
        self.body, width = residual_body(plan, channels)
        self.stride = body_stride(plan)
        self.dropout = nn.Dropout(plan.dropout)
        self.head = make_head(width, task, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(batch, outputs)`` of standardised float images ``(batch, channels, height, width)``."""
        logits: Tensor = self.head(self.dropout(self.body(x).mean((2, 3))))
        return logits

    def told(self, x: Tensor) -> Told:
        """Return what :meth:`forward` says of images in use, and where it comes from."""
        seen: Tensor = self.body(x)
        features = seen.mean((2, 3))
        rows, columns = (
            strided(int(places), self.stride, int(side))
            for places, side in zip(seen.shape[2:], x.shape[2:], strict=True)
        )
        maps = contributions(Encoded(features, seen[:, None]), last_layer(self.head), (rows, columns))
        return Told(self.head(features), features, None if maps is None else maps[:, :, 0])


class ShippedNetwork(nn.Module):
    """The graph that ships: from a uint8 image to logits of unweighted probabilities, or to the measured value.

    Training with class weights ``w`` estimates ``q_c`` proportional to ``w_c p_c`` (Elkan, IJCAI 2001, theorem 2), so
    ``log w`` is subtracted from the logits here.
    """

    mean: Tensor
    std: Tensor
    correction: Tensor
    target: Tensor
    network: Any

    def __init__(self, network: nn.Module, scales: Scales, class_weights: list[float], task: str) -> None:
        super().__init__()
        self.network = network
        self.task = task
        self.register_buffer("mean", torch.tensor(scales.mean).view(planes_view(network)))
        self.register_buffer("std", torch.tensor(scales.std).view(planes_view(network)))
        correction = torch.tensor(np.log(class_weights), dtype=torch.float32) if class_weights else torch.zeros(1)
        self.register_buffer("correction", correction)
        self.register_buffer("target", torch.tensor([scales.target_mean, scales.target_std]))

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(batch, outputs)`` for a uint8 ``(batch, planes, (slices,) height, width)``."""
        logits: Tensor = self.network((image.to(torch.float32) - self.mean) / self.std)
        return self.answer(logits)

    @property
    def tells(self) -> bool:
        """Whether the network says where its scores come from; a user's own does not."""
        return hasattr(self.network, "told")

    def told(self, image: Tensor) -> Told:
        """Return the answers of :meth:`forward`, and where they come from; maps of a value are in its unit."""
        told: Told = self.network.told((image.to(torch.float32) - self.mean) / self.std)
        maps = told.maps * self.target[1] if told.maps is not None and self.task == "regression" else told.maps
        return replace(told, logits=self.answer(told.logits), maps=maps)

    def answer(self, logits: Tensor) -> Tensor:
        """Return what ships of the network's logits: those of unweighted probabilities, or the measured value."""
        if self.task == "regression":
            return logits * self.target[1] + self.target[0]
        return logits - self.correction


def outputs_of(task: str, classes: list[str]) -> int:
    """Return how many numbers the network puts out."""
    return 1 if task == "regression" else len(classes)
