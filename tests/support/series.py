"""Small DICOM series for tests: copied from real ones with a fault, or made of a file that ships with pydicom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from semeion.cohort.series.header import Header
from semeion.cohort.series.index import header_of
from semeion.cohort.series.records import make_record
from semeion.cohort.series.walk import walk


def headers_in(folder: Path) -> list[Header]:
    """Return the headers of all images in a folder."""
    records = [make_record(entry) for entry in walk(folder).entries]
    return [header_of(record) for record in records if record["kind"] == "image"]


def datasets_in(folder: Path) -> list[Any]:
    """Return the parsed files of a folder, ordered by position along z."""
    found = [pydicom.dcmread(path) for path in folder.iterdir() if path.suffix == ".dcm"]
    return sorted(found, key=lambda dataset: float(dataset.ImagePositionPatient[2]))


def save(datasets: Sequence[Any], folder: Path, change: Callable[[int, Any], Any] | None = None) -> Path:
    """Write datasets under names that say nothing of their order; `change` may edit each, or return None to drop it."""
    folder.mkdir(parents=True, exist_ok=True)
    for n, dataset in enumerate(datasets):
        if change is not None and change(n, dataset) is None:
            continue
        dataset.save_as(folder / f"{(n * 7919 + 13) % 10007:05d}.dcm", enforce_file_format=True)
    return folder


def ct_slices(count: int, *, step: float = 2.0, seed: int = 0) -> list[Any]:
    """Return slices of one CT series: the picture that ships with pydicom plus noise, so that no two are equal."""
    rng = np.random.default_rng(seed)
    source = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    pixels = source.pixel_array
    series, frame = generate_uid(), generate_uid()
    slices = []
    for n in range(count):
        dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = series, frame
        dataset.SOPInstanceUID = generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-10.0, 5.0, 100.0 + n * step]
        dataset.PixelSpacing = [0.5, 0.75]
        dataset.SliceThickness = step
        dataset.InstanceNumber = count - n
        noisy = pixels.astype(np.int32) + rng.integers(0, 50, pixels.shape) + n
        dataset.PixelData = noisy.astype(np.int16).tobytes()
        del dataset.ImageType
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        slices.append(dataset)
    return slices


def stored(datasets: Sequence[Any]) -> np.ndarray:
    """Return physical values ``(slices, rows, columns)`` by pydicom's own decoding and the plain rescale."""
    return np.stack(
        [d.pixel_array * float(d.get("RescaleSlope", 1)) + float(d.get("RescaleIntercept", 0)) for d in datasets]
    )
