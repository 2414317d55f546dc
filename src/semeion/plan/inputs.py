"""What the images of a case are, and how they become what networks see."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from semeion.plan.recipes import Section, Why
from semeion.prepare.spec import Preparation
from semeion.prepare.volume_spec import VolumePreparation


class ImagesPlan(Section):
    """What the images of a case are, as in :class:`semeion.cohort.roles.ImageRole`."""

    kind: Literal["picture", "volume"] = "picture"
    role: Literal["single", "channels", "frames", "views"] = "single"
    names: list[str] = Field(default_factory=list, max_length=64)

    @property
    def groups(self) -> int:
        """Images that are encoded each for itself and then pooled: frames and views; channels are stacked."""
        return len(self.names) if self.role in ("frames", "views") else 1


class PreparationPlan(Preparation):
    """The preparation steps with their reasons."""

    why: Why = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> PreparationPlan:
        if not all(8 <= side <= 1024 for side in self.size):
            raise ValueError("each side of size must be from 8 to 1024 pixels")
        if self.intensity == "window" and self.window is None:
            raise ValueError("intensity 'window' needs window: [low, high]")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError("the first value of window must be below the second")
        return self

    def spec(self) -> Preparation:
        """Return the steps without the reasons, as the shipped model holds them."""
        return Preparation.model_validate(self.model_dump(exclude={"why"}))


class VolumePreparationPlan(VolumePreparation):
    """The preparation steps of volumes with their reasons; every case becomes an array of `size`."""

    why: Why = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> VolumePreparationPlan:
        if self.size is None or not all(1 <= side <= 512 for side in self.size) or min(self.size[1:]) < 8:
            raise ValueError("size must be [slices, rows, columns], rows and columns from 8 and none above 512")
        return self

    def spec(self) -> VolumePreparation:
        """Return the steps without the reasons, as the shipped model holds them."""
        return VolumePreparation.model_validate(self.model_dump(exclude={"why"}))


def of_volumes(value: Any) -> str:
    """Tell the two preparations apart: volumes name their channels, pictures count them."""
    channels = value.get("channels") if isinstance(value, dict) else getattr(value, "channels", None)
    return "volume" if isinstance(channels, list | tuple) else "picture"
