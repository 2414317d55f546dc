"""How an image becomes model input: the settings, shared by the plan and the shipped model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Cleaning(BaseModel):
    """What is removed from an image before it is resized."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    borders: bool = False
    """Cut black borders and collimation away."""
    text: bool = False
    """Paint over burned-in text and markers."""
    salt: bool = False
    """Replace isolated saturated pixels by their neighbourhood's median."""
    equalise: bool = False
    """Contrast-limited adaptive histogram equalisation (CLAHE)."""


class Preparation(BaseModel):
    """Every step from a decoded image to the network's input, an array uint8 ``(channels, height, width)``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: Literal[1, 3] = 1
    """Grey or colour; a colour image becomes grey by its luma (ITU-R BT.601), a grey one is repeated."""
    intensity: Literal["stored", "window", "percentiles"] = "stored"
    """``stored``: the format's full range maps to 0..255. ``window``: `window` maps to 0..255, in the image's physical
    unit. ``percentiles``: the image's own 0.5 and 99.5 percentiles map to 0..255."""
    window: tuple[float, float] | None = None
    """Low and high value of ``window``, in the unit of the modality (HU for CT)."""
    clean: Cleaning = Field(default_factory=Cleaning)
    size: tuple[int, int] = (28, 28)
    """Height and width of the input in pixels; each from 8 to 1024."""
    fit: Literal["pad", "stretch"] = "pad"
    """Keep the proportions and pad with the darkest value, or stretch to the size."""
