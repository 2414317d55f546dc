from __future__ import annotations

import numpy as np
import torch

from semeion.learn import mixup


def test_no_blend_draws_nothing():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert mixup.draw(0.0, 8, rng) is None
    # A plan without it repeats the weights that it gave before it could be asked for.
    assert rng.bit_generator.state == before


def test_an_image_keeps_at_least_half_of_itself():
    rng = np.random.default_rng(1)
    images = torch.rand(6, 1, 4, 4)
    for _ in range(50):
        blend = mixup.draw(1.0, 6, rng)
        assert blend is not None
        assert 0.5 <= blend.share <= 1
        assert sorted(blend.other) == list(range(6))
        wanted = blend.share * images + (1 - blend.share) * images[blend.other]
        assert torch.allclose(mixup.blended(images, blend), wanted, atol=1e-6)


def test_the_share_of_blended_batches_is_the_one_asked_for():
    rng = np.random.default_rng(2)
    blended = sum(mixup.draw(0.3, 4, rng) is not None for _ in range(2000))
    assert 500 < blended < 700
