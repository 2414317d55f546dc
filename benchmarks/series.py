"""Reading a series of 300 slices into a volume, against SimpleITK's ImageSeriesReader, in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.record import data, record

SLICES = 300
REPETITIONS = 7


def series_reading() -> None:
    """Time both readers in turn on the same files, from the folder and from the known list of files."""
    import SimpleITK as sitk

    from semeion.cohort.series.assemble import read_folder, read_series

    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        write_series(folder)
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        headers = headers_of(folder)

        def by_list() -> Any:
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(names)
            return reader.Execute()

        def by_folder() -> Any:
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
            return reader.Execute()

        ours, theirs = read_folder(folder), by_folder()
        same = bool(np.array_equal(ours.plane, sitk.GetArrayViewFromImage(theirs)))
        apart = max(
            float(np.abs(np.array(ours.grid.origin) - theirs.GetOrigin()).max()),
            float(np.abs(np.array(ours.grid.spacing) - theirs.GetSpacing()).max()),
            float(np.abs(np.array(ours.grid.direction) - theirs.GetDirection()).max()),
        )
        del ours, theirs
        from_folder = in_turn(lambda: read_folder(folder), by_folder)
        from_list = in_turn(lambda: read_series(headers), by_list)
    record(
        "reading-series",
        "python -m benchmarks reading-series",
        {
            "slices": SLICES,
            "rows": 512,
            "cols": 512,
            "repetitions": REPETITIONS,
            "same_voxels": same,
            "grids_apart_mm": apart,
            "seconds_from_folder": round(from_folder[0], 3),
            "seconds_simpleitk_from_folder": round(from_folder[1], 3),
            "times_as_fast_from_folder": round(from_folder[1] / from_folder[0], 2),
            "seconds_from_list": round(from_list[0], 3),
            "seconds_simpleitk_from_list": round(from_list[1], 3),
            "times_as_fast_from_list": round(from_list[1] / from_list[0], 2),
        },
    )


def in_turn(ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[float, float]:
    """Return the median seconds of both, alternating, after one round that is not counted."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(REPETITIONS + 1):
        for work, kept in zip((ours, theirs), seconds, strict=True):
            start = time.perf_counter()
            work()
            if turn:
                kept.append(time.perf_counter() - start)
    return median(seconds[0]), median(seconds[1])


def headers_of(folder: Path) -> list[Any]:
    """Return the headers of all files of a folder."""
    from semeion.cohort.series.index import header_of
    from semeion.cohort.series.records import make_record
    from semeion.cohort.series.walk import walk

    return [header_of(make_record(entry)) for entry in walk(folder).entries]


def write_series(folder: Path) -> None:
    """Write a CT series of 300 slices: those of a real head CT again and again, each at a position of its own."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    sources = [pydicom.dcmread(path) for path in sorted((data() / "dicom" / "ct_head_tilted").glob("*.dcm"))]
    pixels = [source.pixel_array for source in sources]
    uid = generate_uid()
    for n in range(SLICES):
        dataset = sources[n % len(sources)]
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID = uid
        dataset.InstanceNumber = n + 1
        dataset.AcquisitionNumber = 1
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-125.0, -125.0, n * 1.25]
        dataset.SliceThickness = 1.25
        # SimpleITK keeps padding as it is stored; without the element both readers read the same.
        if "PixelPaddingValue" in dataset:
            del dataset.PixelPaddingValue
        dataset.PixelData = np.roll(pixels[n % len(pixels)], n, axis=0).astype(np.int16).tobytes()
        dataset.save_as(folder / f"{(n * 7919) % 10007:05d}.dcm", enforce_file_format=True)


ROWS = {"reading-series": series_reading}
