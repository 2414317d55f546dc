"""From trained networks to masks of whole cases and how well they fit: through the graphs and the code that ship."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import whole_file
from semeion.cohort.cohort import Cohort
from semeion.cohort.roles import image_references, mask_references
from semeion.cohort.volume import Volume, knows_spacing
from semeion.cohort.volumes.read import read_volume
from semeion.errors import ImageError, InputError
from semeion.evidence.masks.overlap import measure_case
from semeion.model.masks import write_mask
from semeion.model.segment import Segmenter, as_values
from semeion.parallel import ordered_map
from semeion.prepare.volume import require_same_grid, whole_labels
from semeion.progress import Progress
from semeion.study.folder import RunFolder

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Cases that the same networks outline.

    Attributes
    ----------
    split
        ``val``, ``test`` or ``oof``.
    fold
        -1 without folds.
    rows
        Of the cohort.
    segmenter
        The networks that may be used: none of them has seen a patient of `rows` unless the split is ``val``.
    """

    split: str
    fold: int
    rows: Rows
    segmenter: Segmenter


def outline_cases(
    run: RunFolder, cohort: Cohort, groups: Sequence[Group], progress: Progress, lesions: Sequence[str] = ()
) -> pd.DataFrame:
    """Outline every case of `groups`, write its mask, and measure it against the reference where there is one.

    Parameters
    ----------
    run, cohort, groups
        Where masks go, the cases, and who outlines whom.
    progress
        For the bar.
    lesions
        Labels whose connected parts are lesions.

    Returns
    -------
    pandas.DataFrame
        One row a case and label: the columns of ``predictions.parquet`` for a segmentation, and those of
        :data:`semeion.evidence.segmentation.COLUMNS`. Cases without a reference mask are not among them.
    """
    images, masks = image_references(cohort), [first[0] if first else None for first in mask_references(cohort)]
    progress.start("outlining", max(1, sum(len(group.rows) for group in groups)))
    parts: list[dict[str, Any]] = []
    for group in groups:
        read = ordered_map(lambda row: read_volumes(images[row], cohort, row), group.rows, jobs=1)
        for row, volumes in zip(group.rows, read, strict=True):
            indices, _ = group.segmenter.segment(volumes)
            found = as_values(indices, cohort.target.values)
            path = mask_path(run, int(row))
            write_mask(path, found)
            if masks[row] is not None:
                reference = read_reference(str(masks[row]), found, cohort, int(row))
                measured = measured_rows(cohort, int(row), reference, found, lesions)
                parts += [{**one, "split": group.split, "fold": group.fold, "mask": path.name} for one in measured]
            progress.advance()
    progress.finish()
    if not parts:
        raise InputError(
            "no case that may be weighed has a reference mask",
            where=f"column {cohort.target.name!r}",
            fix="give masks of validation or test cases",
        )
    return pd.DataFrame(parts)


def mask_path(run: RunFolder, row: int) -> Path:
    """Return where the predicted mask of a case lies: by its row, since a case id is no file name."""
    return run / "masks" / f"{row:06d}.nii.gz"


def read_volumes(references: Iterable[str], cohort: Cohort, row: int) -> list[Volume]:
    """Read the images of one case.

    Raises
    ------
    InputError
        When one could be read before and cannot now.
    """
    try:
        # One file may hold all channels of a case.
        several: Literal["channel"] | None = "channel" if cohort.images.role == "channels" else None
        return [read_volume(reference, several=several) for reference in references]
    except ImageError as error:
        raise InputError(
            f"the image could be read before and cannot now: {error.what}",
            where=f"case {cohort.table['case_id'].iloc[row]}",
            fix="restore the file and run `semeion resume`",
        ) from error


def read_reference(reference: str, image: Volume, cohort: Cohort, row: int) -> npt.NDArray[np.uint8]:
    """Read a reference mask on the grid of its image, uint8 ``(slices, rows, columns)``."""
    where = f"case {cohort.table['case_id'].iloc[row]}"
    mask = read_volumes([reference], cohort, row)[0]
    require_same_grid(mask.grid, image.grid, where=where)
    return whole_labels(mask, where=where)


def measured_rows(
    cohort: Cohort, row: int, reference: npt.NDArray[np.uint8], found: Volume, lesions: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the row of each label of a case, but for its split, fold and mask file.

    Parameters
    ----------
    cohort, row
        Whose mask it is; the target says what the numbers in both masks mean.
    reference, found
        Both masks, on one grid. Where a note of `found` says that the size of a voxel is not known, what is in mm or ml
        is NaN, and ``reference_voxels`` says how large the reference is.
    lesions
        Labels whose connected parts are lesions.
    """
    case, target = cohort.table.iloc[row], cohort.target
    base = {
        "case_id": case["case_id"],
        "patient_id": case["patient_id"],
        "site": case["site"],
        "split": "",
        "fold": -1,
        "member": "ensemble",
        "mask": "",
    }
    labels = dict(zip(target.classes, target.values, strict=True))
    measured = measure_case(reference, found.plane, labels, found.grid.spacing[::-1], lesions=lesions)
    if not knows_spacing(found.notes):
        # One millimetre stands in for what nobody stated: Dice and lesion counts hold, the rest would be invented.
        unknown = dict.fromkeys(("hd95_mm", "assd_mm", "reference_ml", "predicted_ml", "volume_error_ml"), np.nan)
        voxels = {label: int(np.count_nonzero(reference == value)) for label, value in labels.items()}
        measured = [{**one, **unknown, "reference_voxels": voxels[one["label"]]} for one in measured]
    return [
        {**base, "target": one["label"], "y_true": one["reference_ml"], "y_pred": one["predicted_ml"], **one}
        for one in measured
    ]


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write ``predictions.parquet``, whole or not at all."""
    with whole_file(path) as temporary:
        table.to_parquet(temporary, index=False)
