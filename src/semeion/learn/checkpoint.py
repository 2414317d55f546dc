"""The whole state of a member in training, in one safetensors file: no pickle, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semeion.artefacts import whole_file

Tensors = dict[str, Tensor]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> None:
    """Write `tensors` with `facts` (plain JSON values) in the file's header."""
    from safetensors.torch import save_file

    packed = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        save_file(packed, temporary, metadata={"semeion": json.dumps(facts)})


def load_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read what :func:`save_tensors` wrote."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {}).get("semeion", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - not a dict


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Return `tensors` under ``prefix.name``."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors named ``prefix.*`` without the prefix."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(prefix + ".")}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> Tensors:
    """Return an Adam-like optimiser's state as named tensors."""
    state = optimiser.state_dict()["state"]
    return {f"{number}.{name}": value for number, values in state.items() for name, value in values.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`optimiser_tensors` took."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:
            # The fused step walks through memory, so a moment must lie in it as its parameter does (channels last).
            value = torch.empty_like(parameter).copy_(value)
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def learning(network: nn.Module, averaged: nn.Module, best: Tensors, optimiser: torch.optim.Optimizer) -> Tensors:
    """Return the tensors of a member that learns: its weights, their average, the best of them, and its optimiser's."""
    return {
        **prefixed("network", network.state_dict()),
        **prefixed("averaged", averaged.state_dict()),
        **prefixed("best", best),
        **prefixed("optimiser", optimiser_tensors(optimiser)),
    }


def load_learning(
    tensors: Mapping[str, Tensor], network: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer
) -> Tensors:
    """Put back what :func:`learning` took; return the best weights."""
    network.load_state_dict(under("network", tensors))
    averaged.load_state_dict(under("averaged", tensors))
    load_optimiser(optimiser, under("optimiser", tensors))
    return under("best", tensors)
