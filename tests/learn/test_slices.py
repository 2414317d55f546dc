"""Pooling of the features of parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semeion.learn.slices import AttentionPool, PictureEncoder, RecurrentPool, SliceEncoder, make_pool
from semeion.plan.recipes import NetworkPlan


def test_attention_weights_sum_to_one_and_shape_the_mean():
    torch.manual_seed(0)
    pool = AttentionPool(6)
    x = torch.randn(3, 5, 6)
    weights = pool.weights(x)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
    torch.testing.assert_close(pool(x), torch.einsum("np,npf->nf", weights, x))
    torch.testing.assert_close(make_pool("mean", 6)(x), x.mean(1))


@pytest.mark.parametrize(("kind", "reference"), [("gru", nn.GRU), ("lstm", nn.LSTM)])
def test_recurrent_cells_are_those_of_torch(kind, reference):
    torch.manual_seed(0)
    pool = RecurrentPool(8, kind)
    other = reference(8, pool.each, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for way, suffix in enumerate(("", "_reverse")):
            getattr(other, f"weight_ih_l0{suffix}").copy_(pool.inputs[way].weight)
            getattr(other, f"weight_hh_l0{suffix}").copy_(pool.states[way].weight)
            bias = pool.inputs[way].bias.clone()
            if kind == "lstm":
                bias[pool.each : 2 * pool.each] += 1  # the forget gate begins open
            getattr(other, f"bias_ih_l0{suffix}").copy_(bias)
            getattr(other, f"bias_hh_l0{suffix}").copy_(pool.states[way].bias)
    x = torch.randn(4, 7, 8)
    _, state = other(x)
    last = state[0] if kind == "lstm" else state
    torch.testing.assert_close(pool(x), torch.cat([last[0], last[1]], 1))


def test_slices_share_one_body():
    torch.manual_seed(0)
    encoder = SliceEncoder(PictureEncoder(NetworkPlan(widths=[4, 8], kind="slices"), 2), "mean").eval()
    x = torch.randn(1, 2, 3, 12, 12)
    each = torch.stack([encoder.picture(x[:, :, k]) for k in range(3)]).mean(0)
    torch.testing.assert_close(encoder(x), each)
