"""The measurements of a case by name, as a classifier takes them and a report explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from semeion.cohort.volume import Volume
from semeion.measure import cardiac, definitions
from semeion.measure.cardiac import measure_heart
from semeion.measure.definitions import unit_of
from semeion.measure.pattern import Definition
from semeion.measure.region import measure_labels, measurement_names
from semeion.measure.spec import Measurements

PLACES = ("recist_slice",)
"""Measurements that say where and not how much: no classifier learns from them."""


def measure_case(
    masks: Sequence[Volume], spec: Measurements, images: Sequence[Volume] = (), *, where: str
) -> dict[str, float]:
    """Return every measurement of a case, by name, in the order of :func:`feature_definitions`.

    Parameters
    ----------
    masks
        One a name of ``spec.images``, in that order, each with one plane.
    spec
        What to measure.
    images
        On the grids of the masks; needed for intensity.
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
    if spec.kind == "heart":
        ed, es = masks
        return measure_heart(ed, es, spec.structures, ed_where=f"{where}, mask ED", es_where=f"{where}, mask ES")
    found: dict[str, float] = {}
    for number, (name, mask) in enumerate(zip(spec.images, masks, strict=True)):
        measured = measure_labels(
            mask,
            spec.structures,
            images[number] if spec.intensity else None,
            texture=spec.texture,
            absent="nothing",
            where=f"{where}, mask {name}".rstrip(),
        )
        found |= {_prefixed(name, key): value.value for key, value in measured.items() if not key.endswith(PLACES)}
    return found


def feature_definitions(spec: Measurements) -> dict[str, Definition]:
    """Return what each measurement of `spec` is, by name, in order."""
    if spec.kind == "heart":
        return {definition.name: definition for definition in cardiac.DEFINITIONS}
    found: dict[str, Definition] = {}
    for image in spec.images:
        for structure in spec.structures:
            names = measurement_names(image=spec.intensity, texture=spec.texture)
            for name in (name for name in names if name not in PLACES):
                base = definitions.DEFINITIONS[name]
                key = _prefixed(image, f"{structure}_{name}")
                title = f"{structure}{f' at {image}' if image else ''}: {base.title[:1].lower()}{base.title[1:]}"
                found[key] = replace(base, name=key, title=title, unit=unit_of(name, None))
    return found


def _prefixed(image: str, name: str) -> str:
    return f"{image}_{name}" if image else name
