"""Puts a draft on disk as a user would have it: a table, a folder of pictures, one of masks."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np

from benchmarks.sabotage.drafts import Draft, Picture

SUFFIXES = {"png": ".png", "jpg": ".jpg", "dcm": ".dcm", "broken": ".png"}
_TRUNCATED, _FOREIGN = "truncated", "foreign"
BREAKS = (_TRUNCATED, _FOREIGN, "empty", "missing")
"""How a file is broken: cut off in the middle, a text in its place, nothing in it, not there."""


def write(draft: Draft, folder: Path) -> Path:
    """Write ``cohort.csv`` with its pictures into a new folder and return the table's path."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    stems = draft.stems or tuple(f"{number:04d}" for number in range(len(draft)))
    names = []
    for stem, how, picture in zip(stems, draft.formats, draft.pictures, strict=True):
        name = f"images/{stem}{SUFFIXES[how.split(':')[0]]}"
        names.append(name)
        _store(picture, how, folder / name)
    table = draft.table.assign(image=names)
    if draft.masks:
        (folder / "masks").mkdir()
        table["mask"] = [f"masks/{number:04d}.png" for number in range(len(draft))]
        for name, mask in zip(table["mask"], draft.masks, strict=True):
            (folder / name).write_bytes(_encoded(mask, ".png"))
    for number, picture in enumerate(draft.strays):
        (folder / "images" / f"{len(draft) + number:04d}.png").write_bytes(_encoded(picture, ".png"))
    path = folder / "cohort.csv"
    table.to_csv(path, index=False)
    return path


def _store(picture: Picture, how: str, path: Path) -> None:
    """Store one picture as `how` says; see :class:`benchmarks.sabotage.drafts.Draft`."""
    kind, _, detail = how.partition(":")
    if kind == "png":
        path.write_bytes(_encoded(picture, ".png"))
    elif kind == "jpg":
        path.write_bytes(_encoded(picture, ".jpg", int(detail)))
    elif kind == "dcm":
        _dicom(picture, detail, path)
    elif detail == _TRUNCATED:
        whole = _encoded(picture, ".png")
        path.write_bytes(whole[: len(whole) // 2])
    elif detail == _FOREIGN:
        path.write_text("The picture was not found on the server.\n")
    elif detail == "empty":
        path.write_bytes(b"")


def _encoded(picture: Picture, suffix: str, quality: int = 95) -> bytes:
    asked = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    done, coded = cv2.imencode(suffix, np.ascontiguousarray(picture), asked)
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture as {suffix}")
    return coded.tobytes()


def through_jpeg(picture: Picture, quality: int) -> Picture:
    """Return what is left of a picture that was stored as JPEG."""
    return np.asarray(cv2.imdecode(np.frombuffer(_encoded(picture, ".jpg", quality), np.uint8), cv2.IMREAD_GRAYSCALE))


def _dicom(picture: Picture, study: str, path: Path) -> None:
    """Store a picture as DICOM (secondary capture, explicit little endian) of a study."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    # Made of the study and the name, so that the same cohort is the same bytes.
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[study, path.stem])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = study, generate_uid(entropy_srcs=[study])
    made.Modality, made.PatientID, made.PatientName = "US", "", ""
    made.Rows, made.Columns = picture.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = np.ascontiguousarray(picture, dtype=np.uint8).tobytes()
    made.save_as(path, enforce_file_format=True)
