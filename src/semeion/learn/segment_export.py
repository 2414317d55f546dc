"""From a trained segmentation network to the ONNX graph that ships, refused unless both agree on real patches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from semeion.errors import TrainingFailed
from semeion.learn.export import TOLERANCE, traced
from semeion.learn.unet import ShippedUNet

Runs = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def to_onnx(shipped: ShippedUNet, channels: int, patch: list[int]) -> bytes:
    """Return the graph: ``image`` float32 ``(N, channels, *patch)`` to ``logits`` ``(N, labels, *patch)``."""
    return traced(shipped, torch.zeros((2, channels, *patch)))


def refuse_disagreement(shipped: ShippedUNet, run_graph: Runs, patches: npt.NDArray[np.float32], member: str) -> float:
    """Compare the float32 network with its graph on real patches and return the largest difference in probability.

    Parameters
    ----------
    shipped
        The trained network.
    run_graph
        Runs the exported graph as it ships: patches to logits.
    patches
        Prepared, ``(N, channels, *patch)``.
    member
        For the message.

    Raises
    ------
    TrainingFailed
        When they differ by more than :data:`semeion.learn.export.TOLERANCE` anywhere.
    """
    with torch.inference_mode():
        wanted = shipped.eval()(torch.from_numpy(patches)).softmax(1).numpy()
    got = torch.from_numpy(run_graph(patches)).softmax(1).numpy()
    difference = float(np.abs(wanted - got).max())
    if not difference <= TOLERANCE:
        raise TrainingFailed(
            f"the exported graph differs from the trained network by {difference:.2g} in probability; at most "
            f"{TOLERANCE:g} is allowed",
            where=f"member {member}",
            fix="report this with the plan and the versions of torch and onnxruntime",
        )
    return difference
