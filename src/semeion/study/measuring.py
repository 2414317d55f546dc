"""From outlined cases to tables of measurements: of every network alone, of all that may look, and of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from semeion.artefacts import read_json, write_json
from semeion.cohort.cohort import Cohort, Target
from semeion.cohort.roles import ImageRole, image_references, mask_references
from semeion.cohort.volume import Volume
from semeion.errors import InputError
from semeion.evidence.masks.overlap import measure_case as compare_masks
from semeion.measure.features import feature_definitions, measure_case
from semeion.measure.spec import Measurements, infer_measurements
from semeion.model.masks import write_mask
from semeion.model.segment import Segmenter, as_values
from semeion.model.trees import MAX_FEATURES
from semeion.plan.crossfit import CrossFit
from semeion.plan.splits import strata
from semeion.prepare.volume import PreparedVolume, measured_planes, prepare_volume, restore_labels
from semeion.progress import Progress
from semeion.study.folder import RunFolder
from semeion.study.inspect import labels
from semeion.study.outlining import read_reference, read_volumes

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MeasuredCases:
    """Measurements of every case, rows in cohort order, columns as `features`.

    Attributes
    ----------
    features
        Names of the columns.
    joint
        ``(cases, features)``: of the mask that all networks drew together which had not seen the patient.
    alone
        The same of each network's own mask, by number of its pair; NaN rows for cases that it learned from.
    reference
        Of the reference masks; NaN rows for cases without.
    problems
        Of every case why its joint masks could not be measured; empty where they could.
    overlap
        How the joint masks fit the references: the columns of :data:`semeion.evidence.segmentation.COLUMNS`.
    """

    features: tuple[str, ...]
    joint: Floats
    alone: dict[int, Floats]
    reference: Floats
    problems: tuple[str, ...]
    overlap: pd.DataFrame


def measurements_of(cohort: Cohort, measure: Sequence[str] = ()) -> Measurements:
    """Return what suits the images and structures of a cohort; a heart's structures get their plain names.

    Parameters
    ----------
    cohort
        With structures.
    measure
        ``intensity`` or ``texture`` (which is measured with intensity) besides size and shape.

    Raises
    ------
    InputError
        When a heart, whose measurements are those of its masks, is asked for more.
    """
    role, names = cohort.images.role, cohort.images.names
    take = infer_measurements(names if role in ("frames", "views") else (), cohort.structures)
    if not measure:
        return take
    if take.kind == "heart":
        raise InputError(
            "a heart, images ED and ES with the structures rv, myocardium and lv, is measured by its masks alone",
            where="--measure",
            fix="leave --measure out; --with-images lets networks see the voxels",
        )
    more = {"intensity": True, "texture": "texture" in measure, "channels": list(names) if role == "channels" else []}
    try:
        take = Measurements.model_validate(take.model_dump() | more)
    except ValidationError as error:
        raise InputError(
            f"cannot be measured: {error.errors()[0]['msg']}", where="--measure", fix="leave --measure out, or rename"
        ) from error
    if len(feature_definitions(take)) > MAX_FEATURES:
        raise InputError(
            f"{len(feature_definitions(take))} measurements a case are more than the {MAX_FEATURES} that trees take",
            where="--measure",
            fix="measure intensity alone, or name fewer structures or channels",
        )
    return take


def divided(cohort: Cohort) -> tuple[Rows, Rows]:
    """Return the rows that folds divide (all but test cases), and of every row the stratum that is spread evenly."""
    pool = np.arange(len(cohort.table), dtype=np.int64)
    pool = pool[cohort.table["split"].to_numpy(dtype=object) != "test"] if cohort.has_split else pool
    y = labels(cohort)
    stratum = np.zeros(len(y), dtype=np.int64)
    stratum[pool] = strata(y[pool], cohort.target.task)
    return pool, stratum


def one_row_a_volume(cohort: Cohort) -> Cohort:
    """Return the cohort of a segmentation: a row for each frame or view, or for each case whose images share a grid.

    A case's volumes stand one after the other, so that volume ``n`` of case ``row`` has the row
    ``row * volumes_a_case + n``.
    """
    images = cohort.images
    structures = measurements_of(cohort).structures
    several = images.role in ("frames", "views")
    names = images.names if several else ("",)
    references, masks = image_references(cohort), mask_references(cohort)
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(cohort.table.itertuples(index=False)):
        for at, name in enumerate(names):
            row = {
                "case_id": f"{case.case_id} {name}".rstrip(),
                "patient_id": case.patient_id,
                "site": case.site,
                "split": case.split,
                "image": references[number][at],
                "mask": masks[number][at] if masks[number] else None,
            }
            if images.role == "channels":
                row |= {f"image.{n}": ref for n, ref in zip(images.names, references[number], strict=True)}
            rows.append(row)
    table = pd.DataFrame(rows)
    for column in ("case_id", "patient_id", "site", "split", "image", "mask"):
        table[column] = table[column].astype("str") if table[column].notna().all() else table[column]
    target = Target(
        "mask",
        "segmentation",
        tuple(structures),
        why="named by --structures",
        values=tuple(structures.values()),
    )
    role = ImageRole("volume", "channels", images.names) if images.role == "channels" else ImageRole("volume")
    return Cohort(
        table=table,
        target=target,
        flow=cohort.flow,
        has_patients=cohort.has_patients,
        notes=cohort.notes,
        source=cohort.source,
        synthetic=cohort.synthetic,
        images=role,
    )


def measure_cases(
    run: RunFolder,
    cohort: Cohort,
    volumes: Cohort,
    take: Measurements,
    fit: CrossFit,
    networks: Sequence[Segmenter],
    members: Sequence[Sequence[str]],
    for_new_cases: Sequence[int],
    progress: Progress,
) -> MeasuredCases:
    """Outline and measure every case; what an earlier process measured is read from ``measured/``.

    A case whose masks cannot be measured (a heart without a left ventricle) keeps its row, of NaN, and the reason.

    Parameters
    ----------
    run
        Where masks and measurements are kept.
    cohort, volumes
        Cases, and one row a volume of them (:func:`one_row_a_volume`).
    take
        What is measured.
    fit
        Folds and pairs of the cases.
    networks
        One a pair: of the networks without both its folds.
    members
        Their names, one list a pair: a case that others outlined before is outlined again.
    for_new_cases
        Numbers of the networks that outline cases outside every fold (test cases): those that ship.
    progress
        For the bar.
    """
    cases = len(cohort.table)
    progress.start("outlining and measuring", cases)
    steps = networks[0].preparation.model_dump(mode="json")
    records = []
    for row in range(cases):
        file = run / "measured" / f"{row:06d}.json"
        fold = int(fit.fold[row])
        who = fit.without(fold) if fold >= 0 else tuple(for_new_cases)
        drawn_by = [name for number in who for name in members[number]]
        by = {"networks": drawn_by, "measurements": take.model_dump(), "preparation": steps}
        if not file.exists() or any(read_json(file).get(key) != value for key, value in by.items()):
            found = _measure_one(run, cohort, volumes, row, take, {n: networks[n] for n in who}, alone=fold >= 0)
            write_json(file, by | found)
        records.append(read_json(file))
        progress.advance()
    progress.finish()
    features = tuple(feature_definitions(take))
    alone = {}
    for number in range(len(networks)):
        alone[number] = np.array([_values(record["alone"].get(str(number)), features) for record in records])
    overlap = [one for record in records for one in record["overlap"]]
    return MeasuredCases(
        features=features,
        joint=np.array([_values(record["joint"], features) for record in records]),
        alone=alone,
        reference=np.array([_values(record["reference"], features) for record in records]),
        problems=tuple(record["problem"] for record in records),
        overlap=_overlap_table(overlap, volumes, fit, len(take.images)),
    )


def _measure_one(
    run: RunFolder,
    cohort: Cohort,
    volumes: Cohort,
    row: int,
    take: Measurements,
    networks: dict[int, Segmenter],
    *,
    alone: bool,
) -> dict[str, Any]:
    """Return the measurements of one case as plain JSON values."""
    where = f"case {cohort.table['case_id'].iloc[row]}"
    images, masks = image_references(volumes), mask_references(volumes)
    first = next(iter(networks.values()))
    each: dict[int, list[Volume]] = {number: [] for number in networks}
    joint: list[Volume] = []
    references: list[Volume] = []
    overlap: list[dict[str, Any]] = []
    planes: list[list[Volume]] = []
    together = Segmenter(
        tuple(look for network in networks.values() for look in network.networks),
        first.preparation,
        first.overlap,
        first.rules,
    )
    for at in range(row * len(take.images), (row + 1) * len(take.images)):
        read = read_volumes(images[at], volumes, at)
        prepared = prepare_volume(read, first.preparation)
        if take.intensity:
            planes.append(measured_planes(read, first.preparation))
        if alone:
            total: npt.NDArray[np.float32] | None = None
            for number, network in networks.items():
                p = network.probabilities(prepared.array)
                each[number].append(_mask(network, p, prepared, volumes))
                share = np.float32(1 / len(networks)) * p
                total = share if total is None else total + share
        else:
            # As the shipped model does it, to the last bit.
            total = together.probabilities(prepared.array)
        if total is None:
            raise ValueError("no network may look at the case")
        found = _mask(first, total, prepared, volumes)
        joint.append(found)
        write_mask(run / "masks" / f"{at:06d}.nii.gz", found)
        mask = masks[at][0] if masks[at] else None
        if mask is not None:
            true = read_reference(mask, found, volumes, at)
            references.append(Volume(true[np.newaxis], found.grid, notes=found.notes))
            labels = dict(zip(volumes.target.classes, volumes.target.values, strict=True))
            overlap += [
                {"row": at, **one} for one in compare_masks(true, found.plane, labels, found.grid.spacing[::-1])
            ]
    whole = len(references) == len(take.images)
    measured, problem = _measured_or_why(joint, take, planes, where)
    own = {str(n): _measured_or_why(drawn, take, planes, where)[0] for n, drawn in each.items()} if alone else {}
    return {
        "joint": measured,
        "problem": problem,
        "alone": own,
        "reference": _measured_or_why(references, take, planes, where)[0] if whole else None,
        "overlap": overlap,
    }


def _mask(segmenter: Segmenter, p: npt.NDArray[np.float32], prepared: PreparedVolume, volumes: Cohort) -> Volume:
    """Return the finished mask of probabilities, with what is known of the image: whether its scale is, above all."""
    drawn = as_values(segmenter.finished(restore_labels(p, prepared)), volumes.target.values)
    return replace(drawn, notes=prepared.notes)


def _measured_or_why(
    masks: list[Volume], take: Measurements, images: list[list[Volume]], where: str
) -> tuple[dict[str, float] | None, str]:
    """Return the measurements of masks, or None and why there are none; in use such a case fails alike."""
    try:
        return measure_case(masks, take, images, where=where), ""
    except InputError as error:
        return None, error.what


def _values(record: dict[str, Any] | None, features: Sequence[str]) -> list[float]:
    """Return the values of a record in the order of `features`; JSON has null where a number is not defined."""
    if record is None:
        return [float("nan")] * len(features)
    return [float("nan") if record[name] is None else float(record[name]) for name in features]


def _overlap_table(overlap: list[dict[str, Any]], volumes: Cohort, fit: CrossFit, each: int) -> pd.DataFrame:
    rows = []
    for one in overlap:
        case = volumes.table.iloc[one["row"]]
        fold = int(fit.fold[one["row"] // each])
        # JSON has null where a label is absent in both masks, and for the infinite distance where it is in one.
        far = float("nan") if one["dice"] is None else float("inf")
        distances = {name: far if one[name] is None else one[name] for name in ("hd95_mm", "assd_mm")}
        rows.append(
            {
                **one,
                **distances,
                "dice": float("nan") if one["dice"] is None else one["dice"],
                "case_id": case["case_id"],
                "patient_id": case["patient_id"],
                "site": case["site"],
                "split": "oof" if fold >= 0 else "test",
                "fold": fold,
                "mask": f"{one['row']:06d}.nii.gz",
            }
        )
    return pd.DataFrame(rows)
