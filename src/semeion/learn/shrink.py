"""A network that sees prepared images smaller than they are stored, so that other members share the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from semeion.learn.places import Told
from semeion.learn.pretrained import resizing
from semeion.learn.stages import stages_of


class _Shrinks(nn.Module, ABC):
    """What both kinds pass on to the network behind them."""

    network: nn.Module

    @abstractmethod
    def smaller(self, x: Tensor) -> Tensor:
        """Return images as the network sees them."""

    @property
    def head(self) -> nn.Module:
        """The last layers of the network."""
        network: Any = self.network
        head: nn.Module = network.head
        return head

    def told(self, x: Tensor) -> Told:
        """Return what the network says of images as they are stored, and where it comes from."""
        network: Any = self.network
        told: Told = network.told(self.smaller(x))
        return told

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters that learn at one rate, from the input to the output."""
        return stages_of(self.network)


class Shrunk(_Shrinks):
    """Makes pictures smaller, and passes them to a network.

    Parameters
    ----------
    network
        Sees pictures of `wanted`.
    size, wanted
        Rows and columns of the pictures that come, and of those that the network sees.
    """

    rows: Tensor
    columns: Tensor
    spatial = 2

    def __init__(self, network: nn.Module, size: Sequence[int], wanted: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        # Made from the sizes, so no part of a checkpoint.
        self.register_buffer("rows", torch.from_numpy(resizing(size[0], wanted[0])), persistent=False)
        self.register_buffer("columns", torch.from_numpy(resizing(size[1], wanted[1])).T, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network says of ``(batch, planes, rows, columns)``."""
        said: Tensor = self.network(self.smaller(x))
        return said

    def smaller(self, x: Tensor) -> Tensor:
        """Return pictures ``(batch, planes, rows, columns)`` as the network sees them."""
        # In half precision neighbouring grey levels would fall together.
        with torch.autocast(x.device.type, enabled=False):
            return (self.rows @ x.float()) @ self.columns


class ShrunkVolume(_Shrinks):
    """Makes volumes smaller, and passes them to a network.

    Parameters
    ----------
    network
        Sees volumes of `wanted`.
    size, wanted
        Slices, rows and columns of the volumes that come, and of those that the network sees.
    """

    slices: Tensor
    rows: Tensor
    columns: Tensor
    spatial = 3

    def __init__(self, network: nn.Module, size: Sequence[int], wanted: Sequence[int]) -> None:
        super().__init__()
        self.network, self.wanted = network, tuple(wanted)
        for name, before, after in zip(("slices", "rows", "columns"), size, wanted, strict=True):
            self.register_buffer(name, torch.from_numpy(resizing(before, after)), persistent=False)

    def smaller(self, x: Tensor) -> Tensor:
        """Return volumes ``(batch, planes, slices, rows, columns)`` as the network sees them."""
        with torch.autocast(x.device.type, enabled=False):
            seen = (self.rows @ x.float()) @ self.columns.T
            if self.slices.shape[0] == self.slices.shape[1]:
                return seen
            planes, _, rows, columns = (int(one) for one in seen.shape[1:])
            return (self.slices @ seen.flatten(3)).reshape(-1, planes, self.wanted[0], rows, columns)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network says of volumes as they are stored, or as :meth:`smaller` left them."""
        seen = x if tuple(int(one) for one in x.shape[2:]) == self.wanted else self.smaller(x)
        said: Tensor = self.network(seen)
        return said


def shrunk(network: nn.Module, size: Sequence[int], wanted: Sequence[int]) -> Shrunk | ShrunkVolume:
    """Return a network of pictures or volumes of `wanted` as one of those of `size`."""
    return Shrunk(network, size, wanted) if len(wanted) == 2 else ShrunkVolume(network, size, wanted)


def made_smaller(network: nn.Module, images: Tensor) -> Tensor:
    """Return volumes as a network sees that makes them smaller, and other images as they are.

    Done before they are changed at random, which then costs as much less.
    """
    return network.smaller(images) if isinstance(network, ShrunkVolume) else images
