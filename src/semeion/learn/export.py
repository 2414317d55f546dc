"""From a trained member to the ONNX graph that ships, refused unless both agree on real cases."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from semeion.errors import TrainingFailed
from semeion.learn.network import ShippedNetwork
from semeion.learn.objective import to_values

OPSET = 17
TOLERANCE = 1e-4
"""Largest difference in probability (for measured values: relative to their spread) between network and graph."""

Runs = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float64]]


class Answers(Protocol):
    """A network that answers logits, or the measured value, to uint8 images."""

    task: str
    target: Tensor
    """Mean and standard deviation of a measured value."""

    def eval(self) -> Any:
        """Return the network in use."""


def to_onnx(shipped: ShippedNetwork, shape: tuple[int, ...]) -> bytes:
    """Return the graph: input ``image`` uint8 ``(N, planes, (slices,) height, width)``, output ``logits`` float32."""
    return traced(shipped, torch.zeros((2, *shape), dtype=torch.uint8))


def traced(shipped: nn.Module, example: Tensor) -> bytes:
    """Return the graph of a network from its way with an example: ``image`` to ``logits``, with a free first axis."""
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
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


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
