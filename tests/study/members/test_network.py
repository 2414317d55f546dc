"""What a member's graph says besides its answer, and that it says nothing where that is not so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semeion.errors import TrainingFailed
from semeion.learn.network import Network, Scales, ShippedNetwork
from semeion.learn.own import OwnNetwork
from semeion.model.engine import open_engine
from semeion.plan.recipes import NetworkPlan
from semeion.study.members.network import exported
from support.mapped import noise
from support.tiny import make_plan

IMAGES = noise(12, 1, 24, 24)


def shipped_of(network):
    return ShippedNetwork(network, Scales((110.0,), (45.0,)), [0.7, 1.9], "binary").eval()


@pytest.fixture
def shipped():
    torch.manual_seed(0)
    return shipped_of(Network(NetworkPlan(widths=[4, 8]), 1, "binary", 2))


def test_a_member_says_what_further_outputs_its_graph_has(shipped):
    plan = make_plan()
    graph, facts = exported(shipped, IMAGES, plan, plan.members[0])
    assert open_engine(graph, 1).extras == ("features", "maps")
    assert facts["further_outputs"] == ["features", "maps"]
    assert 0 <= facts["maps_difference"] < 1e-3
    assert 0 <= facts["graph_difference"] < 1e-4
    assert "maps" not in facts


def test_untrue_maps_are_left_out_and_told(shipped, monkeypatch):
    plan = make_plan()
    whole, _ = exported(shipped, IMAGES, plan, plan.members[0])
    monkeypatch.setattr("semeion.learn.export.SUMS", -1.0)
    graph, facts = exported(shipped, IMAGES, plan, plan.members[0])
    bare = open_engine(graph, 1)
    assert bare.extras == ()
    assert facts["maps"].startswith("left out: what the exported graph says of places differs from its scores by ")
    assert "further_outputs" not in facts and "maps_difference" not in facts
    assert np.array_equal(bare.run(IMAGES), open_engine(whole, 1).run(IMAGES))


def test_a_network_of_the_user_has_none():
    plan = make_plan()
    own = OwnNetwork(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(576, 2)), 2)
    graph, facts = exported(shipped_of(own), IMAGES, plan, plan.members[0])
    assert open_engine(graph, 1).extras == ()
    assert facts["further_outputs"] == []
    assert "maps_difference" not in facts


def test_a_graph_that_answers_otherwise_is_still_refused(shipped, monkeypatch):
    plan = make_plan()
    monkeypatch.setattr("semeion.learn.export.TOLERANCE", -1.0)
    with pytest.raises(TrainingFailed, match="the exported graph differs from the trained network"):
        exported(shipped, IMAGES, plan, plan.members[0])
