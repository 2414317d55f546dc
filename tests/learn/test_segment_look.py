from __future__ import annotations

import numpy as np
import pytest
import torch

from learn.outlines import Balls, plan_of
from semeion.learn.segment_look import dice_of_cases, outline, tiles, validation_dice

CPU = torch.device("cpu")


class Nothing(torch.nn.Module):
    """Outlines nothing."""

    def forward(self, x):
        return torch.cat([torch.ones_like(x), torch.zeros_like(x), torch.zeros_like(x)], 1)


@pytest.mark.parametrize(("size", "side"), [(5, 8), (8, 8), (9, 8), (33, 8)])
def test_tiles_cover_an_axis(size, side):
    covered = np.zeros(size)
    for at in tiles(size, side):
        covered[max(at, 0) : at + side] += 1
    assert covered.min() == 1


def test_outlining_sees_every_voxel_of_volumes_smaller_and_larger_than_the_patch():
    class Bright(torch.nn.Module):
        def forward(self, x):
            return torch.cat([torch.zeros_like(x), x], 1)

    arm = plan_of().arms[0]
    rng = np.random.default_rng(0)
    for shape in ((3, 9, 30), (17, 16, 20), (8, 16, 16)):
        image = rng.normal(0, 1, (1, *shape)).astype(np.float32)
        assert np.array_equal(outline(Bright(), image, arm, CPU), (image[0] > 0).astype(np.uint8))


def test_a_label_that_is_rightly_outlined_nowhere_has_no_dice():
    store, arm = Balls(2), plan_of().arms[0]
    store.masks[1][store.masks[1] == 7] = 3
    figures = dice_of_cases(Nothing(), store, [0, 1], (3, 7), arm, CPU)
    assert figures[0].tolist() == [0, 0]
    assert figures[1, 0] == 0
    assert np.isnan(figures[1, 1])
    assert validation_dice(Nothing(), store, [0, 1], (3, 7), arm, CPU) == 0
