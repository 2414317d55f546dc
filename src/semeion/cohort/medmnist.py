"""MedMNIST archives: images, official splits and names of the labels.

Source: Yang et al., MedMNIST v2, Scientific Data 10:41 (2023); names of labels after the ``INFO`` of its release v3.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from semeion.cohort.arrays import DAMAGED, array_header, read_member
from semeion.cohort.cohort import SPLITS, Task
from semeion.cohort.limits import ReadLimits
from semeion.errors import InputError

LABEL = "label"
"""What the column of labels is called, unless there are several labels a case."""

_ORGANS = (
    "bladder",
    "left femur",
    "right femur",
    "heart",
    "left kidney",
    "right kidney",
    "liver",
    "left lung",
    "right lung",
    "pancreas",
    "spleen",
)

NAMES: dict[str, tuple[str, ...]] = {
    "pathmnist": (
        "adipose",
        "background",
        "debris",
        "lymphocytes",
        "mucus",
        "smooth muscle",
        "normal colon mucosa",
        "cancer-associated stroma",
        "colorectal adenocarcinoma epithelium",
    ),
    "chestmnist": (
        "atelectasis",
        "cardiomegaly",
        "effusion",
        "infiltration",
        "mass",
        "nodule",
        "pneumonia",
        "pneumothorax",
        "consolidation",
        "edema",
        "emphysema",
        "fibrosis",
        "pleural thickening",
        "hernia",
    ),
    "dermamnist": (
        "actinic keratoses and intraepithelial carcinoma",
        "basal cell carcinoma",
        "benign keratosis-like lesions",
        "dermatofibroma",
        "melanoma",
        "melanocytic nevi",
        "vascular lesions",
    ),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),
    "breastmnist": ("malignant", "normal or benign"),
    "bloodmnist": (
        "basophil",
        "eosinophil",
        "erythroblast",
        "immature granulocyte",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    ),
    "tissuemnist": (
        "collecting duct or connecting tubule",
        "distal convoluted tubule",
        "glomerular endothelial cells",
        "interstitial endothelial cells",
        "leukocytes",
        "podocytes",
        "proximal tubule segments",
        "thick ascending limb",
    ),
    "organamnist": _ORGANS,
    "organcmnist": _ORGANS,
    "organsmnist": _ORGANS,
    "phantoms": ("malignant", "benign"),
    "organmnist3d": (
        "liver",
        "right kidney",
        "left kidney",
        "right femur",
        "left femur",
        "bladder",
        "heart",
        "right lung",
        "left lung",
        "spleen",
        "pancreas",
    ),
    "nodulemnist3d": ("benign", "malignant"),
    "adrenalmnist3d": ("normal", "hyperplasia"),
    "fracturemnist3d": ("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture"),
    "vesselmnist3d": ("vessel", "aneurysm"),
    "synapsemnist3d": ("inhibitory synapse", "excitatory synapse"),
}
"""Names of the labels 0, 1, 2 ... of each data set."""


@dataclass(frozen=True)
class Archive:
    """What a MedMNIST archive holds.

    Attributes
    ----------
    table
        Text columns ``case_id image split`` and the label columns; the index is the case id.
    targets
        The label columns.
    task
        The task when the data set is known to have one that its labels do not show (ordinal), else None.
    labels
        Names of the codes.
    name
        Of the data set, for example ``breastmnist``.
    """

    table: pd.DataFrame
    targets: tuple[str, ...]
    task: Task | None
    labels: dict[str, str] = field(default_factory=dict)
    name: str = ""


def read_medmnist(path: Path, limits: ReadLimits | None = None) -> Archive:
    """Read the labels of a MedMNIST archive; of the images only the shape.

    Raises
    ------
    InputError
        Not in the layout, or images and labels that do not match.
    """
    limits = limits or ReadLimits()
    path = path.absolute()
    stem = path.stem.lower()
    # breastmnist_224.npz is breastmnist in another size.
    name = re.sub(r"_\d+$", "", stem)
    arrays = _arrays(path)
    splits = [split for split in SPLITS if f"{split}_images" in arrays and f"{split}_labels" in arrays]
    if "train" not in splits:
        raise InputError(
            f"is no MedMNIST archive: it holds {', '.join(sorted(arrays)) or 'nothing'}",
            where=path.name,
            fix="give an npz with train_images, train_labels, val_images ..., or a table",
        )
    parts = [_part(path, split, limits) for split in splits]
    widths = {labels.shape[1] for _, labels in parts}
    if len(widths) > 1:
        raise InputError("its splits have different numbers of labels", where=path.name, fix="download it again")
    width = widths.pop()
    known = NAMES.get(name, ())
    if width == 1:
        targets: tuple[str, ...] = (LABEL,)
    else:
        targets = known if len(known) == width else tuple(str(code) for code in range(width))
    labels = {str(code): label for code, label in enumerate(known)} if width == 1 else {}
    table = _table(path, splits, parts, targets)
    return Archive(table, targets, "ordinal" if name == "retinamnist" else None, labels, name)


def _arrays(path: Path) -> set[str]:
    """Return the names of the arrays in an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {entry.removesuffix(".npy") for entry in archive.namelist()}
    except FileNotFoundError as error:
        raise InputError("does not exist", where=str(path), fix="correct the path") from error
    except DAMAGED as error:
        raise InputError(
            f"is no npz archive that can be read ({error})", where=str(path), fix="copy it again"
        ) from error


def _part(path: Path, split: str, limits: ReadLimits) -> tuple[int, np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    """Return the number of images of a split and its labels ``(n, labels)``."""
    where = f"{path.name} {split}"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{split}_images.npy") as member:
            shape, _, _ = array_header(member, where)
    except DAMAGED as error:
        raise InputError(f"the archive is damaged ({error})", where=where, fix="copy or download it again") from error
    # The last axis tells colour pictures (N, H, W, 3) from volumes (N, D, H, W), whose sides are longer.
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3, 4) and min(shape[1:]) < 8):
        raise InputError(
            f"holds images of shape {' x '.join(map(str, shape[1:]))}, which are neither pictures nor volumes",
            where=where,
            fix="give N x H x W, N x H x W x 3 or N x D x H x W",
        )
    labels = read_member(path, f"{split}_labels", where, limits)
    if labels.ndim == 1:
        labels = labels[:, np.newaxis]
    if labels.ndim != 2 or len(labels) != shape[0] or labels.dtype.kind not in "iub":
        raise InputError(
            f"has {shape[0]} images, and labels of shape {labels.shape} and type {labels.dtype}",
            where=where,
            fix="give one row of whole numbers an image",
        )
    return shape[0], labels.astype(np.int64)


def _table(
    path: Path,
    splits: list[str],
    parts: list[tuple[int, np.ndarray[tuple[int, int], np.dtype[np.int64]]]],
    targets: tuple[str, ...],
) -> pd.DataFrame:
    """Return one row a case."""
    ids = [f"{split}-{row}" for split, (count, _) in zip(splits, parts, strict=True) for row in range(count)]
    index = pd.Index(ids, name="case")
    labels = np.concatenate([labels for _, labels in parts])
    columns: dict[str, list[str]] = {
        "case_id": ids,
        "split": [split for split, (count, _) in zip(splits, parts, strict=True) for _ in range(count)],
        "image": [
            f"{path}#{split}_images[{row}]"
            for split, (count, _) in zip(splits, parts, strict=True)
            for row in range(count)
        ],
    }
    for position, target in enumerate(targets):
        columns[target] = [str(code) for code in labels[:, position]]
    return pd.DataFrame({name: pd.Series(values, index=index, dtype="str") for name, values in columns.items()})
