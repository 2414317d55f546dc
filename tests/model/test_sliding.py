from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.model.sliding import axis_weights, sliding_window, softmax, starts


def pointwise(windows: np.ndarray) -> np.ndarray:
    """A network that looks at one voxel only: its answer must not depend on windows, weights or mirroring."""
    total = windows.sum(axis=1)
    return np.stack([total, 1 - total, 0.5 * total**2], axis=1).astype(np.float32)


def image(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 14), st.integers(1, 14), st.integers(1, 14)),
    patch=st.lists(st.integers(1, 8), min_size=2, max_size=3),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    mirror=st.sets(st.integers(0, 1)),
    batch=st.integers(1, 5),
)
def test_a_network_of_single_voxels_is_returned_as_it_is(shape, patch, overlap, mirror, batch):
    x = image(shape)
    p = sliding_window(pointwise, x, patch, overlap=overlap, mirror=sorted(mirror), batch=batch)
    assert p.shape == (3, *shape[1:])
    np.testing.assert_allclose(p, softmax(pointwise(x[None]))[0], atol=2e-6)


@given(size=st.integers(1, 300), window=st.integers(1, 80), overlap=st.floats(0, 0.9))
def test_windows_cover_every_voxel_and_share_at_least_the_overlap(size, window, overlap):
    size = max(size, window)
    at, weights = axis_weights(size, window, overlap)
    assert at[0] == 0
    assert at[-1] == size - window
    assert max(np.diff(at), default=0) <= max(window * (1 - overlap), 1) + 1  # starts are rounded to voxels
    total = np.zeros(size)
    for start, own in zip(at, weights, strict=True):
        total[start : start + window] += own
    np.testing.assert_allclose(total, 1, rtol=1e-5)
    assert (weights > 0).all()


def test_one_window_where_one_is_enough():
    assert starts(48, 48, 0.5) == [0]
    assert starts(96, 48, 0.5) == [0, 24, 48]


def test_the_middle_of_a_window_counts_most():
    """Two windows disagree; halfway between their middles both count the same, at a middle nearly one alone."""
    calls = iter([0.0, 20.0])

    def run(windows):
        own = np.full((1, 1, *windows.shape[2:]), next(calls), np.float32)
        return np.concatenate([np.zeros_like(own), own], axis=1)

    p = sliding_window(run, np.zeros((1, 1, 1, 24), np.float32), (1, 1, 16), batch=1)[1, 0, 0]
    np.testing.assert_allclose(p[:8], 0.5, atol=1e-6)
    np.testing.assert_allclose(p[16:], 1, atol=1e-6)
    assert p[8] < 0.51
    assert p[15] > 0.99
    assert (np.diff(p[8:16]) > 0).all()


def test_it_agrees_with_monai_on_the_same_network():
    torch = pytest.importorskip("torch")
    from monai.inferers import SlidingWindowInferer

    torch.manual_seed(0)
    net = torch.nn.Conv3d(2, 3, (1, 1, 3), padding=(0, 0, 1)).eval()
    x = image((2, 3, 4, 40))

    def run(windows):
        with torch.inference_mode():
            return net(torch.from_numpy(windows)).numpy()

    # Along one axis no weight falls below the thousandth to which MONAI lifts small weights.
    ours = sliding_window(run, x, (1, 1, 8), overlap=0.5)
    with torch.inference_mode():
        theirs = SlidingWindowInferer((1, 1, 8), 2, 0.5, mode="gaussian")(
            torch.from_numpy(x[None]), lambda windows: torch.softmax(net(windows), 1)
        )[0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_members_are_averaged_in_one_array():
    x = image((1, 6, 9, 9))
    out = sliding_window(pointwise, x, (4, 4), share=0.5)
    same = sliding_window(lambda w: -pointwise(w), x, (4, 4, 4), share=0.5, out=out)
    assert same is out
    wanted = (softmax(pointwise(x[None])) + softmax(-pointwise(x[None])))[0] / 2
    np.testing.assert_allclose(out, wanted, atol=2e-6)


def test_slices_go_through_a_flat_network_in_batches():
    seen = []

    def run(windows):
        seen.append(windows.shape)
        return pointwise(windows)

    sliding_window(run, image((1, 7, 8, 8)), (8, 8), batch=4)
    assert seen == [(4, 1, 8, 8), (3, 1, 8, 8)]


def test_mirroring_looks_from_every_side():
    seen = []

    def run(windows):
        seen.append(windows[0, 0].copy())
        return pointwise(windows)

    x = image((1, 3, 3, 3))
    sliding_window(run, x, (3, 3, 3), mirror=(0, 2))
    assert len(seen) == 4
    for axes in ((), (0,), (2,), (0, 2)):
        assert any(np.array_equal(np.flip(x[0], axes), one) for one in seen)


def test_memory_is_the_result_and_one_batch():
    x = image((1, 64, 64, 64))

    def peak(patch):
        tracemalloc.start()
        sliding_window(pointwise, x, patch, batch=1)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    result, window = 3 * x.nbytes, 16**3 * 4
    assert peak((16, 16, 16)) < result + (1 + 6 * 3) * window


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": (4,)}, "2 or 3 sides"),
        ({"image": np.zeros((4, 4, 4), np.float32)}, r"\(C, D, H, W\)"),
        ({"image": np.zeros((1, 4, 4, 4))}, "float32"),
        ({"overlap": 1.0}, "an overlap of 1.0"),
        ({"patch": (4, 4), "mirror": (2,)}, r"mirroring along \(2,\)"),
        ({"run": lambda w: pointwise(w)[..., 1:]}, "the network answers"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"run": pointwise, "image": np.zeros((1, 4, 4, 4), np.float32), "patch": (4, 4, 4)} | change
    with pytest.raises(ValueError, match=message):
        sliding_window(given.pop("run"), given.pop("image"), given.pop("patch"), **given)
