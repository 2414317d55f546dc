"""From a trained member to the ONNX graph that ships, refused unless both agree on real cases."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from semeion.errors import TrainingFailed
from semeion.learn.network import ShippedNetwork
from semeion.learn.objective import to_values
from semeion.learn.places import MOST, last_layer

OPSET = 17
TOLERANCE = 1e-4
"""Largest difference in probability (for measured values: relative to their spread) between network and graph."""

Runs = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float64]]
Looks = Callable[[npt.NDArray[np.uint8]], Mapping[str, npt.NDArray[np.float32]]]
"""Gives all outputs of a graph by their names."""
SUMS = 1e-3
"""Largest difference between a score and the sum of its map, relative to the spread of the scores."""


class Answers(Protocol):
    """A network that answers logits, or the measured value, to uint8 images."""

    task: str
    target: Tensor
    """Mean and standard deviation of a measured value."""

    def eval(self) -> Any:
        """Return the network in use."""


def to_onnx(shipped: ShippedNetwork, shape: tuple[int, ...], *, bare: bool = False) -> bytes:
    """Return the graph: input ``image`` uint8 ``(N, planes, (slices,) height, width)``, output ``logits`` float32.

    Unless `bare`, a network that tells where its scores come from has further outputs, float32 (see
    :class:`semeion.learn.places.Told`): ``features`` ``(N, width)``; ``maps`` ``(N, scores, (groups,) (slices,) rows,
    columns)``, whose cells divide the input evenly, of a measured value in its unit; ``weights`` ``(N, parts)``, group
    by group. Maps of more than :data:`semeion.learn.places.MOST` numbers are left out.
    """
    example = torch.zeros((2, *shape), dtype=torch.uint8)
    if bare or not shipped.tells:
        return traced(shipped, example)
    telling = Telling(shipped.eval(), example)
    return traced(telling, example, telling.shapes)


class Telling(nn.Module):
    """A shipped network with its further outputs, which are those that it gives for an example."""

    def __init__(self, shipped: ShippedNetwork, example: Tensor) -> None:
        super().__init__()
        self.shipped = shipped
        with torch.inference_mode():
            told = shipped.told(example[:1])
        given = {"features": told.features, "maps": told.maps, "weights": told.weights}
        found = {name: one for name, one in given.items() if one is not None and one[0].numel() <= MOST}
        self.shapes = {name: tuple(int(side) for side in one.shape[1:]) for name, one in found.items()}

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the logits, and the further outputs in the order of the names."""
        told = self.shipped.told(image)
        return (told.logits, *(getattr(told, name) for name in self.shapes))


def traced(shipped: nn.Module, example: Tensor, further: Mapping[str, tuple[int, ...]] | None = None) -> bytes:
    """Return the graph of a network from its way with an example: ``image`` to ``logits``, with a free first axis.

    `further` are its outputs behind the first: the name of each, and the shape of one case.
    """
    further = further or {}
    outputs = ["logits", *further]
    buffer = io.BytesIO()
    # The tracing exporter takes a tenth of a second where the newer one takes many; it warns that it is the older one.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            shipped.eval(),
            (example,),
            buffer,  # type: ignore[arg-type]  # the older exporter also writes to a buffer
            input_names=["image"],
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in ("image", *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    return _stating(buffer.getvalue(), further) if further else buffer.getvalue()


def _stating(graph: bytes, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return a graph that states the shapes of outputs, which the exporter cannot always tell."""
    import onnx

    model = onnx.load_from_string(graph)
    for value in model.graph.output:
        for dimension, side in zip(value.type.tensor_type.shape.dim[1:], shapes.get(value.name, ()), strict=False):
            dimension.dim_value = side
    return bytes(model.SerializeToString())


def refuse_disagreement(shipped: Answers, run_graph: Runs, images: npt.NDArray[np.uint8], member: str) -> float:
    """Compare the float32 network with its graph on real prepared images and return the largest difference.

    Parameters
    ----------
    shipped
        The trained network.
    run_graph
        Runs the exported graph as it ships: uint8 images to probabilities or values ``(N, outputs)``.
    images
        Prepared real cases, uint8 ``(N, planes, (slices,) height, width)``.
    member
        For the message.

    Raises
    ------
    TrainingFailed
        When they differ by more than :data:`TOLERANCE`, in probability, or of values in units of their spread.
    """
    with torch.inference_mode():
        wanted = to_values(shipped.eval()(torch.from_numpy(images)), shipped.task)
    got = run_graph(images)
    scale = max(float(shipped.target[1]), 1e-9) if shipped.task == "regression" else 1.0
    difference = float(np.abs(wanted - got).max() / scale)
    if not difference <= TOLERANCE:
        of = "of the values' spread" if shipped.task == "regression" else "in probability"
        raise TrainingFailed(
            f"the exported graph differs from the trained network by {difference:.2g} {of}; at most {TOLERANCE:g} is "
            "allowed",
            where=f"member {member}",
            fix="report this with the plan and the versions of torch and onnxruntime",
        )
    return difference


def refuse_untrue_maps(shipped: ShippedNetwork, look: Looks, images: npt.NDArray[np.uint8], member: str) -> float:
    """Compare what a graph says of the place with its scores on real prepared images; return the largest difference.

    The last layer's scores of the graph's features must be what it answers, and the sums of its maps, with the layer's
    bias, must be those scores.

    Parameters
    ----------
    shipped, images, member
        As for :func:`refuse_disagreement`.
    look
        Gives all outputs of the exported graph.

    Returns
    -------
    float
        Relative to the spread over the images, the largest of any score; 0 for a graph without further outputs.

    Raises
    ------
    TrainingFailed
        When it is more than :data:`SUMS`.
    """
    given = look(images)
    if "features" not in given:
        return 0.0
    shipped = shipped.eval()
    head: Any = shipped.network.head
    with torch.inference_mode():
        features = torch.from_numpy(np.ascontiguousarray(given["features"]))
        answers = to_values(shipped.answer(head(features)), shipped.task)
        layer = last_layer(head)
        scores = layer(features).numpy().astype(np.float64)
        bias = layer.bias.numpy().astype(np.float64)
    unit = float(shipped.target[1]) if shipped.task == "regression" else 1.0
    found = [_apart(to_values(torch.from_numpy(np.ascontiguousarray(given["logits"])), shipped.task), answers)]
    if "maps" in given:
        sums = given["maps"].astype(np.float64).reshape(*scores.shape, -1).sum(axis=2) / unit + bias
        found.append(_apart(sums, scores))
    worst = float(np.max(found))  # which is no number where one is none
    if not worst <= SUMS:
        raise TrainingFailed(
            f"what the exported graph says of places differs from its scores by {worst:.2g} of their spread; at "
            f"most {SUMS:g} is allowed",
            where=f"member {member}",
            fix="report this with the plan and the versions of torch and onnxruntime",
        )
    return worst


def _apart(given: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> float:
    """Return the largest difference in units of the spread of what is wanted, of which a constant has none."""
    spread = np.maximum(wanted.std(axis=0), 1e-3 * np.maximum(np.abs(wanted).max(axis=0), 1e-6))
    return float((np.abs(given - wanted) / spread).max(initial=0.0))
