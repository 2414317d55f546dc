"""A network with a fixed window over a whole volume: overlapping windows, Gaussian weights, memory that is bounded.

What is held besides the image and the result, which is added to in place, is one batch of windows: about
``4 * batch * (C + 3 * L) * voxels of the window`` bytes and what the engine itself needs for it. No array of weights
over the volume exists: windows lie on a product of positions and a Gaussian is a product over axes, so the sum of the
weights that reach a voxel is a product too, and each window's weights are divided by it beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, islice, product

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Run = Callable[[Float32], Float32]

SIGMA = 0.125
"""Standard deviation of the weights as a share of the window's side (Isensee et al., Nature Methods 18:203, 2021)."""
VOXELS_A_BATCH = 1 << 18
"""A batch holds about this many voxels of one channel: many slices, or one window of 64 x 64 x 64."""


def starts(size: int, window: int, overlap: float) -> list[int]:
    """Return where windows begin along one axis: evenly spread, at least `overlap` of neighbours shared.

    Parameters
    ----------
    size, window
        Voxels of the axis, at least `window`, and of the window.
    overlap
        From 0 to below 1.
    """
    step = max(window * (1 - overlap), 1.0)
    count = int(np.ceil((size - window) / step)) + 1
    return [round(float(at)) for at in np.linspace(0, size - window, count)]


def axis_weights(size: int, window: int, overlap: float) -> tuple[list[int], Float32]:
    """Return the starts along one axis and each window's weights, which sum to 1 at every voxel of the axis.

    Returns
    -------
    tuple
        The starts, and float32 ``(windows, window)``.
    """
    at = starts(size, window, overlap)
    middle = (window - 1) / 2
    bell = np.exp(-0.5 * ((np.arange(window) - middle) / (SIGMA * window)) ** 2)
    total = np.zeros(size)
    for start in at:
        total[start : start + window] += bell
    return at, np.stack([bell / total[start : start + window] for start in at]).astype(np.float32)


def sliding_window(
    run: Run,
    image: Float32,
    patch: Sequence[int],
    *,
    overlap: float = 0.5,
    mirror: Sequence[int] = (),
    batch: int | None = None,
    out: Float32 | None = None,
    share: float = 1.0,
) -> Float32:
    """Return a network's probabilities for every voxel of a volume.

    Parameters
    ----------
    run
        Logits float32 ``(N, L, *patch)`` of windows float32 ``(N, C, *patch)``.
    image
        float32 ``(C, D, H, W)``. Where it is smaller than the window it is padded by zeros about its middle.
    patch
        Three sides ``(D, H, W)``, or two ``(H, W)``: the network then sees slice by slice.
    overlap
        Share of a window that its neighbour also covers, along each axis of `patch`.
    mirror
        Axes of `patch`, counted from 0, along which windows are also mirrored; the mean over all ``2 ** n``
        combinations is taken.
    batch
        Windows given to `run` at once; None: as many as hold `VOXELS_A_BATCH` voxels.
    out, share
        An array float32 ``(L, D, H, W)`` to which ``share`` times the probabilities are added, so that the mean over
        members needs no second array. None: a new one.

    Returns
    -------
    numpy.ndarray
        float32 ``(L, D, H, W)``: softmax of each window, averaged with Gaussian weights; sums to `share` over L.

    Raises
    ------
    ValueError
        When shapes, the overlap or the axes do not fit, or `run` answers another shape.
    """
    flat = len(patch) == 2
    window = (1, *patch) if flat else tuple(patch)
    if image.ndim != 4 or image.dtype != np.float32 or len(window) != 3 or min(image.shape) < 1:
        raise ValueError(f"an image float32 (C, D, H, W) and 2 or 3 sides are wanted, got {image.shape} and {patch}")
    if not 0 <= overlap < 1 or any(axis not in range(len(patch)) for axis in mirror):
        raise ValueError(f"an overlap of {overlap} or mirroring along {tuple(mirror)} is not possible")
    image, inner = _padded(image, window)
    axes = [axis_weights(size, side, overlap) for size, side in zip(image.shape[1:], window, strict=True)]
    flips = [axes_ for n in range(len(mirror) + 1) for axes_ in combinations([axis + 2 for axis in mirror], n)]
    places = product(*[range(len(at)) for at, _ in axes])
    n = batch or max(1, VOXELS_A_BATCH // int(np.prod(window)))
    while group := list(islice(places, n)):
        windows = np.stack([image[(slice(None), *_cut(axes, window, place))] for place in group])
        given = windows[:, :, 0] if flat else windows
        p = _mirrored(run, np.ascontiguousarray(given), flips)
        if flat:
            p = p[:, :, None]
        if out is None:
            out = np.zeros((p.shape[1], *(part.stop - part.start for part in inner)), np.float32)
        _add(out, p, group, axes, window, inner, share / len(flips))
    if out is None:  # the loop runs at least once; this tells the type checker so
        raise ValueError("an image without voxels")
    return out


def _padded(image: Float32, window: Sequence[int]) -> tuple[Float32, tuple[slice, ...]]:
    """Return the image at least as large as the window, and where the original lies in it."""
    short = [max(0, side - size) for size, side in zip(image.shape[1:], window, strict=True)]
    before = [(missing // 2, missing - missing // 2) for missing in short]
    inner = tuple(slice(low, low + size) for (low, _), size in zip(before, image.shape[1:], strict=True))
    return (np.pad(image, ((0, 0), *before)) if any(short) else image), inner


def _cut(axes: list[tuple[list[int], Float32]], window: Sequence[int], place: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(at[k], at[k] + side) for (at, _), side, k in zip(axes, window, place, strict=True))


def _mirrored(run: Run, windows: Float32, flips: Sequence[tuple[int, ...]]) -> Float32:
    """Return the sum over mirrored copies of the softmax, ``(N, L, *patch)``."""
    total: Float32 | None = None
    for flip in flips:
        given = np.ascontiguousarray(np.flip(windows, flip)) if flip else windows
        logits = run(given)
        if logits.ndim != windows.ndim or (len(logits), *logits.shape[2:]) != (len(windows), *windows.shape[2:]):
            raise ValueError(f"the network answers {logits.shape} to windows {windows.shape}")
        p = softmax(logits)
        p = np.flip(p, flip) if flip else p
        total = p if total is None else np.add(total, p, out=total)
    if total is None:
        raise ValueError("no way to look at a window")
    return total


def softmax(logits: Float32) -> Float32:
    """Return the softmax over axis 1 as a new float32 array; a logit that is no number stays none."""
    p = logits - logits.max(axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
    return np.asarray(p, dtype=np.float32)


def _add(
    out: Float32,
    p: Float32,
    group: Sequence[tuple[int, ...]],
    axes: list[tuple[list[int], Float32]],
    window: Sequence[int],
    inner: tuple[slice, ...],
    share: float,
) -> None:
    """Add the weighted windows to `out`, leaving away what lies in the padding."""
    for one, place in zip(p, group, strict=True):
        parts = list(_overlap(axes, window, place, inner))
        here = one[(slice(None), *(own for own, _ in parts))]
        wd, wh, ww = (weights[k][own] for (_, weights), k, (own, _) in zip(axes, place, parts, strict=True))
        weights = (np.float32(share) * wd)[:, None, None] * wh[:, None] * ww
        out[(slice(None), *(there for _, there in parts))] += here * weights


def _overlap(
    axes: list[tuple[list[int], Float32]], window: Sequence[int], place: Sequence[int], inner: tuple[slice, ...]
) -> Iterator[tuple[slice, slice]]:
    """Yield, axis by axis, the part of the window inside the original image, and where that is in the result."""
    for (at, _), side, k, part in zip(axes, window, place, inner, strict=True):
        low, high = max(at[k], part.start), min(at[k] + side, part.stop)
        yield slice(low - at[k], high - at[k]), slice(low - part.start, high - part.start)
