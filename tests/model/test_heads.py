"""Members whose graph gives features that a linear head judges, and members that count unequally."""

from __future__ import annotations

import json

import numpy as np
import pytest

from semeion.errors import InputError, ModelRefused
from semeion.model import heads
from semeion.model.combine import from_logits
from semeion.model.heads import judged
from semeion.model.linear import Linear, LinearMember
from semeion.model.package import write_model
from semeion.model.runtime import load_model


def head(weights=(-2.0, 3.0), link="softmax", outputs=2, **change):
    """Return the JSON of a head on two features: the logits of the tiny graph serve as features."""
    rows = [[-w for w in weights], list(weights)][-outputs:]
    value = {
        "schema": 1,
        "features": len(weights),
        "mean": [0.1] * len(weights),
        "scale": [0.5] * len(weights),
        "coefficients": rows,
        "intercepts": [0.2, -0.2][:outputs],
        "link": link,
    }
    return json.dumps({**value, **change}).encode()


@pytest.fixture
def ship(tmp_path, parts, tiny_graph):
    def make(heads, weights=None, folder="model", **graphs):
        named = {name: tiny_graph() for name in ("a", "b")} | graphs
        write_model(tmp_path / folder, parts() | {"calibration": None}, named, "# card\n", heads=heads, weights=weights)
        return load_model(tmp_path / folder)

    return make


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), dtype=np.uint8)


def by_hand(features, weights=(-2.0, 3.0)):
    score = ((features - 0.1) / 0.5) @ np.array(weights)
    return from_logits(np.stack([0.2 - score, score - 0.2], axis=1), "binary")


def test_a_head_judges_the_features(ship, images, reference):
    model = ship({"a": head()})
    (features,) = reference("binary", images, 1)
    raw = model.raw(images)
    np.testing.assert_allclose(raw[0], by_hand(features), atol=1e-5)
    np.testing.assert_allclose(raw[1], from_logits(features, "binary"), atol=1e-5)
    np.testing.assert_allclose(model.combined(images), raw.mean(axis=0))


def test_heads_on_the_same_features_share_a_graph(ship, images):
    model = ship({"a": head(), "b": head((1.0, 1.0))})
    members = model.manifest.members
    assert members[0].file == members[1].file == "members/a.onnx"
    assert not (model.path / "members" / "b.onnx").exists()
    assert np.abs(np.diff(model.raw(images), axis=0)).max() > 0.01


def test_unequal_shares(ship, images):
    model = ship({"a": head()}, {"a": 0.75, "b": 0.25})
    raw = model.raw(images)
    np.testing.assert_allclose(model.combined(images), 0.75 * raw[0] + 0.25 * raw[1])
    assert model.manifest.combination == "weighted"


def test_a_plain_model_is_written_as_before(ship):
    written = json.loads((ship({}).path / "model.json").read_text())
    assert written["combination"] == "mean"
    assert not {"kind", "head", "weight"} & set(written["members"][0])


@pytest.mark.parametrize(
    ("weights", "said"),
    [({"a": 0.5, "b": 0.6}, "do not sum to 1"), ({"a": 1.5, "b": -0.5}, "members")],
)
def test_impossible_shares(ship, weights, said):
    with pytest.raises(InputError, match=said):
        ship({}, weights)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (head((1.0, 1.0, 1.0)), "gives 2 features, and the head takes 3"),
        (head(link="identity", outputs=1), "does not answer a binary question"),
        (b"{", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (head(coefficients=[[1.0, float("nan")], [0.0, 0.0]]), "not a linear head"),
        (head(extra=1), "extra"),
        (head(scale=[0.0, 1.0]), "not a linear head"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(ship, broken, said):
    with pytest.raises(ModelRefused, match=said):
        ship({"a": broken})


def test_a_head_that_was_exchanged_is_refused(ship):
    model = ship({"a": head()})
    (model.path / "members" / "a.json").write_bytes(head((9.0, 9.0)))
    with pytest.raises(ModelRefused, match="changed or damaged"):
        load_model(model.path)


def test_a_head_that_is_too_large_is_not_even_parsed(ship, monkeypatch):
    monkeypatch.setattr(heads, "MAX_FILE", 100)
    with pytest.raises(ModelRefused, match="the head is larger than 0 MiB"):
        ship({"a": head()})


def test_a_case_without_features_fails_alone():
    features = np.array([[0.3, 0.1], [np.nan, 0.2], [0.1, np.inf]])
    said = judged(features, LinearMember(Linear.model_validate_json(head())), "binary")
    np.testing.assert_allclose(said[:1], by_hand(features[:1]))
    assert np.isnan(said[1:]).all()
