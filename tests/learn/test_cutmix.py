from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.tiny import plan_of, same, train
from semeion.learn import cutmix

SIZES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 12)),
)


def test_no_paste_draws_nothing():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert cutmix.draw(0.0, 8, (28, 28), rng) is None
    # A plan without it repeats the weights that it gave before it could be asked for.
    assert rng.bit_generator.state == before


@settings(deadline=None)
@given(SIZES, st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_the_share_of_the_label_is_the_area_that_is_kept(size, seed, batch):
    paste = cutmix.draw(1.0, batch, size, np.random.default_rng(seed))
    assert paste is not None
    # Every image is one number throughout, so that what came from whom can be counted.
    images = torch.arange(1.0, batch + 1).view(batch, 1, *[1] * len(size)).expand(batch, 2, *size)
    mixed = cutmix.pasted(images, paste)
    assert sorted(paste.other) == list(range(batch))
    for row, other in enumerate(paste.other):
        own = float((mixed[row] == row + 1).float().mean())
        if other == row:
            assert own == 1
        else:
            assert own == pytest.approx(paste.share, abs=1e-6)
            assert float((mixed[row] == other + 1).float().mean()) == pytest.approx(1 - paste.share, abs=1e-6)
    assert (paste.blend.share, paste.blend.other.tolist()) == (paste.share, paste.other.tolist())


def test_the_same_seed_pastes_the_same():
    images = torch.rand(6, 1, 12, 16)
    one, other = (
        cutmix.pasted(images, cutmix.draw(1.0, 6, (12, 16), np.random.default_rng([7, 3, 11]))) for _ in range(2)
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, images)
    assert cutmix.pasted(images, None) is images


def test_shares_and_places_are_drawn_evenly():
    rng = np.random.default_rng(2)
    drawn = [cutmix.draw(0.5, 2, (64, 64), rng) for _ in range(4000)]
    pastes = [one for one in drawn if one is not None]
    assert 1880 < len(pastes) < 2120
    # Cut off at the edges, a box of mean area 0.5 keeps less: the mean share is above a half.
    assert 0.55 < np.mean([one.share for one in pastes]) < 0.75
    rows = np.zeros(64)
    for one in pastes:
        rows[one.box[0]] += 1
    assert all(abs(before - after) < 120 for before, after in pairwise(rows)), "no place is left out"


def test_a_member_that_learns_with_it_is_repeated_and_another_one(tmp_path):
    plain, pasted, again = (
        train(plan_of(steps=8, cutmix=share), tmp_path / name) for name, share in (("a", 0.0), ("b", 0.7), ("c", 0.7))
    )
    assert same(pasted, again)
    assert not same(plain, pasted)


def test_a_batch_is_mixed_in_one_way_alone(tmp_path):
    both = train(plan_of(steps=8, cutmix=1.0, mixup=1.0), tmp_path / "both")
    assert same(both, train(plan_of(steps=8, cutmix=1.0), tmp_path / "pasted"))
