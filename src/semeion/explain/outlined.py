"""Explanations of a diagnosis from measurements: the outlines that were measured, over the image, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semeion.errors import SemeionError
from semeion.explain.account import Account
from semeion.explain.content import case_content, why_nothing
from semeion.explain.files import Writer, file_stem
from semeion.explain.overlay import to_png
from semeion.explain.planes import mask_picture
from semeion.explain.values import values_json
from semeion.model.findings import Finding
from semeion.model.mask_findings import read_volumes
from semeion.prepare.case import planes_of

if TYPE_CHECKING:
    from semeion.cohort.volume import Volume
    from semeion.explain.asking import How
    from semeion.model.cases import Case
    from semeion.model.manifest import Manifest

METHOD = "measurements"
FAILURES = (SemeionError, MemoryError, OSError, RuntimeError, ValueError)
"""What may go wrong while outlines are drawn."""


def outlined_findings(
    found: Iterable[Finding],
    cases: Iterable[Case],
    paths: Iterable[tuple[Path, ...]],
    manifest: Manifest,
    folder: Path,
    how: How,
) -> Iterator[Finding]:
    """Write the explanation of every finding, and yield it with the path of what was written.

    Parameters
    ----------
    found
        Findings of a model that measures, one a case.
    cases, paths
        The cases in the same order, and where the masks of their images were written.
    manifest
        Of the model.
    folder
        Of the explanations.
    how
        What was asked; there is one method.
    """
    account, writer = Account(folder, manifest), Writer()
    try:
        for finding, case, masks in zip(found, cases, paths, strict=True):
            about = case_content(manifest, [finding])
            why = why_nothing(finding)
            explained = [] if why else [_explain(finding, case, masks, manifest, folder, writer)]
            path = account.add([finding])
            writer.json(path, about | {"explained": explained, "why_no_map": why})
            pictures = [name for one in explained for name in one["pictures"]]
            yield replace(finding, explanation=str(folder / pictures[0]) if len(pictures) == 1 else str(path))
    finally:
        writer.close()
    account.write(how)


def _explain(
    finding: Finding, case: Case, masks: tuple[Path, ...], manifest: Manifest, folder: Path, writer: Writer
) -> dict[str, Any]:
    """Draw the outlines of a case, and return what its JSON says of them."""
    from semeion.cohort.volumes.read import read_volume

    if manifest.measured is None or manifest.segmentation is None:
        raise ValueError("the model measures nothing")
    names = dict(zip(manifest.segmentation.values, manifest.measured.structures, strict=True))
    images = manifest.measured.measurements.images
    pictures, remark = [], ""
    try:
        drawn = [
            to_png(mask_picture(volume, read_volume(str(path)), names))
            for volume, path in zip(_volumes(case, manifest), masks, strict=True)
        ]
    except FAILURES as error:  # the finding stands, and one odd image must not lose the others
        what = error.what if isinstance(error, SemeionError) else str(error) or "memory ran out"
        drawn, remark = [], f"The outlines could not be drawn ({what})."
    for image, data in zip(images, drawn, strict=False):
        pictures.append(f"{file_stem(case.case_id, image)}.png")
        writer.bytes(folder / pictures[-1], partial(bytes, data))
    return {
        "class": finding.call if finding.call in manifest.classes else manifest.classes[int(np.argmax(finding.p))],
        "method": METHOD,
        "sentence": "The structures were outlined and measured, and the measurements classified.",
        "remark": remark,
        "values": values_json(list(finding.values)),
        "members": [{"name": member.name, "share": None} for member in manifest.members],
        "pictures": pictures,
        "maps": [path.name for path in masks if path.parent == folder],
    }


def _volumes(case: Case, manifest: Manifest) -> list[Volume]:
    """Return the first channel's volume of each image that is measured."""
    given = [source for source in (case.source, *case.others) if isinstance(source, str)]
    volumes = read_volumes(given, manifest)
    groups = manifest.inputs.groups
    if groups > 1 and len(volumes) == 1:
        return planes_of(volumes[0], groups)
    return volumes if groups > 1 else volumes[:1]
