"""Models whose graphs say where: untrained networks and frozen features, exported as they ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.explain.view import WANTED
from semeion.model.engine import open_engine
from semeion.model.linear import Linear
from semeion.model.observing import Seen
from semeion.model.package import write_model
from semeion.plan.recipes import AnyNetwork, FrozenRecipe

CLASSES: dict[str, list[str]] = {
    "binary": ["benign", "malignant"],
    "multiclass": ["cyst", "mass", "scar"],
    "ordinal": ["grade 1", "grade 2", "grade 3"],
    "multilabel": ["effusion", "nodule"],
    "regression": [],
}
LINK = {"multilabel": "sigmoid", "regression": "identity", "ordinal": "ordered"}


def network_graph(
    plan: AnyNetwork,
    shape: tuple[int, ...],
    task: str = "binary",
    *,
    groups: int = 1,
    seed: int = 0,
    bare: bool = False,
) -> bytes:
    """Return the graph of an untrained network whose batch statistics are those of noise."""
    import torch

    from semeion.learn.export import to_onnx
    from semeion.learn.network import Scales, ShippedNetwork
    from semeion.learn.network3d import make_network

    torch.manual_seed(seed)
    outputs = max(len(CLASSES[task]), 1)
    network = make_network(plan, shape, groups, task, outputs)
    network.train()
    network(torch.randn(4, *shape))
    scales = Scales((110.0,) * shape[0], (45.0,) * shape[0], *((50.0, 12.0) if task == "regression" else ()))
    weights = [] if task == "regression" else [0.7, 1.9, 1.2][:outputs]
    return to_onnx(ShippedNetwork(network, scales, weights, task), shape, bare=bare)


def looked(graph: bytes, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
    """Return all outputs of a graph by their names."""
    engine = open_engine(graph, 1)
    return engine.look(images, engine.extras)


def features_graph(recipe: FrozenRecipe, shape: tuple[int, ...], *, groups: int = 1) -> tuple[bytes, int]:
    """Return the graph of frozen features, and how many they are."""
    from semeion.learn.features_export import features_to_onnx

    images = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    graph, columns = features_to_onnx(recipe, shape, groups, images, looked)
    return graph, sum(len(one) for one in columns)


def head_of(features: int, task: str = "binary", seed: int = 0) -> Linear:
    """Return a head with random coefficients."""
    rng = np.random.default_rng(seed)
    rows = 1 if task in ("ordinal", "regression") else len(CLASSES[task])
    return Linear.model_validate(
        {
            "features": features,
            "mean": rng.normal(0, 0.3, features).tolist(),
            "scale": rng.uniform(0.5, 2, features).tolist(),
            "coefficients": rng.normal(0, 0.02, (rows, features)).tolist(),
            "intercepts": [-1.0, 1.0] if task == "ordinal" else rng.normal(0, 0.5, rows).tolist(),
            "link": LINK.get(task, "softmax"),
        }
    )


def write_mapped(
    folder: Path,
    graphs: Mapping[str, bytes],
    shape: tuple[int, ...],
    task: str = "binary",
    *,
    heads: Mapping[str, Linear] | None = None,
    weights: Mapping[str, float] | None = None,
    groups: Sequence[str] = (),
    role: str = "views",
) -> Path:
    """Write a model of graphs and return its folder; several `groups` have as many planes of `shape`."""
    planes = shape[0] // max(len(groups), 1)
    parts: dict[str, Any] = {"task": task, "target": "finding", "classes": CLASSES[task], "inputs": {}}
    if len(shape) == 3:
        parts["inputs"]["photometry"] = "grey" if planes == 1 else "colour"
        parts["preparation"] = {"channels": planes, "size": shape[1:], "fit": "pad"}
    else:
        names = [f"c{number}" for number in range(planes)]
        intensity = [{"kind": "percentiles"}]
        parts["preparation"] = {"channels": names, "size": shape[1:], "size_mode": "stretch", "intensity": intensity}
    if groups:
        parts["inputs"] |= {"images": len(groups), "names": list(groups), "role": role}
    if task == "binary":
        parts |= {"positive": "malignant", "operating_point": {"rule": "youden", "value": 0.5}}
    elif task == "multilabel":
        parts["operating_point"] = {"rule": "youden", "by_target": dict.fromkeys(CLASSES[task], 0.5)}
    elif task == "regression":
        parts["unit"] = "mm"
    else:
        parts["operating_point"] = {"rule": "argmax"}
    given = {name: head.to_json().encode() for name, head in (heads or {}).items()}
    write_model(folder, parts, graphs, "# card\n", heads=given, weights=weights)
    return folder


@dataclass
class Watching:
    """An observer who keeps what is seen."""

    wants: frozenset[str] = WANTED
    keeps_images: bool = True
    seen: list[Seen] = field(default_factory=list)

    def see(self, seen: Seen) -> str:
        """Keep a case."""
        self.seen.append(seen)
        return ""


def noise(n: int, *shape: int, seed: int = 3) -> npt.NDArray[np.uint8]:
    """Return noise with a bright spot somewhere, uint8 ``(n, *shape)``."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 120, (n, *shape))
    for case in found:
        start = [int(rng.integers(0, max(1, side - side // 3))) for side in case.shape]
        case[tuple(slice(at, at + max(1, side // 3)) for at, side in zip(start, case.shape, strict=True))] += 110
    return found.astype(np.uint8)
