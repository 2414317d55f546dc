"""A network that sees prepared pictures smaller than they are stored, so that other members share the store."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semeion.learn.pretrained import resizing
from semeion.learn.stages import stages_of

GRID = 4
"""Rows and columns that the network sees are multiples of this."""


class Shrunk(nn.Module):
    """Makes pictures smaller, and passes them to a network.

    Parameters
    ----------
    network
        Sees pictures whose longer side is `side`.
    size
        Rows and columns of the pictures that come.
    side
        Longer side of what the network sees, in pixels; proportions are kept but for the rounding to multiples of
        :data:`GRID`.
    """

    rows: Tensor
    columns: Tensor
    spatial = 2

    def __init__(self, network: nn.Module, size: tuple[int, int], side: int) -> None:
        super().__init__()
        self.network = network
        scale = side / max(size)
        rows, columns = (max(8, round(one * scale / GRID) * GRID) for one in size)
        # Made from the sizes, so no part of a checkpoint.
        self.register_buffer("rows", torch.from_numpy(resizing(size[0], rows)), persistent=False)
        self.register_buffer("columns", torch.from_numpy(resizing(size[1], columns)).T, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network says of ``(batch, planes, rows, columns)``."""
        # In half precision neighbouring grey levels would fall together.
        with torch.autocast(x.device.type, enabled=False):
            smaller = (self.rows @ x.float()) @ self.columns
        said: Tensor = self.network(smaller)
        return said

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters that learn at one rate, from the input to the output."""
        return stages_of(self.network)
