"""What is measured in each case: the settings, shared by the plan and the shipped model."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(min_length=1, max_length=200)]

HEART = ("rv", "myocardium", "lv")
"""Structures of a heart's mask."""
PHASES = ("ED", "ES")
"""Images of a heart: end-diastole and end-systole."""


class Measurements(BaseModel):
    """Which measurements are taken of a case's masks.

    Attributes
    ----------
    kind
        ``heart``: volumes, fractions, mass and wall from end-diastole and end-systole. ``regions``: size and shape of
        each structure in each image, with intensity and texture when asked for.
    images
        Names of the case's images, one mask each; one empty name when there is one image.
    structures
        Number in the mask of each structure.
    intensity, texture
        For ``regions``.
    channels
        Names of the channels of an image, in each of which intensity is measured; none when an image is one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["heart", "regions"]
    images: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=50)]
    structures: Annotated[dict[Name, Annotated[int, Field(ge=1, le=2**31)]], Field(min_length=1, max_length=200)]
    intensity: bool = False
    texture: bool = False
    channels: Annotated[list[Name], Field(max_length=50)] = []

    @model_validator(mode="after")
    def _possible(self) -> Measurements:
        if len(set(self.images)) != len(self.images):
            raise ValueError("an image is named twice")
        if len(set(self.structures.values())) != len(self.structures):
            raise ValueError("two structures have one number")
        if self.kind == "heart":
            if set(self.structures) != set(HEART):
                raise ValueError(f"a heart has the structures {', '.join(HEART)}")
            if [name.upper() for name in self.images] != list(PHASES):
                raise ValueError(f"a heart is measured in the images {' and '.join(PHASES)}, in this order")
            if self.intensity or self.texture:
                raise ValueError("a heart is measured by its masks alone")
        if self.texture and not self.intensity:
            raise ValueError("texture is measured with intensity")
        if self.channels and not self.intensity:
            raise ValueError("channels are named where intensity is measured")
        names = [[*parts] for parts in itertools.product(self.images, ["", *self.channels], self.structures)]
        keys = ["_".join(part for part in parts if part) for parts in names]
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            raise ValueError(f"two measurements would be called {twice[0]}_...: rename images, channels or structures")
        return self


def infer_measurements(images: tuple[str, ...], structures: dict[str, int]) -> Measurements:
    """Return the measurements that suit images and structures of these names.

    Parameters
    ----------
    images
        Names of the images of a case, in the order of their frames; empty for one image.
    structures
        Number of each structure in the masks.
    """
    lower = {name.lower(): number for name, number in structures.items()}
    if tuple(name.upper() for name in images) == PHASES and set(lower) == set(HEART):
        return Measurements(kind="heart", images=list(images), structures={name: lower[name] for name in HEART})
    return Measurements(kind="regions", images=list(images) or [""], structures=structures)
