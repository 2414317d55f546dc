"""Findings of a diagnosis from measurements: outline, measure, classify, and say which measurement drove it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from semeion.errors import ImageError, InputError, MachineError, ModelRefused, SemeionError
from semeion.model.averaged import average
from semeion.model.cases import Case
from semeion.model.combine import calibrate, called, shipped_maps
from semeion.model.deciding import decide
from semeion.model.findings import Finding, reason
from semeion.model.gate import volume_remarks, why_unread
from semeion.model.manifest import Manifest
from semeion.model.manifest_file import explain
from semeion.model.mask_findings import read_volumes
from semeion.model.masks import Format, mask_paths, write_mask
from semeion.model.measured_words import images_say, measured_text, measured_values
from semeion.model.observing import Observer, Seen, show
from semeion.model.reference import Reference, measured_reasons
from semeion.model.segment import Segmenter, as_values
from semeion.model.sets import facts_of
from semeion.model.strict_json import read_strict
from semeion.model.trees import TreeMember, Trees
from semeion.model.values import ValueReference
from semeion.prepare.case import planes_of
from semeion.progress import Progress

if TYPE_CHECKING:
    from semeion.cohort.volume import Volume
    from semeion.model.sentences import Value

MAX_TREES = 256 << 20
"""Largest file of trees that is read, in bytes."""
FAILURES = (InputError, MachineError, MemoryError, OSError, ValueError, RuntimeError)
"""What may go wrong with one case; the others go on."""


def open_trees(data: bytes, manifest: Manifest, *, where: str) -> TreeMember:
    """Read the trees of a model from the bytes of their file.

    Raises
    ------
    ModelRefused
        When they are none, or do not fit the manifest's classes and measurements.
    """
    again = "get the model from its source again"
    try:
        read_strict(data, MAX_TREES)
        trees = Trees.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise ModelRefused(f"holds no trees ({explain(error)})", where=where, fix=again) from error
    except ValueError as error:
        raise ModelRefused("holds no trees: its JSON cannot be read", where=where, fix=again) from error
    if manifest.measured is None or trees.outputs != len(manifest.classes):
        raise ModelRefused(f"the trees have {trees.outputs} outputs, not the model's classes", where=where, fix=again)
    from semeion.measure.features import feature_definitions

    unknown = set(trees.features) - set(feature_definitions(manifest.measured.measurements))
    if unknown:
        raise ModelRefused(f"the measurement {sorted(unknown)[0]!r} is not taken", where=where, fix=again)
    return TreeMember(trees)


def measured_findings(
    segmenter: Segmenter,
    trees: TreeMember,
    manifest: Manifest,
    digest: str,
    cases: Sequence[Case],
    progress: Progress,
    folder: Path | None = None,
    suffix: Format = "nii.gz",
    images: Callable[[Case], Finding] | None = None,
    *,
    abstain: bool = True,
    known: Reference | None = None,
    reference: ValueReference | None = None,
    observers: Sequence[Observer] = (),
) -> Iterator[Finding]:
    """Judge cases one after another; only one is in memory.

    Parameters
    ----------
    segmenter, trees, manifest, digest
        The model and its hash.
    cases
        From :func:`semeion.model.cases.list_cases`.
    progress
        Told of every case.
    folder, suffix
        Where masks are written and in which format; None: nowhere. Of several images a case the file's name ends in the
        image's: ``12.ED.nii.gz``.
    images
        What says of a case what networks that see its images themselves say; its probabilities are averaged with those
        of the measurements. None: measurements alone.
    abstain
        Whether the model may keep from calling; see :mod:`semeion.model.deciding`.
    known
        What the training cases measured; None: it is not known.
    reference
        What a person reads a measurement against; None: the model does not hold it.
    observers
        Who is shown every case: its finding, and its volumes as they were read.

    Yields
    ------
    Finding
        One a case: the call, calibrated probabilities, and in ``explanation`` the measurements that drove it most. A
        case that fails keeps its row.
    """
    if manifest.measured is None:
        raise ValueError("the model measures nothing")
    paths: list[tuple[Path, ...]] = [()] * len(cases)
    if folder is not None:
        paths = mask_paths(folder, cases, manifest.measured.measurements.images, suffix)
    progress.start("Outlining and measuring", len(cases))
    for case, own in zip(cases, paths, strict=True):
        volumes, why = _read(case, manifest)
        finding = Finding(case.case_id, case.image, manifest.target, "failed", None, (), (why,) if why else (), digest)
        if not why:
            finding = _judge(finding, case, volumes, segmenter, trees, manifest, own, images, abstain, known, reference)
        yield from show(observers, Seen(case, [finding], None, volumes, None, {}))
        progress.advance(1)
    progress.finish()


def _read(case: Case, manifest: Manifest) -> tuple[list[Volume], str]:
    """Return the volumes of a case, or the reason why there are none."""
    names = manifest.inputs.names or [""]
    sources = (case.source, *case.others)
    if None in sources:
        which = f"image {names[sources.index(None)]!r}" if len(names) > 1 else "image"
        return [], reason("missing-file", f"the table names no {which} for this case")
    given = _given(case)
    try:
        return read_volumes(given, manifest), ""
    except FAILURES as error:
        return [], _why(error, given)


def _given(case: Case) -> list[str]:
    return [source for source in (case.source, *case.others) if isinstance(source, str)]


def _judge(
    failed: Finding,
    case: Case,
    volumes: list[Volume],
    segmenter: Segmenter,
    trees: TreeMember,
    manifest: Manifest,
    paths: tuple[Path, ...],
    images: Callable[[Case], Finding] | None,
    abstain: bool,
    known: Reference | None,
    reference: ValueReference | None,
) -> Finding:
    """Return the finding of a case that was read; `failed` is what it is when something goes wrong."""
    from semeion.measure.features import measure_case

    if manifest.measured is None:
        raise ValueError("the model measures nothing")
    given = _given(case)
    try:
        drawn, planes, said = _outlined(segmenter, manifest, volumes)
    except FAILURES as error:
        return replace(failed, reasons=(_why(error, given),))
    try:
        for path, mask in zip(paths, drawn, strict=bool(paths)):
            write_mask(path, mask)
    except InputError as error:
        return replace(failed, reasons=(reason("not-prepared", error.what),))
    # Another error, such as a full disk, ends the whole: every later mask would be lost too.
    try:
        values = measure_case(drawn, manifest.measured.measurements, planes, where=f"case {case.case_id}")
    except InputError as error:
        return replace(failed, reasons=(reason("not-measured", error.what),))
    except FAILURES as error:
        return replace(failed, reasons=(_why(error, given),))
    x = np.array([[values[name] for name in trees.trees.features]])
    if not np.isfinite(x).any():
        return replace(failed, reasons=(reason("not-measured", "none of the measurements could be taken"),))
    raw = trees.probabilities(x)
    p = calibrate(raw, manifest.task, shipped_maps(manifest.calibration, tuple(manifest.classes)))
    reasons = tuple(reason(*text.split(": ", 1)) for text in dict.fromkeys(said))
    if images is not None:
        seen = images(case)
        if seen.status == "failed":
            return replace(failed, reasons=seen.reasons)
        raw, p = average(raw, [seen.raw]), average(p, [seen.p])
        reasons = tuple(dict.fromkeys((*reasons, *seen.reasons)))
    call = called(p, manifest.task, tuple(manifest.classes), manifest.positive, manifest.operating_point)[0]
    missing = [name for name, value in zip(trees.trees.features, x[0], strict=True) if not np.isfinite(value)]
    if missing:
        reasons = (*reasons, reason("measurement-missing", ", ".join(missing[:5])))
    if known is not None and known.measurements is not None:
        beyond = measured_reasons(known.measurements, values)
        reasons = (*reasons, *(reason(*text.split(": ", 1)) for text in beyond))
    facts = facts_of(
        manifest, manifest.target, manifest.classes[int(call)], p[0].tolist(), raw[0].tolist(), reasons, abstain=abstain
    )
    status, decided, reasons = decide(facts)
    told: list[Value] = []
    if status != "not_applicable":
        # What was called, else what is most probable: the class that an explanation names.
        index = int(call) if status == "called" else int(np.argmax(p[0]))
        told = measured_values(trees, values, index, manifest, reference)
        told += [] if images is None or not told else [images_say(told[0].scale)]
    return replace(
        failed,
        status=status,
        call=decided,
        p=tuple(map(float, p[0])),
        raw=tuple(map(float, raw[0])),
        reasons=reasons,
        mask=str(paths[0]) if paths else "",
        explanation=measured_text(told),
        values=tuple(told),
    )


def _why(error: Exception, given: Sequence[str]) -> str:
    """Return the reason of a finding for what went wrong with a case's images."""
    if isinstance(error, ImageError) and error.where in given:
        return reason(*why_unread(str(error.where), error))
    if isinstance(error, MachineError | MemoryError):
        what = error.what if isinstance(error, SemeionError) else "not enough memory for this image"
        return reason("too-large", what)
    return reason("not-prepared", error.what if isinstance(error, SemeionError) else str(error).strip().split("\n")[-1])


def _outlined(
    segmenter: Segmenter, manifest: Manifest, volumes: list[Volume]
) -> tuple[list[Volume], list[list[Volume]], list[str]]:
    """Return the mask of every image of a case, its channels where intensity is measured, and the warnings."""
    from semeion.prepare.volume import measured_planes

    measured, how = manifest.measured, manifest.segmentation
    if measured is None or how is None:
        raise ValueError("the model measures nothing")
    groups = volumes
    if manifest.inputs.groups > 1 and len(volumes) == 1:
        groups = planes_of(volumes[0], manifest.inputs.groups)
    drawn: list[Volume] = []
    planes: list[list[Volume]] = []
    said: list[str] = []
    for number in range(len(measured.measurements.images)):
        own = [groups[number]] if manifest.inputs.groups > 1 else volumes
        labels, prepared = segmenter.segment(own)
        said += volume_remarks(own, prepared.notes, manifest.inputs)
        # Whether the size of a voxel is known is said of the image, and measuring asks it of the mask.
        drawn.append(replace(as_values(labels, how.values), notes=prepared.notes))
        if measured.measurements.intensity:
            planes.append(measured_planes(own, segmenter.preparation))
    return drawn, planes, said
