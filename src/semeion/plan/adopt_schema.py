"""The plan of a network that was trained elsewhere: what was read from its graph, what was said, and who chooses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from semeion.plan.inputs import PreparationPlan
from semeion.plan.recipes import Section
from semeion.plan.schema import OperatingPointPlan, SetsPlan, TargetPlan

SCHEMA = 1
FOLDS = 5
"""Folds of calibration and operating point where no split is given; fewer where a class has fewer patients."""

Number = Annotated[float, Field(allow_inf_nan=False)]


class AdoptedPlan(Section):
    """The network: its file, what its numbers mean going in, and what they mean coming out."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    producer: str = ""
    """What wrote the file, as the file says."""
    opset: int
    input: str
    output: str
    takes: Literal["float32", "float16", "float64", "uint8"]
    layout: Literal["nchw", "nhwc"]
    scale: tuple[Number, Number]
    """What a black and what a white pixel becomes."""
    mean: list[Number]
    """Taken from the scaled numbers, one a channel."""
    std: list[Number]
    """Of what is left, one a channel."""
    blue_first: bool = False
    one_at_a_time: bool = False
    """Whether the graph takes one image alone."""
    gives: Literal["logits", "probabilities", "value"]
    outputs: int = Field(ge=1)
    classes: list[str] = Field(default_factory=list)
    """What each output stands for, in the graph's order; of one output first what 0 and then what 1 stands for."""
    learned_from: str | None = None
    """What the user says that it learned from; not checked."""


class ChoosingPlan(Section):
    """Which cases choose calibration and operating point, and which are only predicted."""

    scheme: Literal["given", "folds"]
    """``given``: the table's val cases choose. ``folds``: a fold's are chosen on the other folds."""
    folds: int = Field(default=0, ge=0, le=20)


class AdoptionPlan(BaseModel):
    """Everything that decides what adopting a network does."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = Field(default=SCHEMA, alias="schema")
    kind: Literal["adopted"] = "adopted"
    seed: int = Field(default=0, ge=0, lt=2**31)
    target: TargetPlan
    preparation: PreparationPlan
    network: AdoptedPlan
    validation: ChoosingPlan
    operating_point: OperatingPointPlan = Field(default_factory=OperatingPointPlan)
    sets: SetsPlan = Field(default_factory=SetsPlan)
