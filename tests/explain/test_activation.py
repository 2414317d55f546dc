"""Maps of a shipped model: their sums are the members' scores, for every task, network and combination."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semeion.errors import InputError, ModelRefused
from semeion.explain.activation import activation_map
from semeion.explain.target import contrast, score_of
from semeion.explain.view import view_of
from semeion.explain.where import explain_where
from semeion.model.cases import Case
from semeion.model.engine import open_engine
from semeion.model.observing import Seen
from semeion.model.runtime import load_model
from semeion.plan.recipes import FrozenRecipe, NetworkPlan
from support.mapped import CLASSES, Watching, features_graph, head_of, network_graph, noise, write_mapped

SMALL = NetworkPlan(widths=[4, 8])
FROZEN = FrozenRecipe(side=32, layers=["stride8", "head"])
SHAPE = (1, 20, 28)


@pytest.fixture(scope="module")
def features():
    return features_graph(FROZEN, SHAPE)


def seen_by(model, images):
    """Return what an observer is shown of images."""
    watching = Watching()
    list(model.findings(images, jobs=1, observers=[watching]))
    return watching.seen


def seen_prepared(model, images):
    """Return the same of prepared cases, without files."""
    look = model._classifier().look(images, {}, Watching().wants)
    found = []
    for row, image in enumerate(images):
        extras = {path: {name: one[row] for name, one in given.items()} for path, given in look.extras.items()}
        found.append(Seen(Case(str(row), "", None), (), image, (), look.said[:, row], extras))
    return found


def scores_of(model, member, images, target):
    """Return the member's score of the class by its graph alone, up to a constant."""
    engine = open_engine(model.path / member.file, 1)
    given = engine.run(images).astype(np.float64)
    task = model.task
    if member.head is not None:
        given = model.heads()[member.name].scores(given)
    elif task == "ordinal":  # of the probability of the first grade follows the score
        first = np.exp(given[:, 0]) / np.exp(given).sum(1)
        return np.log1p(-first) - np.log(first)
    return given @ contrast(given.shape[1], task, CLASSES[task], target)


@pytest.mark.parametrize("task", list(CLASSES))
def test_a_map_sums_to_the_score_of_the_ensemble(task, features, tmp_path):
    graph, width = features
    graphs = {"seed0": network_graph(SMALL, SHAPE, task), "seed1": network_graph(SMALL, SHAPE, task, seed=1)}
    graphs |= {"frozen0": graph, "frozen1": graph}
    heads = {name: head_of(width, task, seed) for seed, name in enumerate(("frozen0", "frozen1"))}
    weights = {"seed0": 0.4, "seed1": 0.0, "frozen0": 0.35, "frozen1": 0.25}
    model = load_model(write_mapped(tmp_path / "m", graphs, SHAPE, task, heads=heads, weights=weights), threads=1)
    images = noise(4, *SHAPE)
    cases, view = seen_by(model, images[:, 0]), view_of(model)
    for target in CLASSES[task] if task in ("binary", "multiclass", "multilabel") else [None]:
        found = [activation_map(view, case, target) for case in cases]
        one = found[0]
        assert (one.method, one.map.shape, one.map.dtype) == ("activation", (20, 28), np.float32)
        assert one.members == ("seed0", "frozen0", "frozen1")  # those with a share
        assert one.share == pytest.approx(1)
        assert one.parts is None and one.weights is None
        named = {"ordinal": "grade 3", "regression": "finding"}.get(task, target)
        assert one.target == named
        assert one.unit == {"ordinal": "score", "regression": "mm"}.get(task, "logit")
        wanted = sum(
            member.weight * scores_of(model, member, images, named)
            for member in model.manifest.members
            if member.weight
        )
        sums = np.array([where.map.sum(dtype=np.float64) for where in found])
        # What does not depend on the image is the same of every case.
        # Grades answer with logarithms of differences, from which the score is known to three digits.
        np.testing.assert_allclose(sums - sums[0], wanted - wanted[0], atol=1e-3 if task == "ordinal" else 2e-4)
        assert np.ptp(wanted) > 1e-3


def test_the_head_alone_adds_what_its_features_add(features, tmp_path):
    graph, width = features
    head = head_of(width)
    path = write_mapped(tmp_path / "m", {"frozen0": graph}, SHAPE, heads={"frozen0": head})
    model = load_model(path, threads=1)
    images = noise(3, *SHAPE)
    model_head = model.heads()["frozen0"]
    start, added = model_head.contributions(open_engine(graph, 1).run(images))
    for case, own in zip(seen_by(model, images[:, 0]), added, strict=True):
        found = activation_map(view_of(model), case, "malignant")
        assert found.map.sum(dtype=np.float64) == pytest.approx((own[:, 1] - own[:, 0]).sum(), abs=1e-4)
        opposite = activation_map(view_of(model), case, "benign")
        np.testing.assert_allclose(opposite.map, -found.map, atol=1e-6)
    assert start.shape == (2,)


def test_views_have_a_map_each(tmp_path):
    shape = (2, 20, 28)
    plan = NetworkPlan(widths=[4, 8], group_pooling="attention")
    graph, width = features_graph(FrozenRecipe(side=32, layers=["stride8"], apart=["images"]), shape, groups=2)
    graphs = {"seed0": network_graph(plan, shape, groups=2), "frozen0": graph}
    path = write_mapped(tmp_path / "m", graphs, shape, heads={"frozen0": head_of(width)}, groups=["cc", "mlo"])
    model = load_model(path, threads=1)
    images = noise(3, *shape)
    cases = seen_prepared(model, images)
    found = [activation_map(view_of(model), case, "malignant") for case in cases]
    assert found[0].map.shape == (2, 20, 28)
    assert found[0].parts.shape == (2, 1)
    np.testing.assert_allclose(found[0].parts[:, 0], found[0].map.sum((1, 2)), atol=1e-5)
    assert found[0].weights.shape == (2, 1)
    assert found[0].weights.sum() == pytest.approx(1)
    sums = np.array([where.map.sum(dtype=np.float64) for where in found])
    wanted = sum(scores_of(model, member, images, "malignant") / 2 for member in model.manifest.members)
    np.testing.assert_allclose(sums - sums[0], wanted - wanted[0], atol=1e-4)


@pytest.mark.parametrize("along", [["slices"], ["slices", "rows", "columns"]])
def test_volumes_have_maps_of_their_voxels(along, tmp_path):
    shape = (1, 6, 16, 20)
    plan = NetworkPlan(kind="slices", widths=[4, 8], pooling="attention")
    recipe = FrozenRecipe(side=32, layers=["stride8", "head"], slices=4, along=along, apart=["axes"])
    graph, width = features_graph(recipe, shape)
    graphs = {
        "slices0": network_graph(plan, shape),
        "solid0": network_graph(NetworkPlan(kind="residual3d", widths=[4, 8]), shape),
        "recurrent0": network_graph(NetworkPlan(kind="slices", widths=[4], pooling="gru"), shape),
        "frozen0": graph,
    }
    model = load_model(write_mapped(tmp_path / "m", graphs, shape, heads={"frozen0": head_of(width)}), threads=1)
    images = noise(3, *shape)
    found = [activation_map(view_of(model), case) for case in seen_prepared(model, images)]
    assert found[0].map.shape == (6, 16, 20)
    assert found[0].members == ("slices0", "solid0", "frozen0")
    assert found[0].share == pytest.approx(0.75)
    assert found[0].parts.shape == found[0].weights.shape == (1, 6)
    assert found[0].weights.sum() == pytest.approx(1, abs=1e-5)
    told = [member for member in model.manifest.members if member.name != "recurrent0"]
    wanted = sum(scores_of(model, member, images, "malignant") / 4 for member in told)
    sums = np.array([where.map.sum(dtype=np.float64) for where in found])
    np.testing.assert_allclose(sums - sums[0], wanted - wanted[0], atol=1e-4)


def test_what_a_head_sees_lies_where_it_is(tmp_path):
    # Of features that are maxima of an early layer, the map is strongest at the one spot and lies mostly around it.
    shape = (1, 64, 64)
    graph, width = features_graph(FrozenRecipe(side=64, layers=["stride8"]), shape)
    ones = np.concatenate([np.zeros(width // 2), np.ones(width // 2)])
    head = head_of(width).model_copy(
        update={"coefficients": [(-ones).tolist(), ones.tolist()], "mean": [0.0] * width, "scale": [1.0] * width}
    )
    model = load_model(write_mapped(tmp_path / "m", {"frozen0": graph}, shape, heads={"frozen0": head}), threads=1)
    images = np.full((1, 1, 64, 64), 60, np.uint8)
    images[0, 0, 40:50, 12:22] = 220
    found = activation_map(view_of(model), seen_by(model, images[:, 0])[0], "malignant").map
    share = np.abs(found) / np.abs(found).sum()
    near = np.zeros(share.shape, np.bool_)
    near[28:62, 0:34] = True
    assert share[near].sum() > 0.5 and share[near].mean() > 2.5 * share[~near].mean()
    row, column = np.unravel_index(np.abs(found).argmax(), found.shape)
    assert 34 <= row <= 56 and 6 <= column <= 28


def test_a_model_without_maps_is_explained_by_occlusion(tmp_path):
    graphs = {"seed0": network_graph(SMALL, SHAPE, bare=True)}
    model = load_model(write_mapped(tmp_path / "m", graphs, SHAPE), threads=1)
    case = seen_by(model, noise(1, *SHAPE)[:, 0])[0]
    assert case.extras == {"members/seed0.onnx": {}}
    view = view_of(model)
    assert activation_map(view, case) is None
    assert explain_where(view, case).method == "occlusion"
    with pytest.raises(InputError, match="no network of the model gives activation maps"):
        explain_where(view, case, method="activation")


def test_what_cannot_be_explained_says_why(tmp_path):
    model = load_model(write_mapped(tmp_path / "m", {"seed0": network_graph(SMALL, SHAPE)}, SHAPE), threads=1)
    view, case = view_of(model), seen_by(model, noise(1, *SHAPE)[:, 0])[0]
    with pytest.raises(InputError, match=r"no class 'scar'.*benign, malignant"):
        explain_where(view, case, "scar")
    (failed,) = seen_by(model, [str(tmp_path / "absent.png")])
    with pytest.raises(InputError, match="the networks did not see the case"):
        explain_where(view, failed)
    other = load_model(write_mapped(tmp_path / "r", {"s": network_graph(SMALL, SHAPE, "ordinal")}, SHAPE, "ordinal"))
    graded = seen_by(other, noise(1, *SHAPE)[:, 0])[0]
    assert explain_where(view_of(other), graded, "grade 3").target == "grade 3"
    with pytest.raises(InputError, match="a ordinal model has one score, and 'grade 1' is not named"):
        explain_where(view_of(other), graded, "grade 1")


def test_the_class_that_is_shown_is_the_positive_or_the_likeliest(tmp_path):
    for task in ("binary", "multiclass", "multilabel"):
        graph = network_graph(SMALL, SHAPE, task)
        model = load_model(write_mapped(tmp_path / task, {"seed0": graph}, SHAPE, task), threads=1)
        case = seen_by(model, noise(1, *SHAPE)[:, 0])[0]
        wanted = "malignant" if task == "binary" else CLASSES[task][int(case.said[0].argmax())]
        assert explain_where(view_of(model), case).target == wanted


def test_maps_that_fit_nothing_are_refused(features, tmp_path):
    graph, width = features
    graphs = {"seed0": network_graph(SMALL, SHAPE), "frozen0": graph}
    path = write_mapped(tmp_path / "m", graphs, SHAPE, heads={"frozen0": head_of(width)})
    model = load_model(path, threads=1)
    view, case = view_of(model), seen_by(model, noise(1, *SHAPE)[:, 0])[0]
    own, frozen = case.extras["members/seed0.onnx"], case.extras["members/frozen0.onnx"]

    def message(**changed):
        extras = {"members/seed0.onnx": own, "members/frozen0.onnx": frozen} | changed
        with pytest.raises(ModelRefused) as caught:
            activation_map(view, replace(case, extras=extras))
        return str(caught.value)

    assert "it says of 3 scores where they come from" in message(
        **{"members/seed0.onnx": {"maps": np.zeros((3, 4, 4), np.float32)}}
    )
    assert "its maps are (4, 4, 4) of (20, 28)" in message(
        **{"members/seed0.onnx": {"maps": np.zeros((2, 4, 4, 4), np.float32)}}
    )
    for changed in (
        {"map_head": frozen["map_head"] * 2},  # not those that the features come from
        {"map_head": frozen["map_head"][:40]},
        {"map_head": frozen["map_head"][None, None].repeat(2, 1)},
        {"features": frozen["features"][::-1]},
    ):
        assert "not those that its features come from" in message(**{"members/frozen0.onnx": {**frozen, **changed}})


def test_contrasts_are_logits_and_differences():
    assert contrast(2, "binary", ["a", "b"], "b").tolist() == [-1, 1]
    assert contrast(3, "multiclass", ["a", "b", "c"], "a").tolist() == [1, -0.5, -0.5]
    assert contrast(2, "multilabel", ["a", "b"], "a").tolist() == [1, 0]
    assert contrast(1, "ordinal", ["a", "b", "c"], "c").tolist() == [1]
    assert contrast(2, "ordinal", ["a", "b"], "b").tolist() == [-1, 1]
    assert contrast(4, "ordinal", list("abcd"), "d").tolist() == [-0.75, -0.25, 0.25, 0.75]
    for scores, task in ((3, "binary"), (1, "multiclass"), (2, "regression")):
        with pytest.raises(ValueError, match="scores for 2 classes"):
            contrast(scores, task, ["a", "b"], "a")
    p = np.array([[0.2, 0.8]])
    assert score_of(p, "binary", ["a", "b"], "b")[0] == pytest.approx(np.log(4))
    assert score_of(p, "multilabel", ["a", "b"], "a")[0] == pytest.approx(np.log(0.25))
    assert score_of(np.array([[0.1, 0.2, 0.7]]), "ordinal", list("abc"), "c")[0] == pytest.approx(1.6)
    assert np.isfinite(score_of(np.array([[0.0, 1.0]]), "binary", ["a", "b"], "b")[0])


def test_a_segmentation_says_where_by_its_masks():
    class Outlining:
        path = "m"

        class manifest:
            outlines = True

    with pytest.raises(InputError, match="its masks say where"):
        view_of(Outlining)
