"""Findings of a segmentation: one case after another, a row for each label, and the mask as a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from semeion.cohort.volume import knows_spacing
from semeion.errors import ImageError, InputError, MachineError, SemeionError
from semeion.model.cases import Case
from semeion.model.deciding import Facts, decide
from semeion.model.findings import Finding, reason
from semeion.model.gate import volume_remarks, why_unread
from semeion.model.manifest import Manifest
from semeion.model.masks import Format, mask_paths, write_mask
from semeion.model.observing import Observer, Seen, show
from semeion.model.segment import Segmenter, as_values, volumes_ml
from semeion.prepare.case import read_case
from semeion.progress import Progress

if TYPE_CHECKING:
    from semeion.cohort.volume import Volume
    from semeion.prepare.volume import PreparedVolume

DIGITS = 6
"""Significant digits of a volume in ml."""


@dataclass(frozen=True)
class _Read:
    """One case after reading: what the networks see, or why there is nothing."""

    case: Case
    prepared: PreparedVolume | None
    reasons: tuple[str, ...]
    volumes: tuple[Volume, ...] = ()
    """As they were read; kept only for observers who ask for them."""


def read_volumes(images: Sequence[str | os.PathLike[str] | Volume], manifest: Manifest) -> list[Volume]:
    """Return the volumes of one case from references or volumes, in the order of the model's channels.

    Raises
    ------
    ImageError
        When one cannot be read.
    """
    volumes: list[Volume] = []
    references = [os.fspath(image) for image in images if isinstance(image, (str, os.PathLike))]
    if len(references) == len(images):
        return cast("list[Volume]", read_case(references, manifest.preparation))
    for image in images:
        if isinstance(image, (str, os.PathLike)):
            volumes += cast("list[Volume]", read_case([os.fspath(image)], manifest.preparation))
        else:
            volumes.append(image)
    return volumes


def mask_findings(
    segmenter: Segmenter,
    manifest: Manifest,
    digest: str,
    cases: Sequence[Case],
    progress: Progress,
    folder: Path | None = None,
    suffix: Format = "nii.gz",
    *,
    abstain: bool = True,
    observers: Sequence[Observer] = (),
) -> Iterator[Finding]:
    """Segment cases one after another; the next is read while the networks run.

    Parameters
    ----------
    segmenter, manifest, digest
        The model and its hash.
    cases
        From :func:`semeion.model.cases.list_cases`.
    progress
        Told of every case.
    folder, suffix
        Where masks are written and in which format; None: nowhere.
    abstain
        Whether volumes of another kind keep from being measured; their masks are drawn all the same.
    observers
        Who is shown every case: its findings, and its volumes as they were read.

    Yields
    ------
    Finding
        For each case and label: the volume in ml, none where the size of a voxel is not known, and the mask's path. A
        case that fails keeps its rows, and the others go on.

    Raises
    ------
    InputError
        When masks would overwrite one another or an image, or a case's id cannot name a file, before anything is read.
    MachineError
        When a mask cannot be written.
    """
    paths = [None] * len(cases) if folder is None else [own[0] for own in mask_paths(folder, cases, suffix=suffix)]
    progress.start("Outlining", len(cases))
    keeps = any(observer.keeps_images for observer in observers)
    with ThreadPoolExecutor(1) as reader:
        ahead: Future[_Read] | None = None
        for number, path in enumerate(paths):
            read = ahead.result() if ahead is not None else _read(cases[number], segmenter, manifest, keeps)
            follows = number + 1 < len(cases)
            ahead = reader.submit(_read, cases[number + 1], segmenter, manifest, keeps) if follows else None
            found = list(_findings(read, segmenter, manifest, digest, path, abstain))
            yield from show(observers, Seen(read.case, found, None, read.volumes, None, {}))
            progress.advance(1)
    progress.finish()


def _read(case: Case, segmenter: Segmenter, manifest: Manifest, keeps: bool) -> _Read:
    from semeion.prepare.volume import prepare_volume

    names = manifest.inputs.names or [""]
    sources = (case.source, *case.others)
    if None in sources:
        which = f"image {names[sources.index(None)]!r}" if len(names) > 1 else "image"
        return _Read(case, None, (reason("missing-file", f"the table names no {which} for this case"),))
    given = [source for source in sources if isinstance(source, str)]
    try:
        volumes = read_volumes(given, manifest)
    except ImageError as error:
        code, text = why_unread(error.where if error.where in given else given[0], error)
        return _Read(case, None, (reason(code, _named(text, given, error, manifest)),))
    except (MemoryError, OSError, RuntimeError, ValueError) as error:
        return _Read(case, None, (_other(error),))
    try:
        prepared = prepare_volume(volumes, segmenter.preparation)
    except InputError as error:
        fix = f", {error.fix}" if error.fix else ""
        return _Read(case, None, (reason("not-prepared", f"{error.what}{fix}"),))
    except (MemoryError, ValueError, RuntimeError) as error:
        return _Read(case, None, (_other(error),))
    said = volume_remarks(volumes, prepared.notes, manifest.inputs)
    remarks = tuple(reason(*text.split(": ", 1)) for text in said)
    return _Read(case, prepared, remarks, tuple(volumes) if keeps else ())


def _named(text: str, given: Sequence[str], error: ImageError, manifest: Manifest) -> str:
    """Return the text of an error with the name of the channel whose file it is about, where there are several."""
    names = manifest.inputs.names
    if len(given) < 2 or error.where not in given:
        return text
    return f"image {names[given.index(error.where)]!r} {text}"


def _other(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return reason("too-large", "not enough memory to read the image")
    return reason("not-prepared", str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__)


def _findings(
    read: _Read, segmenter: Segmenter, manifest: Manifest, digest: str, path: Path | None, abstain: bool
) -> Iterator[Finding]:
    case, reasons = read.case, read.reasons
    labels: Volume | None = None
    if read.prepared is not None:
        try:
            labels = segmenter.labels(read.prepared)
        except ImageError as error:
            reasons = (*reasons, reason("not-finite", error.what))
        except (MachineError, MemoryError) as error:
            what = error.what if isinstance(error, SemeionError) else "not enough memory for this image"
            reasons = (*reasons, reason("too-large", what))
        except (RuntimeError, ValueError) as error:  # one odd volume must not lose the others
            reasons = (*reasons, _other(error))
    how = manifest.segmentation
    if labels is not None and how is not None and path is not None:
        try:
            write_mask(path, as_values(labels, how.values))
        except InputError as error:
            labels, reasons = None, (*reasons, reason("not-prepared", error.what))
    if labels is None or how is None:
        for name in manifest.classes:
            yield Finding(case.case_id, case.image, name, "failed", None, (), reasons, digest)
        return
    written = str(path) if path is not None else ""
    known = knows_spacing(labels.notes)  # else a reason says so, and there is no volume to tell
    for name, volume in zip(manifest.classes, volumes_ml(labels, len(manifest.classes)), strict=True):
        status, told, said = decide(Facts(_shown(volume) if known else None, reasons, abstain=abstain))
        yield Finding(case.case_id, case.image, name, status, told, (), said, digest, (), written)


def _shown(millilitres: float) -> float:
    """Return a volume with the digits that count of voxels and spacing give: 2.3, not 2.3000000000000003."""
    return float(f"{millilitres:.{DIGITS}g}")
