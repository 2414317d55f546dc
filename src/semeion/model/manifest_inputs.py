"""What the training images were: the facts that the input gate holds a new image against, read as hostile input."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from semeion.model.manifest_parts import MAX_IMAGES, Count, Name, Part
from semeion.prepare.covariates import MAX_COLUMNS, Column


class Intensity(Part):
    """Brightness of the training images after preparation, as a fraction (0 black, 1 white).

    `low` and `high` are the darkest and brightest usual pixel; `mean_low` and `mean_high` span the usual image means.
    All are told by numbers that five patients share (:func:`semeion.study.inputs_seen.usual_span`).
    """

    low: float
    high: float
    mean_low: float
    mean_high: float


class SizeSeen(Part):
    """Usual smallest and largest number of rows and columns of the training images, in pixels, before preparation."""

    rows: tuple[Count, Count]
    cols: tuple[Count, Count]


Span = tuple[float, float]


class Looks(Part):
    """What the prepared training images look like: limits of :func:`semeion.model.gate_image.looks_of`, each shared by
    at least five patients.

    Attributes
    ----------
    detail
        Smallest and largest usual share of fine detail, a logarithm.
    edge
        Largest usual content at the margins; None where training images end in the middle of their content too.
    text
        Share of the training pictures with burned-in writing, of one to four patients as that of five; None where that
        was not looked for.
    """

    detail: Span
    edge: float | None = None
    text: Annotated[float, Field(ge=0, le=1)] | None = None


class VolumesSeen(Part):
    """Usual smallest and largest spacing in mm and number of voxels of training volumes, along i, j and k as stored."""

    spacing: tuple[Span, Span, Span]
    size: tuple[tuple[Count, Count], tuple[Count, Count], tuple[Count, Count]]


class Inputs(Part):
    """What the training images were: the facts that the warnings about a new image stand on.

    `images` counts the images of a case and `names` names them when there are several; `role` says whether they are
    channels of one grid, frames of one anatomy or views. `photometry` and `size_seen` are of pictures, `volumes_seen`
    of volumes.
    """

    images: Annotated[int, Field(ge=1, le=MAX_IMAGES)] = 1
    names: Annotated[list[Name], Field(max_length=MAX_IMAGES)] = Field(default_factory=list)
    role: Literal["single", "channels", "frames", "views"] = "single"
    photometry: Literal["grey", "colour"] | None = None
    modality: Annotated[list[Name], Field(max_length=50)] = Field(default_factory=list)
    unit: Name | None = None
    intensity: Intensity | None = None
    size_seen: SizeSeen | None = None
    volumes_seen: VolumesSeen | None = None
    body_part: Annotated[list[Name], Field(max_length=50)] = Field(default_factory=list)
    """Regions of the body (:func:`semeion.cohort.body_parts.regions_of`) that the training images show; empty where
    fewer than nine in ten say it."""
    laterality: Annotated[list[Literal["left", "right"]], Field(max_length=2)] = Field(default_factory=list)
    """Sides that they show, empty as above."""
    orientation: Annotated[list[Name], Field(max_length=48)] = Field(default_factory=list)
    """Of volumes that are taken as they are stored: their orientations as three letters."""
    bits: tuple[Count, Count] | None = None
    """Of pictures: fewest and most meaningful bits of a channel that five patients' have."""
    blank: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of pictures: the share of the training pictures that show next to nothing, 99 % of their pixels being alike; of
    one to four patients it is told as that of five."""
    looks: Looks | None = None
    covariates: Annotated[list[Column], Field(max_length=MAX_COLUMNS)] = Field(default_factory=list)
    """What the table must have besides images: of numbers the 5th and 95th percentile of the training cases, of levels
    those of five training patients or more."""

    @property
    def groups(self) -> int:
        """Images that are prepared each for itself: frames and views; channels share one grid."""
        return self.images if self.role in ("frames", "views") else 1

    def problems(self) -> list[str]:
        """Return what contradicts itself."""
        found = []
        if self.role != "single" and len(self.names) != self.images:
            found.append(f"{self.images} images a case have {len(self.names)} names")
        if self.role == "single" and (self.images != 1 or self.names):
            found.append("a single image a case has no other images and no names")
        if len(set(self.names)) != len(self.names):
            found.append("two images of a case have the same name")
        if len({column.name for column in self.covariates}) != len(self.covariates):
            found.append("two covariates have the same name")
        return found
