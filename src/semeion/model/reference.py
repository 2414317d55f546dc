"""What the training cases look like to the model, and how far from that a new case is.

A case is far when its features, as one graph of the model gives them, lie far from those of the training cases: in the
subspace in which training cases vary by the Mahalanobis distance from the nearest class mean with one shrunk covariance
(Lee et al., A simple unified framework for detecting out-of-distribution samples and adversarial attacks, NeurIPS 2018,
section 2.1), and beside that subspace by the length of what is left (Wang et al., ViM, CVPR 2022, section 4). Both are
logarithms, standardised by those of cases held out, and the larger counts. numpy only.

The file holds means, a covariance, a projection and quantiles: nothing of any single case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, field_validator, model_validator

from semeion.errors import ModelRefused
from semeion.model.combine import Floats
from semeion.model.linear import MAX_FEATURES
from semeion.model.manifest import Manifest, Task
from semeion.model.manifest_file import explain
from semeion.model.manifest_parts import MAX_CLASSES, MAX_MEMBERS, Count, Name, Part, Text, check_path
from semeion.model.pixel_statistics import PIXELS, WIDTH
from semeion.model.strict_json import read_strict

REFERENCE = "reference.json"
MAX_REFERENCE = 32 << 20
"""Largest file that is read, in bytes."""
MAX_DIMS = 64
MAX_COLUMNS = 4096
"""Most features of a graph that distances are taken of; of more every n-th is."""
RATE = 0.025
"""Share of cases of the training cases' kind that all limits together may mark."""
_TINY = 1e-12
_AGAIN = "get the model from its source again"

Number = Annotated[float, Field(ge=-1e12, le=1e12)]
Positive = Annotated[float, Field(ge=1e-12, le=1e12)]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=MAX_COLUMNS)]
Place = Annotated[list[Number], Field(min_length=1, max_length=MAX_DIMS)]
Rate = Annotated[float, Field(gt=0, lt=0.5)]
Features = npt.NDArray[np.float32]


class Space(Part):
    """Where the training cases lie among the features of one graph.

    Attributes
    ----------
    graph, width, columns
        Path of the graph, how many features it gives, and which of them are taken.
    mean, scale
        Of each of these: what is subtracted, and what the rest is divided by.
    projection
        Directions in which the training cases vary most, orthonormal rows.
    means, covariance
        Of the projected training cases: means of the classes that at least five patients have (one mean of all where
        the target has no classes), and their pooled covariance, shrunk (Ledoit and Wolf, J Multivariate Analysis
        88:365, 2004).
    location, spread
        Of the logarithms of both distances, Mahalanobis first, of cases held out: median, and the standard deviation by
        their quartiles.
    limit, far
        Scores above which a case is far, and far outside.
    quantiles
        Scores of cases held out by the share that lies below, each shared by at least five patients.
    rate, cases, patients
        Share of false alarms that the limit was set for, and how many it was set on.
    """

    graph: str
    width: Annotated[int, Field(ge=1, le=MAX_FEATURES)]
    columns: Annotated[list[Annotated[int, Field(ge=0, lt=MAX_FEATURES)]], Field(min_length=1, max_length=MAX_COLUMNS)]
    mean: Numbers
    scale: Annotated[list[Positive], Field(min_length=1, max_length=MAX_COLUMNS)]
    projection: Annotated[list[Numbers], Field(min_length=1, max_length=MAX_DIMS)]
    means: Annotated[list[Place], Field(min_length=1, max_length=MAX_CLASSES)]
    covariance: Annotated[list[Place], Field(min_length=1, max_length=MAX_DIMS)]
    location: tuple[Number, Number]
    spread: tuple[Positive, Positive]
    limit: Number
    far: Number
    quantiles: Annotated[dict[Name, Number], Field(max_length=20)] = Field(default_factory=dict)
    rate: Rate
    cases: Annotated[int, Field(ge=1, le=10**12)]
    patients: Annotated[int, Field(ge=1, le=10**12)]

    _inside = field_validator("graph")(check_path)

    @model_validator(mode="after")
    def _sound(self) -> Space:
        columns, dims = len(self.columns), len(self.projection)
        if sorted(set(self.columns)) != self.columns or self.columns[-1] >= self.width:
            raise ValueError("the columns do not rise, or there is none of that number")
        if not columns == len(self.mean) == len(self.scale) or any(len(row) != columns for row in self.projection):
            raise ValueError("mean, scale and every direction must hold one number a column")
        if len(self.covariance) != dims or any(len(row) != dims for row in (*self.means, *self.covariance)):
            raise ValueError("means and covariance must hold one number a direction")
        if not self.limit < self.far:
            raise ValueError("far outside is not farther than far")
        try:
            np.linalg.cholesky(np.array(self.covariance))
        except np.linalg.LinAlgError as error:
            raise ValueError("the covariance is not positive definite") from error
        return self


class Disagreement(Part):
    """How far members may contradict one another.

    Attributes
    ----------
    groups
        Names of members that learned from the same cases, group by group.
    limit, rate
        Of :func:`disagreement`, and the share of cases held out that lie above it.
    """

    groups: Annotated[
        list[Annotated[list[Name], Field(min_length=2, max_length=MAX_MEMBERS)]],
        Field(min_length=1, max_length=MAX_MEMBERS),
    ]
    limit: Annotated[float, Field(ge=0, le=1e12)]
    rate: Rate


class MeasuredRange(Part):
    """Usual ends of each measurement, and the share of a case's measurements that may lie beyond them."""

    features: Annotated[list[Name], Field(min_length=1, max_length=MAX_FEATURES)]
    low: Annotated[list[Number], Field(min_length=1, max_length=MAX_FEATURES)]
    high: Annotated[list[Number], Field(min_length=1, max_length=MAX_FEATURES)]
    limit: Annotated[float, Field(ge=0, le=1)]

    @model_validator(mode="after")
    def _sound(self) -> MeasuredRange:
        if not len(self.features) == len(self.low) == len(self.high):
            raise ValueError("every measurement has two ends")
        return self


class Reference(Part):
    """What ships as ``reference.json``. A part that is None could not be made, and `reason` says why.

    `space` is of the features of a graph, `pixels` of statistics of the prepared image
    (:func:`semeion.model.pixel_statistics.statistics_of`), whose `graph` is ``pixels``.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    space: Space | None = None
    pixels: Space | None = None
    disagreement: Disagreement | None = None
    measurements: MeasuredRange | None = None
    reason: Text | None = None
    patients: Count = 0

    @property
    def empty(self) -> bool:
        """Whether no part could be made, so that there is nothing to ship."""
        return not any((self.space, self.pixels, self.disagreement, self.measurements))

    def files(self) -> dict[str, bytes]:
        """Return the file by its path in the model folder; none where there is nothing to ship."""
        return {} if self.empty else {REFERENCE: self.model_dump_json(by_alias=True, exclude_none=True).encode()}


def open_reference(data: bytes, manifest: Manifest, *, where: str) -> Reference:
    """Read the reference of a model from the bytes of its file, as hostile input.

    Raises
    ------
    ModelRefused
        When it is too large or no such JSON, or names a graph, members or measurements that the model has not.
    """
    if len(data) > MAX_REFERENCE:
        raise ModelRefused(f"the reference is larger than {MAX_REFERENCE >> 20} MiB", where=where, fix=_AGAIN)
    try:
        read_strict(data, MAX_REFERENCE)
        found = Reference.model_validate_json(data, strict=True)
    except ValidationError as error:
        what = f"not a reference of training cases ({explain(error)})"
        raise ModelRefused(what, where=where, fix=_AGAIN) from error
    except ValueError as error:
        what = "not a reference of training cases: its JSON cannot be read"
        raise ModelRefused(what, where=where, fix=_AGAIN) from error
    graphs = {member.file for member in manifest.members if member.kind != "covariates"}
    if found.space is not None and (manifest.outlines or found.space.graph not in graphs):
        raise ModelRefused(f"no member has the graph {found.space.graph!r}", where=where, fix=_AGAIN)
    if found.pixels is not None and (found.pixels.graph, found.pixels.width) != (PIXELS, WIDTH):
        what = f"statistics of pixels are {WIDTH} numbers, and the reference is of {found.pixels.width}"
        raise ModelRefused(what, where=where, fix=_AGAIN)
    names = {member.name for member in manifest.members}
    groups = found.disagreement.groups if found.disagreement is not None else []
    if unknown := sorted({name for group in groups for name in group} - names):
        raise ModelRefused(f"there is no member {unknown[0]!r}", where=where, fix=_AGAIN)
    if found.measurements is not None and manifest.measured is None:
        raise ModelRefused("there are ranges of measurements, and the model takes none", where=where, fix=_AGAIN)
    return found


class Distances:
    """Distances of cases from the training cases, as a :class:`Space` says."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.columns = np.array(space.columns)
        self.mean, self.scale = np.array(space.mean), np.array(space.scale)
        self.projection, self.means = np.array(space.projection), np.array(space.means)
        self.root = np.linalg.inv(np.linalg.cholesky(np.array(space.covariance)))

    def project(self, features: npt.ArrayLike) -> Floats:
        """Return features ``(N, width)`` in the directions of the training cases, float64 ``(N, directions)``."""
        return np.asarray(self._standard(features) @ self.projection.T)

    def scores(self, features: npt.ArrayLike) -> Floats:
        """Return the score of each case, ``(N,)``; infinite where a feature is no number."""
        apart = logarithms(distances(self._standard(features), self.projection, self.means, self.root), self.projection)
        score = ((apart - np.array(self.space.location)) / np.array(self.space.spread)).max(axis=1)
        return np.where(np.isfinite(score), score, np.inf)

    def _standard(self, features: npt.ArrayLike) -> Floats:
        values = np.asarray(features, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != self.space.width:
            raise ValueError(f"features must be (N, {self.space.width}), got {values.shape}")
        return np.asarray((values[:, self.columns] - self.mean) / self.scale)


def distances(standard: Floats, projection: Floats, means: Floats, root: Floats) -> Floats:
    """Return the Mahalanobis distance from the nearest mean, and the length beside the projection, ``(N, 2)``.

    Parameters
    ----------
    standard
        Standardised features, ``(N, P)``.
    projection, means
        Orthonormal rows ``(D, P)``, and means ``(K, D)``.
    root
        Inverse of the Cholesky factor of the covariance, ``(D, D)``.
    """
    with np.errstate(invalid="ignore"):  # a feature that is no number makes a distance that is none
        inside = standard @ projection.T
    beside = np.sqrt(np.square(standard - inside @ projection).sum(axis=1))
    white, centres = inside @ root.T, means @ root.T
    nearest = np.sqrt(np.square(white[:, None] - centres[None]).sum(axis=2).min(axis=1))
    return np.stack([nearest, beside], axis=1)


def logarithms(apart: Floats, projection: Floats) -> Floats:
    """Return the logarithms of both distances; below a thousandth of a standard deviation a feature they are alike."""
    least = 1e-3 * np.sqrt(np.array(projection.shape))
    return np.asarray(np.log(np.maximum(apart, least)))


def disagreement(said: npt.ArrayLike, groups: Sequence[Sequence[int]], task: Task) -> Floats:
    """Return how far members contradict one another, ``(N,)``.

    Of probabilities the mutual information of call and member, in nats (Houlsby et al., Bayesian active learning for
    classification and preference learning, arXiv:1112.5745, 2011): the entropy of the mean less the mean entropy, of a
    multi-label target that of the label of which it is largest; of values their standard deviation. The mean over
    groups.

    Parameters
    ----------
    said
        Probabilities or values of the members, ``(M, N, K)``.
    groups
        Places of the members that learned from the same cases, two or more a group.
    task
        What K means.
    """
    values = np.asarray(said, dtype=np.float64)
    found = []
    for places in groups:
        own = values[list(places)]
        if task == "regression":
            found.append(own[..., 0].std(axis=0))
        elif task == "multilabel":
            both = np.stack([own, 1 - own], axis=-1)
            found.append((_entropy(both.mean(axis=0)) - _entropy(both).mean(axis=0)).max(axis=-1))
        else:
            found.append(_entropy(own.mean(axis=0)) - _entropy(own).mean(axis=0))
    return np.asarray(np.maximum(np.mean(found, axis=0), 0.0))


def _entropy(p: Floats) -> Floats:
    return np.asarray(-(p * np.log(np.maximum(p, _TINY))).sum(axis=-1))


def turns(array: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.uint8]]:
    """Return a prepared picture ``(C, H, W)`` turned and mirrored, by words; a quarter turn where it is square."""
    made = {"turned upside down": array[:, ::-1, ::-1], "mirrored top to bottom": array[:, ::-1]}
    if array.shape[1] == array.shape[2]:
        made["turned a quarter to the left"] = np.rot90(array, 1, (1, 2))
        made["turned a quarter to the right"] = np.rot90(array, -1, (1, 2))
    return {words: np.ascontiguousarray(one) for words, one in made.items()}


def far_reasons(
    distances: Distances,
    features: npt.ArrayLike,
    arrays: Sequence[npt.NDArray[np.uint8]],
    again: Callable[[npt.NDArray[np.uint8]], npt.ArrayLike],
    prefix: str = "features",
) -> list[tuple[str, ...]]:
    """Return for each case the coded reasons that its features are far from those of the training cases.

    Parameters
    ----------
    distances
        From the training cases.
    features
        Of the cases, ``(N, width)``.
    arrays
        The cases as the networks see them. A picture that is far is looked at again turned and mirrored: where it then
        is not, it says so, and is not called far outside.
    again
        Gives the features of a batch of prepared cases.
    prefix
        Of the codes: ``features`` or ``pixels``.
    """
    space = distances.space
    found: list[tuple[str, ...]] = []
    for array, score in zip(arrays, distances.scores(features), strict=True):
        if score <= space.limit:
            found.append(())
            continue
        text = f"distance {score:.3g}, and at most {space.limit:.3g} in all but {space.rate:.1%} of cases held out"
        code = f"{prefix}-outside" if score > space.far else f"{prefix}-far"
        if array.ndim == 3:
            made = turns(array)
            other = distances.scores(again(np.stack(list(made.values()))))
            best = int(np.argmin(other))
            if other[best] <= space.limit:
                found.append((f"{prefix}-far: {text}", f"rotated: {list(made)[best]} it would be {other[best]:.3g}"))
                continue
        found.append((f"{code}: {text}",))
    return found


def disagreeing(reference: Disagreement, members: Sequence[str], said: Floats, task: Task) -> list[tuple[str, ...]]:
    """Return for each case the coded reason that the members contradict one another; `said` is ``(M, N, K)``."""
    place = {name: number for number, name in enumerate(members)}
    groups = [[place[name] for name in group] for group in reference.groups]
    return [
        (f"members-disagree: {one:.3g}, and at most {reference.limit:.3g} in nearly all cases held out",)
        if one > reference.limit
        else ()
        for one in disagreement(said, groups, task)
    ]


def measured_reasons(known: MeasuredRange, values: Mapping[str, float]) -> tuple[str, ...]:
    """Return the coded reason that too many of a case's measurements lie beyond those of the training cases."""
    share = share_beyond(np.array([[values[name] for name in known.features]]), known.low, known.high)[0]
    if not share > known.limit:
        return ()
    return (f"measurements-far: {share:.0%} beyond those of the training cases, and at most {known.limit:.0%} usual",)


def share_beyond(x: Floats, low: Sequence[float], high: Sequence[float]) -> Floats:
    """Return the share of each case's measurements ``(N, F)`` beyond the ends; those not taken do not count."""
    taken = np.isfinite(x)
    beyond = taken & ((x < np.asarray(low)) | (x > np.asarray(high)))
    return np.asarray(beyond.sum(axis=1) / np.maximum(taken.sum(axis=1), 1), dtype=np.float64)
