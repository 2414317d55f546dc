"""Encoders of parts (slices, frames, views) and what pools their features into one of the case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from semeion.learn.network import body_stride, residual_body
from semeion.learn.places import Centres, Encoded, strided
from semeion.learn.stages import stages_of
from semeion.plan.recipes import NetworkPlan

if TYPE_CHECKING:
    from semeion.learn.pretrained import PretrainedBody


class MeanPool(nn.Module):
    """The mean over parts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, width)`` of ``(batch, parts, width)``."""
        return x.mean(1)

    def shared(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what :meth:`forward` does, and the weight of each part; None: all have the same."""
        return self(x), None


class AttentionPool(nn.Module):
    """A mean weighted by what a small gated network finds in each part.

    Source: Ilse et al., Attention-based Deep Multiple Instance Learning, ICML 2018, equation 9.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        inner = max(8, width // 2)
        self.value, self.gate, self.score = nn.Linear(width, inner), nn.Linear(width, inner), nn.Linear(inner, 1)

    def weights(self, x: Tensor) -> Tensor:
        """Return the weight of each part, ``(batch, parts)``; they sum to 1."""
        score: Tensor = self.score(torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x)))
        return torch.softmax(score[..., 0], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, width)`` of ``(batch, parts, width)``."""
        return self.shared(x)[0]

    def shared(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what :meth:`forward` does, and the weight of each part ``(batch, parts)``."""
        weights = self.weights(x)
        return (x * weights[..., None]).sum(1), weights


class RecurrentPool(nn.Module):
    """The last states of a recurrent network that reads the parts in order, from both ends.

    The cells are written out, since the order is short and one product a step exports as it computes: GRU (Cho et al.,
    EMNLP 2014) and LSTM (Hochreiter and Schmidhuber, Neural Comput 9:1735, 1997).
    """

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        half = max(4, width // 2)
        self.width, self.each, self.kind = 2 * half, half, kind
        gates = 3 if kind == "gru" else 4
        self.inputs = nn.ModuleList([nn.Linear(width, gates * half) for _ in range(2)])
        self.states = nn.ModuleList([nn.Linear(half, gates * half) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, width)`` of ``(batch, parts, features)``."""
        parts = x.shape[1]
        ends = []
        for way, (inputs, states) in enumerate(zip(self.inputs, self.states, strict=True)):
            given = inputs(x)
            state = torch.zeros_like(given[:, 0, : self.each])
            memory = state
            for step in range(parts):
                part = given[:, step if way == 0 else parts - 1 - step]
                state, memory = self._step(part, states(state), state, memory)
            ends.append(state)
        return torch.cat(ends, 1)

    def _step(self, given: Tensor, own: Tensor, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next state and memory."""
        if self.kind == "gru":
            (xr, xz, xn), (hr, hz, hn) = given.chunk(3, 1), own.chunk(3, 1)
            kept = torch.sigmoid(xz + hz)
            new = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
            return (1 - kept) * new + kept * state, memory
        i, f, g, o = (given + own).chunk(4, 1)
        # The forget gate begins open, so that early parts are not lost before anything was learned.
        memory = torch.sigmoid(f + 1) * memory + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(memory), memory


Pool = MeanPool | AttentionPool | RecurrentPool


def make_pool(kind: str, width: int) -> Pool:
    """Return the pooling of parts with `width` features."""
    if kind == "mean":
        return MeanPool(width)
    return AttentionPool(width) if kind == "attention" else RecurrentPool(width, kind)


class PictureEncoder(nn.Module):
    """Features of a picture: the residual body and the mean over its map."""

    def __init__(self, plan: NetworkPlan, channels: int) -> None:
        super().__init__()
        self.body, self.width = residual_body(plan, channels)
        self.stride = body_stride(plan)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, width)`` of ``(batch, channels, height, width)``."""
        return self.encoded(x).features

    def encoded(self, x: Tensor) -> Encoded:
        """Return what :meth:`forward` does, and the map that it is the mean of."""
        seen: Tensor = self.body(x)
        return Encoded(seen.mean((2, 3)), seen[:, None])

    def centres(self, size: tuple[int, ...], places: tuple[int, ...]) -> Centres:
        """Return where the places of a map of pictures of `size` rows and columns are centred."""
        return tuple(strided(count, self.stride, side) for count, side in zip(places, size, strict=True))

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters that learn at one rate: all of them."""
        return [list(self.parameters())]


class SliceEncoder(nn.Module):
    """Features of a volume: those of its slices by one shared body, pooled."""

    def __init__(self, picture: PictureEncoder | PretrainedBody, pooling: str) -> None:
        super().__init__()
        self.picture = picture
        self.pool = make_pool(pooling, self.picture.width)
        self.width = self.pool.width

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, width)`` of ``(batch, channels, slices, height, width)``."""
        return self.encoded(x).features

    def encoded(self, x: Tensor) -> Encoded:
        """Return what :meth:`forward` does, and the maps of the slices where pooling is a mean of them."""
        channels, slices, height, width = x.shape[1:]
        flat = x.transpose(1, 2).reshape(-1, channels, height, width)
        each = self.picture.encoded(flat)
        parts = each.features.reshape(-1, slices, self.picture.width)
        if isinstance(self.pool, RecurrentPool) or each.maps is None:
            return Encoded(self.pool(parts))
        features, shares = self.pool.shared(parts)
        return Encoded(features, each.maps.reshape(-1, slices, *each.maps.shape[2:]), shares)

    def centres(self, size: tuple[int, ...], places: tuple[int, ...]) -> Centres:
        """Return where the places of a slice's map are centred, of volumes of `size`."""
        return self.picture.centres(size[-2:], places)

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters that learn at one rate, from the input to the output."""
        return [*stages_of(self.picture), list(self.pool.parameters())]
