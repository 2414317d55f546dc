"""Which measured candidate is the plan's own network."""

from __future__ import annotations

from typing import Any

import pytest

from plan.test_volume_rules import facts_of, plan_of
from semeion.plan.networks import Candidate
from semeion.plan.schema import Plan
from semeion.study.at_once import sees
from support.tiny import make_plan


def volume_plan(**network: Any) -> Plan:
    """Return a plan of volumes of 36 x 52 x 40 voxels whose network is changed."""
    told = plan_of(facts_of()).model_dump(by_alias=True)
    told["network"] |= network
    return Plan.model_validate(told)


def candidate(size: tuple[int, ...], kind: Any = "residual3d") -> Candidate:
    return Candidate(size, "pad", (16, 32), 1, 8, 1.0, kind=kind)


@pytest.mark.parametrize(
    ("network", "size", "kind", "found"),
    [
        ({}, (36, 52, 40), "residual3d", True),
        ({}, (36, 52, 40), "slices", False),
        ({}, (20, 28, 24), "residual3d", False),
        ({"side": 28, "depth": 20}, (20, 28, 24), "residual3d", True),
        ({"side": 28, "depth": 20}, (36, 52, 40), "residual3d", False),
    ],
)
def test_volumes_are_told_by_what_the_network_sees(
    network: dict[str, Any], size: tuple[int, ...], kind: str, found: bool
) -> None:
    assert sees(volume_plan(**network), candidate(size, kind)) is found


def test_pictures_are_told_by_their_size() -> None:
    plan = make_plan()
    size = tuple(plan.preparation.size or ())
    assert sees(plan, candidate(size, "residual"))
    assert not sees(plan, candidate((size[0] + 4, size[1]), "residual"))
