"""How volumes become model input: the settings, shared by the plan and the shipped model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Intensity(BaseModel):
    """How the values of one channel become numbers about 0; the steps in order: N4, denoise, clip, scale."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["zscore", "fixed", "percentiles"] = "zscore"
    """``zscore``: minus the mean over the standard deviation of the volume's own foreground. ``fixed``: clipped to
    `low` and `high`, minus `mean`, over `std`, all in the modality's unit (CT, SUV). ``percentiles``: the foreground's
    own percentiles `clip` become 0 and 1."""
    foreground: Literal["all", "nonzero", "otsu"] = "nonzero"
    """Which voxels give the statistics of ``zscore`` and ``percentiles``: all, those that are not 0, or those above
    Otsu's threshold. No voxel or one value only: all."""
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None
    clip: tuple[float, float] | None = None
    """Shares of the foreground, for example 0.005 and 0.995, whose quantiles the values are clipped to before they are
    scaled. ``percentiles`` without it takes these two."""
    n4: bool = False
    """Remove the slow change of brightness of MR coils (N4, Tustison et al., IEEE TMI 29(6):1310, 2010)."""
    denoise: Literal[False, "median", "curvature"] = False
    """A median of 3 x 3 x 3 voxels, or five steps of curvature flow, which keeps edges."""

    @model_validator(mode="after")
    def _whole(self) -> Intensity:
        if self.kind == "fixed":
            low, high, mean, std = self.low, self.high, self.mean, self.std
            if low is None or high is None or mean is None or std is None or low >= high or std <= 0:
                raise ValueError("kind 'fixed' needs low below high, mean, and std above 0")
        if self.clip is not None and not 0 <= self.clip[0] < self.clip[1] <= 1:
            raise ValueError("clip holds two shares from 0 to 1, the lower first")
        return self


class VolumePreparation(BaseModel):
    """Every step from volumes as they were read to the network's input, float32 ``(channels, D, H, W)``.

    The order of steps: orientation, alignment of the channels, crop, intensity, resampling, size.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    channels: list[str] = Field(default_factory=lambda: ["image"], min_length=1)
    """Names of the planes in order: channels of one case, or frames."""
    units: list[str | None] | None = None
    """Unit of each channel, for example HU; a volume that says it has another is refused. None: not checked."""
    orientation: Literal["LPS", "stored"] = "LPS"
    """``LPS``: axes are exchanged and flipped, never interpolated, so that i, j, k run nearest to left, posterior and
    superior. ``stored``: as the file has them (slices stay slices)."""
    spacing: tuple[float | None, float | None, float | None] | None = None
    """Millimetres along i, j and k after `orientation`; None keeps that axis."""
    interpolation: Literal["linear", "bspline"] = "bspline"
    """Of images. An axis more than three times as coarse as the finest is interpolated on its own and linearly, so that
    a cubic never rings across thick slices. Masks take the nearest voxel, probabilities are linear."""
    crop: Literal["none", "foreground", "body", "mask"] = "none"
    """To the box of the voxels that are not 0 in any channel; of the largest part above Otsu's threshold; or of the
    mask that comes with the case, in use a given one."""
    margin_mm: float = Field(default=0.0, ge=0)
    """Kept around the box of `crop`."""
    registration: Literal["check", "rigid"] = "check"
    """``check``: channels on one grid are taken as aligned, others are resampled in the patient's coordinates.
    ``rigid``: each channel is moved to the first by mutual information."""
    intensity: list[Intensity] = Field(default_factory=lambda: [Intensity()], min_length=1)
    """One a channel, or one for all."""
    size: tuple[int, int, int] | None = None
    """D, H, W of the input where it must be fixed (classification)."""
    size_mode: Literal["centre", "stretch"] = "centre"
    """Cut and pad about the centre, or resample the whole extent to `size`."""

    @model_validator(mode="after")
    def _whole(self) -> VolumePreparation:
        if len(set(self.channels)) != len(self.channels):
            raise ValueError(f"channels {self.channels} are not distinct")
        if len(self.intensity) not in (1, len(self.channels)):
            raise ValueError(f"{len(self.intensity)} intensities for {len(self.channels)} channels")
        if self.units is not None and len(self.units) != len(self.channels):
            raise ValueError(f"{len(self.units)} units for {len(self.channels)} channels")
        if self.spacing is not None and any(value is not None and value <= 0 for value in self.spacing):
            raise ValueError(f"spacing {self.spacing} mm is not positive")
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"size {self.size} is empty")
        return self

    def of_channel(self, number: int) -> Intensity:
        """Return the intensity settings of channel `number`."""
        return self.intensity[number if len(self.intensity) > 1 else 0]
