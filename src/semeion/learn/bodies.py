"""The part of a network that sees images, apart from its head: taken out of one network and given to another."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from semeion.errors import InputError
from semeion.learn import checkpoint


def bodies_of(network: nn.Module) -> list[nn.Module]:
    """Return the bodies of a network: one, or one a view where views do not share it."""
    return [module for name, module in network.named_modules() if name.rsplit(".", 1)[-1] == "body"]


def body_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a network's first body by name, float32, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in bodies_of(network)[0].state_dict().items()}


def start_from(network: nn.Module, file: Path) -> None:
    """Give every body of a network, in place, the weights that :func:`semeion.learn.selfsup.pretrain` left.

    Raises
    ------
    InputError
        When they are of another network.
    """
    tensors, _ = checkpoint.load_tensors(file)
    for body in bodies_of(network):
        try:
            body.load_state_dict(tensors)
        except RuntimeError as error:
            raise InputError(
                "the weights are of another network than the plan's", where=str(file), fix="pretrain again"
            ) from error


def tensors_hash(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256, hexadecimal, of named weights."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name].numpy())
        digest.update(f"{name} {value.shape} {value.dtype.str}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
