"""Maps beside those of captum, an independent implementation: Grad-CAM, which they must equal, integrated gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from scipy.stats import spearmanr

from learn.tiny import SIDE, pictures, plan_of, train
from semeion.learn.network import Network
from semeion.learn.places import Encoded, contributions, last_layer
from semeion.plan.recipes import NetworkPlan
from semeion.prepare.spread import even, spread


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Return a network that told blobs from noise, and cases that it did not learn from."""
    torch.set_num_threads(1)
    network = train(plan_of("multiclass", steps=120), tmp_path_factory.mktemp("captum")).shipped.eval()
    images, y = pictures("multiclass", n=60, seed=9)
    return network, torch.from_numpy(images), y.astype(int)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_class_activation_maps_are_grad_cam(target):
    """Where a mean over places and a linear layer end a network both are the same (Selvaraju et al., ICCV 2017)."""
    torch.manual_seed(3)
    network = Network(NetworkPlan(widths=[6, 12]), 2, "multiclass", 3).eval()
    images = torch.randn(4, 2, 24, 20)
    wanted = LayerGradCam(network, network.body).attribute(images, target=target, relu_attributions=False)
    with torch.inference_mode():
        seen = network.body(images)
        centres = tuple(even(int(side)) for side in seen.shape[2:])
        found = contributions(Encoded(seen.mean((2, 3)), seen[:, None]), last_layer(network.head), centres)
        told = network.told(images).maps
    assert torch.allclose(found[:, target, 0], wanted[:, 0], atol=1e-6)
    assert torch.allclose(told[:, target].sum((-2, -1)), wanted.sum((-2, -1))[:, 0], atol=1e-5)


def test_integrated_gradients_of_the_pixels_find_the_same_places(learned):
    """Gradients along the way from the mean picture (Sundararajan et al., ICML 2017) and maps mark the same blobs."""
    network, images, y = learned
    blobs = np.zeros((3, SIDE, SIDE), bool)
    blobs[0, 3:9, 1:5], blobs[1, 3:9, 7:11] = True, True
    usual = images.float().mean(0, keepdim=True)
    agreed, inside = [], []
    for image, truth in zip(images.float(), y, strict=True):
        if truth == 2:  # nothing is in the picture to be found
            continue
        pixels, gap = IntegratedGradients(network).attribute(
            image[None], usual, target=int(truth), n_steps=64, return_convergence_delta=True
        )
        assert abs(float(gap)) < 0.05, "they sum to the difference of the scores"
        with torch.inference_mode():
            coarse = network.told(image[None]).maps[0, truth].numpy()
        found = spread(coarse, [even(side) for side in coarse.shape], (SIDE, SIDE))
        seen = pixels[0, 0].detach().numpy()
        place = np.add.reduceat(np.add.reduceat(seen, range(0, SIDE, 3), 0), range(0, SIDE, 3), 1)
        own = np.add.reduceat(np.add.reduceat(found, range(0, SIDE, 3), 0), range(0, SIDE, 3), 1)
        agreed.append(spearmanr(place.ravel(), own.ravel()).statistic)
        inside.append(
            [np.clip(one, 0, None)[blobs[truth]].sum() / np.clip(one, 0, None).sum() for one in (seen, found)]
        )
    assert np.mean(agreed) > 0.15
    assert (np.mean(inside, axis=0) > 1.2 * blobs[0].mean()).all()
