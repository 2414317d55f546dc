"""Plans of several targets see the same prepared images."""

from __future__ import annotations

from dataclasses import replace

from semeion.plan.like import machine_like, prepared_like
from semeion.plan.networks import Candidate
from semeion.plan.rules import Machine, Measured
from support.tiny import make_plan


def measured(side: int, width: int = 16) -> Measured:
    candidate = Candidate((side, side), "stretch", (width,), 1, 32, 1.0)
    return Measured(candidate, {"float32": 0.1}, 0.1)


MACHINE = Machine(1, 8.0, "cpu", [measured(96), measured(64), measured(64, 8), measured(32)])


def test_networks_of_another_size_are_no_choice() -> None:
    like = make_plan()
    like.preparation = like.preparation.model_copy(update={"size": (64, 64)})
    sizes = [one.candidate.size for one in machine_like(MACHINE, like).measured]
    assert sizes == [(64, 64), (64, 64)]
    # Stored larger for a pretrained network: the size that the first target's own network sees counts.
    like.preparation = like.preparation.model_copy(update={"size": (96, 96)})
    like.network = like.network.model_copy(update={"side": 32})
    assert [one.candidate.size for one in machine_like(MACHINE, like).measured] == [(32, 32)]
    none = replace(MACHINE, measured=[measured(128)])
    assert machine_like(none, like).measured == none.measured, "a plan must be possible all the same"


def test_images_are_prepared_as_for_the_first_target() -> None:
    like, plan = make_plan(), make_plan("regression")
    like.preparation = like.preparation.model_copy(update={"size": (48, 48)})
    made = prepared_like(plan, like)
    assert made.preparation.spec() == like.preparation.spec()
    assert made.network.side == 24, "the network sees them as large as it was planned"
    assert "first target" in made.preparation.why["targets"]
    like.preparation = like.preparation.model_copy(update={"size": (24, 24)})
    assert prepared_like(plan, like).network.side is None
    assert made.target == plan.target and plan.preparation.size == (24, 24)
