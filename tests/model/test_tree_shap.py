"""Shapley values of trees against their definition, over all subsets of the features."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from semeion.model import tree_shap
from semeion.model.trees import LEAF, TreeMember, Trees


def grown(rng, features, depth, outputs):
    """Return the lists of nodes of a random tree, children after their parents."""
    nodes = {name: [] for name in ("feature", "threshold", "left", "right", "value", "share")}

    def grow(left):
        at = len(nodes["feature"])
        inner = left > 0 and rng.random() < 0.8
        nodes["feature"].append(int(rng.integers(features)) if inner else LEAF)
        nodes["threshold"].append(float(np.round(rng.normal(), 2)))
        nodes["share"].append(float(rng.uniform(0.05, 0.95)) if inner else 0.0)
        nodes["value"].append(rng.normal(size=outputs).tolist())
        nodes["left"].append(0)
        nodes["right"].append(0)
        if inner:
            nodes["left"][at] = grow(left - 1)
            nodes["right"][at] = grow(left - 1)
        return at

    grow(depth)
    return nodes


def forest(seed, features, depth, trees, outputs=2, link="softmax"):
    rng, roots = np.random.default_rng(seed), []
    nodes = {name: [] for name in ("feature", "threshold", "left", "right", "value", "share")}
    for _ in range(trees):
        start = len(nodes["feature"])
        roots.append(start)
        own = grown(rng, features, depth, outputs)
        for name in ("left", "right"):
            own[name] = [child + start if child else 0 for child in own[name]]
        for name, values in own.items():
            nodes[name] += values
    base = [] if link == "mean" else [0.25] * outputs
    names = [f"f{number}" for number in range(features)]
    return Trees.model_validate(
        {"features": names, "fill": [0.0] * features, "outputs": outputs, "link": link, "base": base, "roots": roots}
        | nodes
    )


def expected(trees, x, known, node):
    """Return what a tree says when only the features in `known` are known; others go both ways."""
    if trees.feature[node] == LEAF:
        return np.array(trees.value[node])
    left, right = trees.left[node], trees.right[node]
    if trees.feature[node] in known:
        went_left = float(np.float32(x[trees.feature[node]])) <= trees.threshold[node]
        return expected(trees, x, known, left if went_left else right)
    share = trees.share[node]
    return share * expected(trees, x, known, left) + (1 - share) * expected(trees, x, known, right)


def by_definition(trees, x):
    """Return ``(F, K)``: every feature's mean gain over all orders (Shapley, 1953)."""
    count = len(trees.features)
    worth = {
        known: sum(expected(trees, x, known, root) for root in trees.roots)
        for size in range(count + 1)
        for known in combinations(range(count), size)
    }
    out = np.zeros((count, trees.outputs))
    for feature in range(count):
        for known in worth:
            if feature not in known:
                share = factorial(len(known)) * factorial(count - len(known) - 1) / factorial(count)
                out[feature] += share * (worth[tuple(sorted((*known, feature)))] - worth[known])
    return out, worth[()]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(0, 6), st.integers(1, 3))
def test_they_are_those_of_the_definition(seed, features, depth, count):
    trees = forest(seed, features, depth, count)
    x = np.random.default_rng(seed + 1).normal(size=(3, features)).round(2)
    start, added = TreeMember(trees).contributions(x)
    for row, case in enumerate(x):
        wanted, nothing_known = by_definition(trees, case)
        assert np.allclose(added[row], wanted, atol=1e-12)
        assert np.allclose(start, nothing_known + 0.25, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["mean", "softmax", "identity"]))
def test_with_the_expectation_they_sum_to_what_is_said(seed, link):
    trees = forest(seed, 12, 9, 5, link=link)
    member = TreeMember(trees)
    x = np.random.default_rng(seed + 1).normal(size=(7, 12))
    x[0, 3] = np.nan
    start, added = member.contributions(x)
    total = start + added.sum(axis=1)
    if link == "softmax":
        total = np.exp(total) / np.exp(total).sum(axis=1, keepdims=True)
    assert np.allclose(total, member.probabilities(x), atol=1e-9)
    assert member.credits == "shapley"


def test_leaves_looked_at_in_parts_say_the_same(monkeypatch):
    x = np.random.default_rng(0).normal(size=(9, 6))
    whole = TreeMember(forest(3, 6, 7, 4)).contributions(x)[1]
    monkeypatch.setattr(tree_shap, "_QUESTIONS", 20)
    monkeypatch.setattr(tree_shap, "_AT_ONCE", 50)
    assert np.allclose(TreeMember(forest(3, 6, 7, 4)).contributions(x)[1], whole, atol=1e-14)


def test_a_feature_that_is_never_asked_added_nothing_and_equal_ones_the_same():
    both = {"feature": [0, 1, LEAF, LEAF, 1, LEAF, LEAF], "threshold": [0.0] * 7, "share": [0.5, 0.5, 0, 0, 0.5, 0, 0]}
    tree = {"left": [1, 2, 0, 0, 5, 0, 0], "right": [4, 3, 0, 0, 6, 0, 0]}
    value = [[0.0], [0.0], [0.0], [0.0], [0.0], [0.0], [8.0]]
    trees = {"features": ["a", "b", "c"], "fill": [0.0] * 3, "outputs": 1, "link": "identity", "base": [0.0]}
    member = TreeMember(Trees.model_validate({**trees, "roots": [0], **both, **tree, "value": value}))
    start, added = member.contributions([[1.0, 1.0, 1.0]])
    # Both must be above 0 to say 8; on average a quarter of the cases are.
    assert start.tolist() == [2.0]
    assert np.allclose(added[0, :, 0], [3.0, 3.0, 0.0])


def test_trees_too_large_for_memory_or_without_shares_are_credited_by_the_path(monkeypatch):
    trees = forest(1, 4, 5, 3)
    x = np.random.default_rng(2).normal(size=(4, 4))
    old = TreeMember(trees.model_copy(update={"share": []}))
    assert old.credits == "path"
    start, added = old.contributions(x)
    total = np.exp(start + added.sum(axis=1))
    assert np.allclose(total / total.sum(axis=1, keepdims=True), old.probabilities(x))
    monkeypatch.setattr(tree_shap, "MAX_STEPS", 10)
    assert TreeMember(trees).credits == "path"
    monkeypatch.undo()
    monkeypatch.setattr(tree_shap, "MAX_ASKED", 1)
    assert TreeMember(trees).credits == "path"


STUMP = {
    "features": ["a"],
    "fill": [0.0],
    "outputs": 1,
    "link": "identity",
    "base": [0.0],
    "roots": [0],
    "feature": [0, LEAF, LEAF],
    "threshold": [0.0, 0.0, 0.0],
    "left": [1, 0, 0],
    "right": [2, 0, 0],
    "value": [[0.0], [1.0], [2.0]],
    "share": [0.5, 0.0, 0.0],
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"share": [0.5]}, "the lists of nodes differ in length"),
        ({"share": [0.0, 0.0, 0.0]}, "no learning case went left"),
        ({"share": [1.0, 0.0, 0.0]}, "less than 1"),
        ({"share": [-0.5, 0.0, 0.0]}, "greater than or equal to 0"),
        ({"right": [1, 0, 0]}, "two parents"),
        ({"roots": [0, 2]}, "two parents"),
        ({"roots": [0, 0]}, "two parents"),
    ],
)
def test_what_is_no_tree_is_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        Trees.model_validate({**STUMP, **changes})


def test_the_shap_package_says_the_same_where_it_is_installed():
    shap = pytest.importorskip("shap")
    from sklearn.ensemble import RandomForestClassifier

    from semeion.learn.tabular import _arrays

    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    model = RandomForestClassifier(20, random_state=0).fit(x, y)
    trees = Trees.model_validate(
        {"features": list("abcde"), "fill": [0.0] * 5, "outputs": 2, **_arrays(model, "forest", 2)}
    )
    wanted = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent").shap_values(x[:5])
    assert np.allclose(TreeMember(trees).contributions(x[:5])[1], wanted, atol=1e-6)
