"""How weights and images lie in memory: convolutions are faster where the channels of a place lie together."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from semeion.plan.recipes import AnyNetwork

Laid = TypeVar("Laid", bound=nn.Module)


def laid_in_memory(network: Laid, device: torch.device | str, layout: torch.memory_format) -> Laid:
    """Return a network on `device`, its weights in a layout of memory (in place, but for what is moved)."""
    laid: Laid = network.to(device, memory_format=layout)  # type: ignore[call-overload]  # torch has no such overload
    return laid


def layout_of(plan: AnyNetwork, channels_last: bool) -> torch.memory_format:
    """Return the memory layout of weights and images that is fast for the plan's convolutions."""
    if not channels_last:
        return torch.contiguous_format
    return torch.channels_last_3d if plan.kind == "residual3d" else torch.channels_last
