"""Which pictures of a case a network looks at one by one, and which of them are pooled with one another."""

from __future__ import annotations

from collections.abc import Sequence


def middles(depth: int, most: int) -> list[int]:
    """Return the slices in the middle of at most `most` equal parts of a volume's depth; all when they are few."""
    count = min(depth, most)
    return [int((number + 0.5) * depth / count) for number in range(count)]


def pools(groups: int, kinds: int, counts: Sequence[int], *, images: bool, axes: bool) -> list[list[int]]:
    """Return the places of the pictures that are pooled with one another, one list a pool.

    Pictures are read axis by axis, along each group by group, of each kind by kind, of each slice by slice.

    Parameters
    ----------
    groups, kinds
        Frames or views of a case; channels that are seen each for itself, which are never pooled with one another.
    counts
        Pictures along each axis.
    images, axes
        Whether groups, and axes, are apart.
    """
    found: dict[tuple[int, int, int], list[int]] = {}
    place = 0
    for axis, count in enumerate(counts):
        for group in range(groups):
            for kind in range(kinds):
                key = (group if images else 0, kind, axis if axes else 0)
                found.setdefault(key, []).extend(range(place, place + count))
                place += count
    return [found[key] for key in sorted(found)]
