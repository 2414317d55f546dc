from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.learn.network import (
    Network,
    OrderedHead,
    ResidualBlock,
    Scales,
    ShippedNetwork,
    outputs_of,
)
from semeion.plan.recipes import NetworkPlan

SCALES = Scales((100.0,), (40.0,))


def network(task="binary", outputs=2, channels=1, **plan):
    torch.manual_seed(0)
    return Network(NetworkPlan(widths=[4, 8], **plan), channels, task, outputs).eval()


@pytest.mark.parametrize(
    ("task", "classes", "outputs"),
    [
        ("binary", ["a", "b"], 2),
        ("multiclass", ["a", "b", "c"], 3),
        ("ordinal", ["a", "b", "c", "d"], 4),
        ("ordinal", ["a", "b"], 2),
        ("multilabel", ["a"], 1),
        ("regression", [], 1),
    ],
)
@pytest.mark.parametrize(("channels", "stem"), [(1, 1), (3, 2)])
def test_shapes_of_each_task(task, classes, outputs, channels, stem):
    assert outputs_of(task, classes) == outputs
    body = network(task, outputs, channels, stem_stride=stem)
    assert body(torch.randn(5, channels, 12, 16)).shape == (5, outputs)
    shipped = ShippedNetwork(body, Scales((100.0,) * channels, (40.0,) * channels), [], task).eval()
    logits = shipped(torch.zeros(5, channels, 12, 16, dtype=torch.uint8))
    assert logits.shape == (5, outputs)
    assert logits.dtype == torch.float32


def test_the_body_halves_the_map_at_every_stage_after_the_first():
    maps = [network(stem_stride=stem, blocks=2).body(torch.zeros(1, 1, 32, 32)).shape for stem in (1, 2)]
    assert [tuple(shape) for shape in maps] == [(1, 8, 16, 16), (1, 8, 8, 8)]


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (8, 200)])
def test_any_size_passes(size):
    assert network()(torch.zeros(2, 1, *size)).shape == (2, 2)


def count_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_stages_have_the_parameters_that_their_widths_say():
    assert count_parameters(torch.nn.Linear(3, 2)) == 8
    stem, first, second = 9 * 4 + 8, 2 * (4 * 4 * 9 + 8), 4 * 8 * 9 + 16 + 8 * 8 * 9 + 16 + 4 * 8 + 16
    assert count_parameters(network()) == stem + first + second + 8 * 2 + 2
    assert count_parameters(network(blocks=2)) > count_parameters(network())


def test_a_block_without_change_of_shape_has_a_plain_shortcut():
    torch.manual_seed(0)
    block = ResidualBlock(4, 4, 1).eval()
    x = torch.rand(2, 4, 6, 6)
    with torch.no_grad():
        block.norm2.weight.zero_()
    assert torch.equal(block(x), x)
    assert ResidualBlock(4, 8, 2)(x).shape == (2, 8, 3, 3)


# Ordered head


@given(
    st.integers(3, 9),
    st.floats(-30, 30),
    st.floats(-5, 5),
    st.lists(st.floats(-6, 6), min_size=7, max_size=7),
)
@settings(max_examples=80, deadline=None)
def test_grades_have_proper_probabilities_whatever_the_parameters(classes, score, first, gaps):
    head = OrderedHead(1, classes)
    with torch.no_grad():
        head.score.weight.fill_(1.0)
        head.score.bias.zero_()
        head.first.fill_(first)
        head.gaps.copy_(torch.tensor(gaps[: classes - 2]))
        p = torch.exp(head(torch.tensor([[score]])))[0].double()
        higher = torch.exp(head(torch.tensor([[score + 1]])))[0].double()
    assert p.shape == (classes,)
    assert (p > 0).all()
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    # A higher score makes every P(y > k) larger: the cumulative probabilities never cross.
    assert (torch.cumsum(higher, 0) <= torch.cumsum(p, 0) + 1e-5).all()


def test_the_ordered_head_is_the_proportional_odds_model():
    torch.manual_seed(1)
    head = OrderedHead(3, 4)
    x = torch.randn(6, 3)
    thresholds = [head.first.item()]
    for gap in head.gaps.tolist():
        thresholds.append(thresholds[-1] + math.log1p(math.exp(gap)))
    assert thresholds == pytest.approx([-1, 0, 1], abs=1e-6)
    above = torch.sigmoid(head.score(x) - torch.tensor(thresholds)).detach().numpy()
    wanted = np.diff(-np.column_stack([np.ones(6), above, np.zeros(6)]), axis=1)
    assert np.allclose(torch.softmax(head(x), 1).detach().numpy(), wanted, atol=1e-6)


def test_the_ordered_head_learns_at_both_ends():
    head = OrderedHead(2, 3)
    torch.nn.functional.cross_entropy(head(torch.randn(4, 2)), torch.tensor([0, 1, 2, 2])).backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in head.parameters())


# What ships


def test_pixels_are_standardised_in_the_graph():
    body = network(channels=3)
    scales = Scales((10.0, 100.0, 200.0), (1.0, 50.0, 9.0))
    image = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    wanted = (image.float() - torch.tensor(scales.mean).view(3, 1, 1)) / torch.tensor(scales.std).view(3, 1, 1)
    assert torch.allclose(ShippedNetwork(body, scales, [], "binary").eval()(image), body(wanted), atol=1e-5)


def test_class_weights_are_undone_in_closed_form():
    # Weighted training estimates q_c proportional to w_c p_c; what ships is p.
    p, w = np.array([0.7, 0.2, 0.1]), [0.5, 2.0, 4.0]
    q = p * w / (p * w).sum()
    body = network("multiclass", 3)
    with torch.no_grad():
        body.head.weight.zero_()
        body.head.bias.copy_(torch.tensor(np.log(q)))
    logits = ShippedNetwork(body, SCALES, w, "multiclass").eval()(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    assert torch.softmax(logits, 1)[0].tolist() == pytest.approx(p, abs=1e-6)


def test_weights_of_presence_are_undone_in_closed_form():
    p, w = np.array([0.3, 0.05]), [2.0, 4.0]
    q = p * w / (p * w + 1 - p)
    body = network("multilabel", 2)
    with torch.no_grad():
        body.head.weight.zero_()
        body.head.bias.copy_(torch.tensor(np.log(q / (1 - q))))
    logits = ShippedNetwork(body, SCALES, w, "multilabel").eval()(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    assert torch.sigmoid(logits)[0].tolist() == pytest.approx(p, abs=1e-6)


def test_weights_of_grades_are_undone():
    body = network("ordinal", 3)
    image, w = torch.zeros(1, 1, 8, 8, dtype=torch.uint8), np.array([0.5, 1.0, 3.0])
    q = torch.softmax(ShippedNetwork(body, SCALES, [], "ordinal").eval()(image), 1)[0].detach().numpy()
    p = torch.softmax(ShippedNetwork(body, SCALES, w.tolist(), "ordinal").eval()(image), 1)[0].detach().numpy()
    assert p == pytest.approx(q / w / (q / w).sum(), abs=1e-5)


def test_a_measured_value_comes_in_its_unit():
    body = network("regression", 1)
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    plain = ShippedNetwork(body, SCALES, [], "regression").eval()(image)
    scaled = ShippedNetwork(body, Scales((100.0,), (40.0,), 500.0, 25.0), [], "regression").eval()(image)
    assert torch.allclose(scaled, plain * 25 + 500)
