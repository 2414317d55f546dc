from __future__ import annotations

import io
import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from semeion.learn.flat_graph import flatten_convolutions
from semeion.model.engine import open_engine


def exported(network: nn.Module, shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros((2, *shape)),),
            buffer,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    return buffer.getvalue()


def agree(network: nn.Module, shape: tuple[int, ...], n: int = 2) -> bytes:
    torch.manual_seed(0)
    graph = exported(network, shape)
    flat = flatten_convolutions(graph)
    images = np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images)).numpy()
    got = open_engine(flat, 1, takes="float32").run(images)
    np.testing.assert_allclose(got, wanted, atol=2e-5 * max(1.0, float(np.abs(wanted).max())))
    return flat


def kinds(graph: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(graph).graph.node)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    kernel=st.tuples(*[st.sampled_from([1, 3, 5])] * 3),
    outputs=st.integers(1, 4),
    bias=st.booleans(),
)
def test_a_convolution_gives_the_same_numbers(shape, kernel, outputs, bias):
    padding = tuple(side // 2 for side in kernel)
    network = nn.Conv3d(shape[0], outputs, kernel, padding=padding, bias=bias)
    flat = agree(network, shape)
    rewritten = max(kernel) > 1 and (kernel[1] > 1 or kernel[2] == 1)
    assert (kinds(flat)["Reshape"] > 0) == rewritten


@pytest.mark.parametrize(
    "network",
    [
        nn.Conv3d(2, 4, 3, stride=2, padding=1),
        nn.Conv3d(2, 4, 3),
        nn.Conv3d(2, 4, 3, padding=2, dilation=2),
        nn.Conv3d(2, 4, 3, padding=1, groups=2),
        nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.ConvTranspose3d(4, 2, 2, 2)),
    ],
    ids=["stride", "valid", "dilated", "groups", "transposed"],
)
def test_what_cannot_be_rewritten_stays(network):
    torch.manual_seed(0)
    graph = exported(network, (2, 8, 8, 8))
    flat = flatten_convolutions(graph)
    expected = 1 if isinstance(network, nn.Sequential) else 0
    assert kinds(flat)["Slice"] == expected
    images = torch.randn((1, 2, 8, 8, 8))
    import onnxruntime as ort

    got = ort.InferenceSession(flat).run(None, {"image": images.numpy()})[0]
    np.testing.assert_allclose(got, network(images).detach().numpy(), atol=2e-5)


def test_group_normalisation_becomes_one_step():
    torch.manual_seed(1)
    norm = nn.GroupNorm(4, 4)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), norm, nn.LeakyReLU(0.01), nn.Conv3d(4, 2, 1))
    flat = agree(network, (1, 6, 8, 10), 3)
    found = kinds(flat)
    assert found["InstanceNormalization"] == 1
    assert found["Mul"] == 0
    assert found["Reshape"] == 2


def test_fewer_groups_than_channels_stay_as_they_are():
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv3d(4, 2, 1))
    assert kinds(agree(network, (1, 6, 8, 10)))["Mul"] == 1


def test_a_network_of_pictures_is_the_same_too():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(4, 4), nn.LeakyReLU(), nn.Conv2d(4, 2, 1))
    assert kinds(agree(network, (1, 8, 10)))["Mul"] == 0


def test_a_branch_keeps_what_it_needs():
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv3d(2, 2, 3, padding=1), nn.GroupNorm(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return self.norm(y) + y + x

    agree(Skip(), (2, 5, 6, 7))
