"""Trees that ship as plain arrays and are evaluated in numpy, with what each measurement added to a finding.

A forest's probability is the mean of its trees' leaves; boosted trees add up to logits. Both are one list of nodes,
so that a shipped model needs no training package and a person can read every threshold.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from semeion.model.tree_shap import Paths, paths_of, shapley_values

Floats = npt.NDArray[np.float64]

MAX_NODES = 2_000_000
MAX_FEATURES = 5_000
LEAF = -1
"""Feature number of a leaf."""
LEAST_SHARE = 1e-9
"""Smallest share of the learning cases that goes left at a split."""

Name = Annotated[str, Field(min_length=1, max_length=200)]


class Trees(BaseModel):
    """A forest or a sequence of boosted trees over named measurements.

    Attributes
    ----------
    features
        Names of the measurements, in the order of the columns.
    fill
        What stands for a measurement that could not be taken: its median over the learning cases.
    outputs
        Number of classes K.
    link
        ``mean``: the mean over trees is a probability. ``softmax``: `base` and the sum over trees are logits.
        ``identity``: they are the measured value itself.
    base
        Logits (or value) before any tree; empty for ``mean``.
    roots
        First node of each tree.
    feature, threshold, left, right
        Of every node: a case goes left when its value, as float32, is at most `threshold`; `feature` is -1 in a leaf.
        Children stand after their parent.
    value
        Of every node, K numbers: what a tree would say if it ended here.
    share
        Of every node, the share of the learning cases in it that went left, 0 in a leaf (needed for the contributions);
        empty in models of before it was kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    features: Annotated[list[Name], Field(min_length=1, max_length=MAX_FEATURES)]
    fill: list[float]
    outputs: Annotated[int, Field(ge=1, le=1000)]
    link: Literal["mean", "softmax", "identity"]
    base: list[float] = []
    roots: Annotated[list[int], Field(min_length=1, max_length=100_000)]
    feature: Annotated[list[int], Field(min_length=1, max_length=MAX_NODES)]
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[list[float]]
    share: list[Annotated[float, Field(ge=0, lt=1)]] = []

    @model_validator(mode="after")
    def _sound(self) -> Trees:
        n = len(self.feature)
        if not all(len(part) == n for part in (self.threshold, self.left, self.right, self.value)):
            raise ValueError("the lists of nodes differ in length")
        if len(self.fill) != len(self.features) or len(set(self.features)) != len(self.features):
            raise ValueError("features and fill do not fit, or a feature is named twice")
        if self.link != "mean" and len(self.base) != self.outputs:
            raise ValueError("base must hold one logit an output")
        if any(not 0 <= root < n for root in self.roots) or any(len(row) != self.outputs for row in self.value):
            raise ValueError("a root or a value is out of range")
        for node, (feature, left, right) in enumerate(zip(self.feature, self.left, self.right, strict=True)):
            if feature == LEAF:
                continue
            # Children after their parent: a walk always ends, whatever a damaged file says.
            if not (0 <= feature < len(self.features) and node < left < n and node < right < n):
                raise ValueError(f"node {node} leads nowhere")
        if self.share:
            self._refuse_no_trees()
        return self

    def _refuse_no_trees(self) -> None:
        """Refuse shares that do not fit, and nodes that are reached by two ways or by none."""
        if len(self.share) != len(self.feature):
            raise ValueError("the lists of nodes differ in length")
        children = [
            child
            for at, sides in zip(self.feature, zip(self.left, self.right, strict=True), strict=True)
            if at != LEAF
            for child in sides
        ]
        if sorted([*children, *self.roots]) != list(range(len(self.feature))):
            raise ValueError("a node has two parents, or none and is no root")
        if any(at != LEAF and share < LEAST_SHARE for at, share in zip(self.feature, self.share, strict=True)):
            raise ValueError("no learning case went left at a split")


class TreeMember:
    """Trees ready to judge; see :class:`Trees`."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self._feature = np.array(trees.feature, dtype=np.int64)
        self._threshold = np.array(trees.threshold, dtype=np.float64)
        self._children = np.array([trees.right, trees.left], dtype=np.int64)
        self._value = np.array(trees.value, dtype=np.float64)
        self._roots = np.array(trees.roots, dtype=np.int64)
        self._fill = np.array(trees.fill, dtype=np.float64)

    def filled(self, x: npt.ArrayLike) -> Floats:
        """Return measurements ``(N, F)`` with `fill` in place of missing ones."""
        table = np.asarray(x, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != len(self._fill):
            raise ValueError(f"measurements of shape {table.shape} do not fit {len(self._fill)} features")
        return np.where(np.isfinite(table), table, self._fill)

    def probabilities(self, x: npt.ArrayLike) -> Floats:
        """Return class probabilities (``identity``: values) ``(N, K)`` of measurements ``(N, F)``.

        NaN marks a measurement that could not be taken.
        """
        table = self.filled(x)
        node = np.repeat(self._roots[None], len(table), axis=0)
        while (inner := self._feature[node] != LEAF).any():
            node = np.where(inner, self._next(table, node), node)
        return self._linked(self._value[node].sum(axis=1))

    @cached_property
    def _paths(self) -> Paths | None:
        """The ways to the leaves; None of a model that does not hold the shares, or of trees that are too large."""
        if not self.trees.share:
            return None
        right, left = self._children
        share = np.minimum(np.array(self.trees.share), 1 - LEAST_SHARE)
        return paths_of(self._feature, self._threshold, left, right, share, self._value, LEAF)

    @property
    def credits(self) -> Literal["shapley", "path"]:
        """How :meth:`contributions` credits measurements."""
        return "path" if self._paths is None else "shapley"

    def contributions(self, x: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Say what each measurement added: its Shapley value, see :mod:`semeion.model.tree_shap`.

        Models of before shares were kept, and trees too large for that, are credited by the path: every split on a
        case's way moves a tree's value from the node's to the child's, and the step is credited to the measurement that
        was asked (Saabas, 2014; Palczewska et al., 2014, "Interpreting random forest classification models using a
        feature contribution method"). :attr:`credits` says which.

        Returns
        -------
        start
            ``(K,)``: what the trees say before any measurement; probabilities, or logits for ``softmax``.
        added
            ``(N, F, K)``: with `start` they sum exactly to probabilities (``mean``), logits (``softmax``) or values.
        """
        table = self.filled(x)
        scale = 1.0 / len(self._roots) if self.trees.link == "mean" else 1.0
        if self._paths is None:
            start, added = self._value[self._roots].sum(axis=0), self._by_path(table)
        else:
            start, added = self._paths.start, shapley_values(self._paths, table, self.trees.outputs)
        base = 0.0 if self.trees.link == "mean" else np.array(self.trees.base)
        return np.asarray(scale * start + base), scale * added

    def _by_path(self, table: Floats) -> Floats:
        rows = np.arange(len(table))
        added = np.zeros((len(table), table.shape[1], self.trees.outputs))
        node = np.repeat(self._roots[None], len(table), axis=0)
        while (inner := self._feature[node] != LEAF).any():
            following = np.where(inner, self._next(table, node), node)
            step = self._value[following] - self._value[node]
            for tree in np.flatnonzero(inner.any(axis=0)):
                moved = inner[:, tree]
                np.add.at(added, (rows[moved], self._feature[node[moved, tree]]), step[moved, tree])
            node = following
        return added

    def _next(self, table: Floats, node: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        asked = np.maximum(self._feature[node], 0)
        # scikit-learn compares values as float32 with thresholds as float64.
        value = np.take_along_axis(table, asked, axis=1).astype(np.float32)
        return self._children[(value <= self._threshold[node]).astype(np.int64), node]

    def _linked(self, total: Floats) -> Floats:
        if self.trees.link == "mean":
            return total / len(self._roots)
        logits = total + np.array(self.trees.base)
        if self.trees.link == "identity":
            return np.asarray(logits, dtype=np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
