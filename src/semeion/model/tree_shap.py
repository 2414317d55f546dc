"""What each feature added to what trees say of a case: exact Shapley values, in numpy.

The value of a set of features is what the trees say on average over the learning cases when only these are known: at a
split on another feature both ways are gone, weighed by the shares of the learning cases that went there (the
path-dependent form of Lundberg et al., Nat Mach Intell 2:56-67, 2020, "From local explanations to global understanding
with explainable AI for trees", algorithm 1). With the average over all they sum to what is said of the case.

Leaves are taken one by one (as in Mitchell, Frank and Holmes, PeerJ Comput Sci 8:e880, 2022, "GPUTreeShap"). Of a leaf
whose path asks the features j, each let through by the case (``o_j`` of 0 or 1) or by the share ``z_j`` of the learning
cases, the Shapley value of feature i is ::

    value (o_i - z_i) sum over S without i of |S|! (d - |S| - 1)! / d! prod_{j in S} o_j prod_{j not in S} z_j
    = value (o_i - z_i) integral over t from 0 to 1 of prod_{j != i} (z_j + (o_j - z_j) t) dt

since the weights are beta functions. The integrand is a polynomial of degree d - 1, so that Gauss-Legendre quadrature
with d / 2 points is exact, and all its terms are positive, so that no digits are lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MAX_STEPS = 4_000_000
"""Most steps from leaves to their roots, all together, that are looked at: they take up to half a gibibyte."""
MAX_ASKED = 128
"""Most different features on the way to one leaf."""
_QUESTIONS = 1 << 17
"""Questions of a block, about."""
_AT_ONCE = 1 << 21
"""Numbers of one step of the computation, about."""


@dataclass(frozen=True)
class Block:
    """Leaves that are looked at together: E questions, those of one leaf after one another.

    Attributes
    ----------
    asks, low, high, share
        ``(E,)``: the feature of each question; a case passes it when its value is above `low` and at most `high`, and
        `share` of the learning cases do. A feature is asked once a leaf.
    first, value
        ``(L,)`` and ``(L, K)``: the first question of each leaf, and what the leaf says.
    leaf
        ``(E,)``: number of the leaf in the block.
    order, starts, features
        The questions sorted by feature, where each feature begins among these, and which it is.
    """

    asks: Ints
    low: Floats
    high: Floats
    share: Floats
    first: Ints
    value: Floats
    leaf: Ints
    order: Ints
    starts: Ints
    features: Ints


@dataclass(frozen=True)
class Paths:
    """All leaves of some trees.

    Attributes
    ----------
    start
        ``(K,)``: what the trees say on average over the learning cases.
    blocks
        The leaves below a split.
    asked
        Most different features on the way to one leaf.
    """

    start: Floats
    blocks: tuple[Block, ...]
    asked: int


def paths_of(
    feature: Ints, threshold: Floats, left: Ints, right: Ints, share: Floats, value: Floats, leaf: int = -1
) -> Paths | None:
    """Return the paths to the leaves of trees; None where they are too many or too long for memory.

    Parameters
    ----------
    feature, threshold, left, right
        Of every node, see :class:`semeion.model.trees.Trees`; every node has one parent, or is a root.
    share
        Of every inner node: share of the learning cases there that went left, between 0 and 1.
    value
        ``(nodes, K)``; only the leaves' counts.
    leaf
        The feature number of a leaf.
    """
    nodes = np.arange(len(feature))
    inner = nodes[feature != leaf]
    parent = np.full(len(feature), -1)
    parent[left[inner]] = parent[right[inner]] = inner
    leaves = nodes[feature == leaf]
    steps: list[tuple[Ints, Ints, Ints]] = []
    path, node, count = np.arange(len(leaves)), leaves, 0
    while len(node):
        up = parent[node]
        path, node, up = path[up >= 0], node[up >= 0], up[up >= 0]
        count += len(node)
        if count > MAX_STEPS:
            return None
        steps.append((path, node, up))
        node = up
    of, child, asked_at = (np.concatenate(part) for part in zip(*steps, strict=True))
    went_left = left[asked_at] == child
    limit, asks = threshold[asked_at], feature[asked_at]
    order = np.lexsort((asks, of))
    of, asks = of[order], asks[order]
    new = np.flatnonzero(np.r_[True, (of[1:] != of[:-1]) | (asks[1:] != asks[:-1])][: len(of)])
    if not len(new):
        return Paths(np.asarray(value[leaves].sum(axis=0)), (), 0)
    passed = np.where(went_left, share[asked_at], 1 - share[asked_at])[order]
    low = np.maximum.reduceat(np.where(went_left, -np.inf, limit)[order], new)
    high = np.minimum.reduceat(np.where(went_left, limit, np.inf)[order], new)
    passed = np.maximum(np.multiply.reduceat(passed, new), 1e-300)
    of, asks = of[new], asks[new]
    asked = int(np.bincount(of).max())
    if asked > MAX_ASKED:
        return None
    weight = np.ones(len(leaves))
    begins = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
    weight[of[begins]] = np.multiply.reduceat(passed, begins)
    start = np.asarray(weight @ value[leaves], dtype=np.float64)
    each = max(1, _QUESTIONS // asked)
    blocks = []
    for a, b in pairwise([*range(0, len(begins), each), len(begins)]):
        here = slice(int(begins[a]), int(begins[b]) if b < len(begins) else len(of))
        own = begins[a:b] - here.start
        by_feature = np.argsort(asks[here], kind="stable")
        sorted_asks = asks[here][by_feature]
        starts = np.flatnonzero(np.r_[True, sorted_asks[1:] != sorted_asks[:-1]])
        leaf_of = np.repeat(np.arange(b - a), np.diff(np.r_[own, here.stop - here.start]))
        said = value[leaves[of[begins[a:b]]]]
        blocks.append(
            Block(
                *(asks[here], low[here], high[here], passed[here], own, said, leaf_of),
                *(by_feature, starts, sorted_asks[starts]),
            )
        )
    return Paths(start, tuple(blocks), asked)


def shapley_values(paths: Paths, table: Floats, outputs: int) -> Floats:
    """Return the Shapley value of every feature, ``(N, F, K)``, of cases ``(N, F)`` without missing values.

    With :attr:`Paths.start` they sum to what the leaves say of the case, all added up.
    """
    added = np.zeros((*table.shape, outputs))
    if not paths.blocks:
        return added
    place, weight = np.polynomial.legendre.leggauss((paths.asked + 1) // 2)
    t = (place + 1)[:, None, None] / 2
    # scikit-learn compares values as float32 with thresholds as float64.
    values = table.astype(np.float32).astype(np.float64)
    for block in paths.blocks:
        together = max(1, _AT_ONCE // (len(block.asks) * len(t)))
        for row in range(0, len(values), together):
            own = values[row : row + together, block.asks]
            passes = ((own > block.low) & (own <= block.high)) - block.share
            factor = block.share + passes * t  # (points, cases, questions), above 0
            whole = np.multiply.reduceat(factor, block.first, axis=2)[:, :, block.leaf]
            mean = np.tensordot(weight / 2, whole / factor, axes=1) * passes
            for output in range(outputs):
                parts = (mean * block.value[block.leaf, output])[:, block.order]
                added[row : row + together, block.features, output] += np.add.reduceat(parts, block.starts, axis=1)
    return added
