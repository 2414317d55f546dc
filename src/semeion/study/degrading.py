"""Reads cases in many versions, as they are and made worse, with the shipped model's own preparation and networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from semeion.artefacts import write_bytes, write_json
from semeion.audit.degrade import Degradation, Key, degrade_picture
from semeion.cohort.image import Image
from semeion.cohort.volume import Volume
from semeion.errors import ImageError
from semeion.evidence.use.robustness import UNDEGRADED
from semeion.model.runtime import Model
from semeion.parallel import ordered_map
from semeion.prepare.case import Pixels, prepare_case, read_case
from semeion.prepare.spec import Preparation
from semeion.study.folder import RunFolder
from semeion.study.gallery import to_png

BATCH, BATCH_PIXELS = 64, 1 << 19
"""Cases, and pixels, that a network sees at once."""
STRIPS = "robustness.json"
TILE, GAP = 112, 6
"""Side of a picture in a strip, and what is between two."""


@dataclass(frozen=True)
class Version:
    """One version of a case's images; `how` is None for those as they are."""

    name: str
    strength: float
    how: Degradation | None = None


class Reader:
    """Reads cases in all versions.

    Parameters
    ----------
    model
        The shipped model; it classifies or measures a value.
    degradations
        What is done.
    seed
        Of what is random.
    covariates
        What is known of each case besides images, by case id and column; they stay as they are.
    """

    def __init__(
        self,
        model: Model,
        degradations: Sequence[Degradation],
        seed: int,
        covariates: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.model, self.degradations, self.seed = model, tuple(degradations), seed
        self.covariates = covariates or {}
        self.versions = (
            Version(UNDEGRADED, 0.0),
            *(Version(one.name, strength, one) for one in self.degradations for strength in one.strengths),
        )
        self.spec, self.inputs = model.manifest.preparation, model.manifest.inputs

    def read(
        self, cases: Sequence[str], references: Sequence[Sequence[str]], jobs: int | None
    ) -> npt.NDArray[np.float64]:
        """Return combined probabilities before calibration, float64 ``(cases, versions, outputs)``.

        Raises
        ------
        InputError
            When an image cannot be read.
        """
        pairs = list(zip(cases, references, strict=True))
        prepared = zip(cases, self._prepared(pairs, jobs), strict=True)
        return np.stack([np.concatenate(list(self._judged(arrays, case))) for case, arrays in prepared])

    def _prepared(self, pairs: Sequence[tuple[str, Sequence[str]]], jobs: int | None) -> Iterator[Iterator[Pixels]]:
        """Yield each case's versions; pictures on several threads, volumes one by one for want of memory."""
        if isinstance(self.spec, Preparation):
            yield from map(iter, ordered_map(lambda pair: list(self.prepared(*pair)), pairs, jobs=jobs))
        else:
            yield from (self.prepared(*pair) for pair in pairs)

    def prepared(self, case: str, references: Sequence[str]) -> Iterator[Pixels]:
        """Yield a case as the networks see it, version by version, uint8 ``(planes, (slices,) rows, columns)``."""
        try:
            images = read_case(references, self.spec, self.inputs.groups, names=self.inputs.names)
        except ImageError as error:
            # The reason stands on the page, where the name of a file may say whose it is.
            raise ImageError(error.what, where=f"case {case}", fix=error.fix) from error
        for version in self.versions:
            yield prepare_case(self._degraded(images, version, case), self.spec, self.inputs.groups)

    def _degraded(self, images: Any, version: Version, case: str) -> Any:
        how = version.how
        if how is None:
            return images
        if isinstance(self.spec, Preparation):
            size = (*self.spec.size, self.spec.fit == "stretch")
            pictures = [image for image in images if isinstance(image, Image)]
            return [
                degrade_picture(image, how, version.strength, Key(self.seed, case, number), size)
                for number, image in enumerate(pictures)
            ]
        from semeion.audit.degrade_volume import degrade_volume

        volumes = [image for image in images if isinstance(image, Volume)]
        return [
            degrade_volume(volume, how, version.strength, Key(self.seed, case, number), volumes[0].grid)
            for number, volume in enumerate(volumes)
        ]

    def _judged(self, arrays: Iterator[Pixels], case: str) -> Iterator[npt.NDArray[np.float64]]:
        """Yield combined probabilities of a case's versions, batch by batch."""
        batch: list[Pixels] = []

        def judged() -> npt.NDArray[np.float64]:
            known = {name: [value] * len(batch) for name, value in self.covariates.get(case, {}).items()}
            return self.model.combined(np.stack(batch), known)

        for array in arrays:
            batch.append(array)
            if len(batch) >= max(1, min(BATCH, BATCH_PIXELS // math.prod(array.shape[1:]))):
                yield judged()
                batch = []
        if batch:
            yield judged()


def write_strips(run: RunFolder, reader: Reader, case: str, references: Sequence[str]) -> None:
    """Write one case at every strength into ``gallery/``: a PNG a degradation, and ``gallery/robustness.json``."""
    first: npt.NDArray[np.uint8] | None = None
    tiles: dict[str, list[npt.NDArray[np.uint8]]] = {}
    for version, array in zip(reader.versions, reader.prepared(case, references), strict=True):
        tile = _tile(array, 1 if array.ndim == 4 else reader.inputs.images)
        if version.how is None:
            first = tile
        else:
            tiles.setdefault(version.name, [tile if first is None else first]).append(tile)
    entries = []
    for name, row in tiles.items():
        file = f"robustness-{name}.png"
        gap = np.full((TILE, GAP, 3), 255, dtype=np.uint8)
        parts = [part for tile in row for part in (gap, tile)][1:]
        done, data = cv2.imencode(".png", np.concatenate(parts, axis=1))
        if not done:
            raise RuntimeError("OpenCV could not encode a PNG")
        write_bytes(run / "gallery" / file, data.tobytes())
        entries.append({"degradation": name, "file": file, "pictures": len(row)})
    write_json(run / "gallery" / STRIPS, {"case_id": case, "strips": entries})


def _tile(array: Pixels, images: int) -> npt.NDArray[np.uint8]:
    """Return the first image of a prepared case, of a volume its middle slice, in a square of `TILE` pixels."""
    plane = array[:1, array.shape[1] // 2] if array.ndim == 4 else np.split(array, images)[0]
    png = np.frombuffer(to_png(np.ascontiguousarray(plane)), np.uint8)
    shown = np.asarray(cv2.imdecode(png, cv2.IMREAD_COLOR))
    scale = TILE / max(shown.shape[:2])
    size = max(1, round(shown.shape[1] * scale)), max(1, round(shown.shape[0] * scale))
    small = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    square = np.zeros((TILE, TILE, 3), dtype=np.uint8)
    top, left = (TILE - size[1]) // 2, (TILE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square
