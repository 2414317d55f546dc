from __future__ import annotations

import numpy as np
import pytest
import torch

from learn.tiny import store_of
from semeion.artefacts import read_json, write_json
from semeion.errors import Interrupted
from semeion.learn import frozen
from semeion.learn.export import traced
from semeion.learn.frozen import features_of, hand_on
from semeion.learn.pretrained import FrozenFeatures
from semeion.model.engine import open_engine

N, WIDTH = 20, 3


class Counted:
    """A graph of three features that remembers how many cases it saw."""

    def __init__(self):
        self.seen = 0

    def __call__(self, pixels):
        self.seen += len(pixels)
        x = pixels.astype(np.float32)
        return np.stack([x.mean((1, 2, 3)), x[:, 0, 0, 0], x[:, 0, 0, -1]], 1)


@pytest.fixture
def kept(tmp_path):
    """Return a store, the path of a graph, and all features."""
    pixels = np.random.default_rng(0).integers(0, 256, (N, 1, 6, 6), dtype=np.uint8)
    store = store_of(pixels, tmp_path / "store", per_shard=8)
    write_json(store.folder / "store.json", {"key": "one"})
    graph = tmp_path / "features" / "frozen.onnx"
    graph.parent.mkdir()
    graph.write_bytes(b"graph")
    return store, graph, Counted()(pixels)


def test_features_are_taken_once(kept):
    store, graph, wanted = kept
    run = Counted()
    rows = np.array([7, 2, 19, 2])
    found = features_of(store, rows, graph, run, WIDTH)
    assert found.dtype == np.float32
    assert np.array_equal(found, wanted[rows])
    assert run.seen == 3
    # Another fold asks for some of them again, and for others.
    assert np.array_equal(features_of(store, np.arange(10), graph, run, WIDTH), wanted[:10])
    assert run.seen == 3 + 8
    # So does a run that goes on.
    again = Counted()
    assert np.array_equal(features_of(store, np.arange(N), graph, again, WIDTH), wanted)
    assert again.seen == N - 11
    assert sorted(path.name for path in graph.parent.iterdir()) == ["frozen.json", "frozen.npy", "frozen.onnx"]


def test_what_is_kept_opens_without_semeion(kept):
    store, graph, wanted = kept
    features_of(store, np.array([1, 4]), graph, Counted(), WIDTH)
    bank = np.load(graph.with_suffix(".npy"), allow_pickle=False)
    assert bank.shape == (N, WIDTH)
    assert bank.dtype == np.float32
    assert np.flatnonzero(~np.isnan(bank[:, 0])).tolist() == [1, 4]
    assert np.array_equal(bank[[1, 4]], wanted[[1, 4]])


@pytest.mark.parametrize("changed", ["graph", "store"])
def test_features_of_another_graph_or_store_are_not_used(kept, changed):
    store, graph, wanted = kept
    features_of(store, np.arange(N), graph, lambda pixels: np.zeros((len(pixels), 5), np.float32), 5)
    before = read_json(graph.with_suffix(".json"))["key"]
    if changed == "graph":
        graph.write_bytes(b"another")
    else:
        write_json(store.folder / "store.json", {"key": "two"})
    run = Counted()
    assert np.array_equal(features_of(store, np.arange(4), graph, run, WIDTH), wanted[:4])
    assert run.seen == 4
    assert read_json(graph.with_suffix(".json"))["key"] != before


def test_mirrored_images_have_features_of_their_own(kept):
    store, graph, wanted = kept
    run = Counted()
    rows = np.arange(5)
    plain = features_of(store, rows, graph, run, WIDTH)
    mirrored = features_of(store, rows, graph, run, WIDTH, mirrored=True)
    assert np.array_equal(plain, wanted[:5])
    assert np.allclose(mirrored, wanted[:5, [0, 2, 1]])
    assert run.seen == 10
    assert {"frozen.npy", "frozen.mirrored.npy"} <= {path.name for path in graph.parent.iterdir()}
    features_of(store, rows, graph, run, WIDTH, mirrored=True)
    assert run.seen == 10


def test_a_stop_keeps_what_was_taken(kept, monkeypatch):
    store, graph, wanted = kept
    monkeypatch.setattr(frozen, "TOGETHER", 4)
    run = Counted()
    told = []
    with pytest.raises(Interrupted) as caught:
        features_of(store, np.arange(N), graph, run, WIDTH, seen=lambda *x: told.append(x), stop=lambda: run.seen >= 8)
    assert caught.value.fix == "continue with `semeion resume`"
    assert told == [(4, N), (8, N)]
    again = Counted()
    assert np.array_equal(features_of(store, np.arange(N), graph, again, WIDTH), wanted)
    assert again.seen == N - 8


def test_a_graph_that_fails_leaves_nothing_half(kept):
    store, graph, wanted = kept
    features_of(store, np.arange(3), graph, Counted(), WIDTH)

    def fails(pixels):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        features_of(store, np.arange(N), graph, fails, WIDTH)
    assert sorted(path.name for path in graph.parent.iterdir()) == ["frozen.json", "frozen.npy", "frozen.onnx"]
    assert np.array_equal(features_of(store, np.arange(3), graph, fails, WIDTH), wanted[:3])


def test_long_work_is_kept_in_between(kept, monkeypatch):
    store, graph, wanted = kept
    monkeypatch.setattr(frozen, "TOGETHER", 4)
    monkeypatch.setattr(frozen, "SAVE_SECONDS", -1.0)
    run = Counted()

    def killed(done, _of):
        if done > 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features_of(store, np.arange(N), graph, run, WIDTH, seen=killed)
    again = Counted()
    assert np.array_equal(features_of(store, np.arange(N), graph, again, WIDTH), wanted)
    assert again.seen == N - 12


def test_no_rows_have_no_features(kept):
    store, graph, _ = kept
    found = features_of(store, np.array([], dtype=np.int64), graph, Counted(), WIDTH)
    assert found.shape == (0, WIDTH)


def test_features_are_those_of_the_network(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 32, 32), dtype=np.uint8)
    store = store_of(pixels, tmp_path / "store")
    write_json(store.folder / "store.json", {"key": "one"})
    network = FrozenFeatures("lite0", store.shape, side=32, layers=("stride16", "head"))
    graph = tmp_path / "frozen.onnx"
    graph.write_bytes(traced(network, torch.zeros((2, *store.shape), dtype=torch.uint8)))
    engine = open_engine(graph, 1)
    found = features_of(store, np.arange(4), graph, engine.run, engine.n_outputs)
    mirrored = features_of(store, np.arange(4), graph, engine.run, engine.n_outputs, mirrored=True)
    with torch.inference_mode():
        assert np.abs(found - network(torch.from_numpy(pixels)).numpy()).max() <= 1e-4
        assert np.abs(mirrored - network(torch.from_numpy(pixels).flip(3)).numpy()).max() <= 1e-4


def test_features_are_handed_on_to_a_store_of_some_of_the_cases(kept, tmp_path):
    store, graph, every = kept
    run = Counted()
    features_of(store, np.arange(0, N, 2), graph, run, WIDTH)
    features_of(store, np.arange(4), graph, run, WIDTH, mirrored=True)
    mine = np.arange(3, N)[::-1]
    own = store_of(store.take(mine), tmp_path / "own", per_shard=8)
    write_json(own.folder / "store.json", {"key": "two"})
    to = tmp_path / "own-features" / "frozen.onnx"
    to.parent.mkdir()
    hand_on(graph, [f"c{row}" for row in range(N)], to, [f"c{row}" for row in mine], own.folder)
    assert to.read_bytes() == graph.read_bytes()
    again = Counted()
    found = features_of(own, np.arange(len(mine)), to, again, WIDTH)
    assert np.array_equal(found, every[mine])
    assert again.seen == sum(row % 2 for row in mine.tolist()), "only those that were never asked for"
    mirrored = Counted()
    features_of(own, np.flatnonzero(mine == 3), to, mirrored, WIDTH, mirrored=True)
    assert mirrored.seen == 0
