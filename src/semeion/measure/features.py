"""The measurements of a case by name, as a classifier takes them and a report explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from semeion.cohort.volume import Volume
from semeion.measure import cardiac, definitions
from semeion.measure.cardiac import measure_heart
from semeion.measure.definitions import unit_of
from semeion.measure.pattern import Definition
from semeion.measure.region import measure_intensities, measure_labels, measurement_names
from semeion.measure.spec import Measurements

PLACES = ("recist_slice",)
"""Measurements that say where and not how much: no classifier learns from them."""


def measure_case(
    masks: Sequence[Volume], spec: Measurements, images: Sequence[Sequence[Volume]] = (), *, where: str
) -> dict[str, float]:
    """Return every measurement of a case, by name, in the order of :func:`feature_definitions`.

    Parameters
    ----------
    masks
        One a name of ``spec.images``, in that order, each with one plane.
    spec
        What to measure.
    images
        Needed for intensity: of each mask the channels of its image, in the order of ``spec.channels`` (or the image
        alone), each with one plane on the grid of the mask.
    where
        What an error calls the case.

    Returns
    -------
    dict
        NaN where a measurement cannot be taken, for example of a structure that the mask lacks.

    Raises
    ------
    InputError
        A mask with several planes, values that are no labels, or an image on another grid.
    ValueError
        When the number of masks or images is not that of `spec`.
    """
    if len(masks) != len(spec.images) or (spec.intensity and len(images) != len(masks)):
        raise ValueError(f"{len(masks)} masks and {len(images)} images for {len(spec.images)} names")
    channels = spec.channels or [""]
    if spec.intensity and any(len(planes) != len(channels) for planes in images):
        raise ValueError(f"an image has not the channels {', '.join(channels)}")
    if spec.kind == "heart":
        ed, es = masks
        return measure_heart(ed, es, spec.structures, ed_where=f"{where}, mask ED", es_where=f"{where}, mask ES")
    found: dict[str, float] = {}
    for number, (name, mask) in enumerate(zip(spec.images, masks, strict=True)):
        what = f"{where}, mask {name}".rstrip()
        measured = measure_labels(mask, spec.structures, absent="nothing", where=what)
        found |= {_prefixed(name, key): value.value for key, value in measured.items() if not key.endswith(PLACES)}
        for channel, plane in zip(channels, images[number] if spec.intensity else (), strict=spec.intensity):
            seen = measure_intensities(mask, spec.structures, plane, texture=spec.texture, where=what)
            found |= {_prefixed(name, _prefixed(channel, key)): value.value for key, value in seen.items()}
    return found


def feature_definitions(spec: Measurements, units: Sequence[str | None] | None = None) -> dict[str, Definition]:
    """Return what each measurement of `spec` is, by name, in order; `units` are of the channels' values (``HU``)."""
    if spec.kind == "heart":
        return {definition.name: definition for definition in cardiac.DEFINITIONS}
    found: dict[str, Definition] = {}
    for image in spec.images:
        for structure in spec.structures:
            names = [name for name in measurement_names(image=False, texture=False) if name not in PLACES]
            found |= _defined(names, image, "", structure)
        channels = (spec.channels or [""]) if spec.intensity else []
        for channel, unit in zip(channels, units or [None] * len(channels), strict=True):
            for structure in spec.structures:
                names = [one.name for one in (*definitions.STATISTICS, *(definitions.TEXTURE if spec.texture else ()))]
                found |= _defined(names, image, channel, structure, unit)
    return found


def _defined(
    names: Sequence[str], image: str, channel: str, structure: str, of_image: str | None = None
) -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for name in names:
        base = definitions.DEFINITIONS[name]
        key = _prefixed(image, _prefixed(channel, f"{structure}_{name}"))
        place = f"{f' in {channel}' if channel else ''}{f' at {image}' if image else ''}"
        title = f"{structure}{place}: {base.title[:1].lower()}{base.title[1:]}"
        found[key] = replace(base, name=key, title=title, unit=unit_of(name, of_image))
    return found


def _prefixed(image: str, name: str) -> str:
    return f"{image}_{name}" if image else name
