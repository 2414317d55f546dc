"""What a page says of members: what they begin with, and how they become one."""

from __future__ import annotations

from typing import Any

import pytest

from semeion.report.members import beginnings, combination, ensemble

PLAN = {
    "network": {"kind": "residual"},
    "recipes": {
        "frozen": {"kind": "frozen", "backbone": "lite0"},
        "tuned": {"kind": "network", "start": "random", "network": {"kind": "pretrained", "backbone": "lite1"}},
        "pretraining": {"kind": "network", "start": "pretraining", "network": {"kind": "residual"}},
        "network-b16": {"kind": "network", "start": "random", "network": {"kind": "residual"}},
        "covariates": {"kind": "covariates"},
    },
}


def members(*recipes: str, shares: tuple[float, ...] = ()) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"recipe": recipe} for recipe in recipes]
    for one, share in zip(found, shares, strict=False):
        one["share"] = share
    return found


def test_random_weights_are_no_transfer_learning() -> None:
    told = "Random weights, no transfer learning"
    assert beginnings(members("network", "network-b16"), PLAN) == told
    assert beginnings([{"seed": 1}], None) == told, "evidence of before there were recipes"


def test_weights_that_were_learned_elsewhere_are_named() -> None:
    assert beginnings(members("frozen", "tuned", "network", "tuned", "covariates"), PLAN) == (
        "ImageNet weights of EfficientNet-Lite0, which do not learn (1 of 5 members); "
        "ImageNet weights of EfficientNet-Lite1, which go on learning (2 of 5 members); random weights (1 of 5 members)"
    )
    assert beginnings(members("pretraining"), PLAN).startswith("Weights learned from images without labels")
    own = {"network": {"kind": "own", "factory": "a:B"}}
    assert beginnings(members("network"), own).startswith("Weights that the user's network begins with")


def test_covariates_begin_with_none() -> None:
    assert beginnings(members("covariates"), PLAN) == ""


@pytest.mark.parametrize(
    ("recipes", "shares", "told"),
    [
        (("network",), (1.0,), "One network"),
        (("frozen",), (1.0,), "One member"),
        (("network", "network"), (), "2 networks; the mean of their outputs is taken"),
        (("network", "frozen"), (0.5, 0.5), "2 members; the mean of their outputs is taken"),
        (("network", "network"), (0.0, 1.0), "2 networks, one of which ships alone"),
        (("network", "frozen", "student"), (0.0, 0.0, 1.0), "2 members that taught a network, which ships alone"),
        (
            ("network", "network", "student", "student"),
            (0.0, 0.0, 1.0, 0.0),
            "2 members that taught 2 networks, one a fold; one ships alone",
        ),
        (
            ("network", "frozen", "tuned"),
            (0.25, 0.75, 0.0),
            "3 members; the mean of the outputs of the 2 that have a share is taken, weighted by their shares",
        ),
    ],
)
def test_how_members_become_one(recipes: tuple[str, ...], shares: tuple[float, ...], told: str) -> None:
    assert ensemble(members(*recipes, shares=shares)) == told


def test_folds_that_chose_alike_are_told_together() -> None:
    row = {"recipe": "frozen", "members": 2, "seconds": 1.0, "share": 1.0, "gain": None, "low": None, "high": None}
    folds = {"0": {"reason": "a"}, "1": {"reason": "b"}, "2": {"reason": "a"}}
    told = combination(
        {"recipes": [row], "loss": 1.0, "loss_name": "log loss", "n": 3, "n_patients": 3, "folds": folds}
    )
    assert told is not None
    assert told["sentences"] == ["Fold 0, 2: a.", "Fold 1: b."]
    assert told["rows"][0]["way"] == "linear head on pretrained features"
