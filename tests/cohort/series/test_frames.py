"""Files of several frames: enhanced volumes by their functional groups, films by their frame times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from semeion.cohort.series.assemble import read_files, read_series
from semeion.cohort.series.frames import frame_times
from semeion.cohort.series.mosaic import csa_elements
from semeion.cohort.volume import Volume
from semeion.errors import ImageError
from support.series import ct_slices, headers_in, stored

ENHANCED = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1"}


def item(**elements: Any) -> Any:
    """Return a sequence of one item."""
    inner = Dataset()
    for name, value in elements.items():
        setattr(inner, name, value)
    return [inner]


def enhanced(slices: list[Any], modality: str = "MR") -> Any:
    """Return the frames of single slices as one enhanced file, in the given order."""
    whole = Dataset()
    whole.file_meta = pydicom.dataset.FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole.file_meta.MediaStorageSOPClassUID = whole.SOPClassUID = ENHANCED[modality]
    whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID = generate_uid()
    whole.Modality, whole.SeriesInstanceUID, whole.StudyInstanceUID = modality, generate_uid(), generate_uid()
    whole.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    first = slices[0]
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"):
        setattr(whole, name, getattr(first, name))
    whole.PhotometricInterpretation, whole.NumberOfFrames = "MONOCHROME2", len(slices)
    shared = Dataset()
    shared.PixelMeasuresSequence = item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=first.ImageOrientationPatient)
    whole.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for dataset in slices:
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=dataset.ImagePositionPatient)
        frame.FrameContentSequence = item(FrameAcquisitionNumber=1)
        frame.PixelValueTransformationSequence = item(
            RescaleSlope=dataset.RescaleSlope, RescaleIntercept=dataset.RescaleIntercept, RescaleType="US"
        )
        frames.append(frame)
    whole.PerFrameFunctionalGroupsSequence = frames
    whole.PixelData = b"".join(dataset.PixelData for dataset in slices)
    return whole


def read(dataset: Any, folder: Path, **choices: Any) -> Volume:
    dataset.save_as(folder / "frames.dcm", enforce_file_format=True)
    return read_series(headers_in(folder), **choices)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_frames_of_an_enhanced_file_are_ordered_and_rescaled_one_by_one(tmp_path: Path, modality: str) -> None:
    slices = ct_slices(5)
    for n, dataset in enumerate(slices):
        dataset.RescaleSlope = f"{1 + n}"
    volume = read(enhanced([slices[n] for n in (3, 0, 4, 1, 2)], modality), tmp_path)
    assert np.array_equal(volume.plane, stored(slices))
    assert volume.grid.spacing == (0.75, 0.5, 2.0)
    assert volume.grid.origin == (-10.0, 5.0, 100.0)
    assert volume.unit == ("HU" if modality == "CT" else None)
    assert np.array_equal(read_files([tmp_path / "frames.dcm"]).plane, volume.plane)


def test_temporal_positions_become_a_time_axis(tmp_path: Path) -> None:
    slices = ct_slices(6)
    dataset = enhanced(slices)
    for n, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, n % 3 * 2.0]
        frame.TemporalPositionSequence = item(TemporalPositionTimeOffset=1.5 - n // 3 * 1.5)
    volume = read(dataset, tmp_path)
    assert volume.axis == "time"
    assert volume.times == (0.0, 1500.0)
    assert volume.voxels.shape == (2, 3, 128, 128)
    assert np.array_equal(volume.voxels[0], stored(slices)[3:])
    assert volume.notes[0] == "frames: 2 by temporal offset"


def test_b_values_become_channels_and_a_mixture_is_refused(tmp_path: Path) -> None:
    slices = ct_slices(6)
    dataset = enhanced(slices)
    for n, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, n // 2 * 2.0]
        frame.MRDiffusionSequence = item(DiffusionBValue=float((1000, 50)[n % 2]))
    volume = read(dataset, tmp_path)
    assert volume.axis == "channel"
    assert volume.names == ("b-value (0018,9087) 50", "b-value (0018,9087) 1000")
    assert np.array_equal(volume.voxels[1], stored(slices)[::2])
    dataset.PerFrameFunctionalGroupsSequence[0].MRDiffusionSequence[0].DiffusionBValue = 50.0
    with pytest.raises(ImageError, match=r"differ in b-value \(0018,9087\): 4 with 50, 2 with 1000"):
        read(dataset, tmp_path)


def test_an_enhanced_file_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    dataset = enhanced(ct_slices(4))
    del dataset.PerFrameFunctionalGroupsSequence[3]
    with pytest.raises(ImageError, match=r"declares 4 frames \(0028,0008\) and describes 3 \(5200,9230\)"):
        read(dataset, tmp_path)
    dataset = enhanced(ct_slices(4))
    del dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    with pytest.raises(ImageError, match=r"1 of 4 slices have no ImagePositionPatient .*: frames.dcm frame 3"):
        read(dataset, tmp_path)
    dataset = enhanced(ct_slices(4))
    dataset.PixelData = dataset.PixelData[:-2]
    with pytest.raises(ImageError, match="cut short"):
        read(dataset, tmp_path)


def film(**changes: Any) -> Any:
    """Return the ultrasound film of 30 frames that ships with pydicom."""
    dataset = pydicom.dcmread(get_testdata_file("examples_ybr_color.dcm"))
    for name, value in changes.items():
        if value is None:
            if name in dataset:
                delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def region(row_cm: float, col_cm: float) -> Any:
    inner = Dataset()
    inner.PhysicalUnitsXDirection = inner.PhysicalUnitsYDirection = 3
    inner.PhysicalDeltaX, inner.PhysicalDeltaY = col_cm, row_cm
    return inner


def test_an_ultrasound_film_keeps_its_time_axis(tmp_path: Path) -> None:
    dataset = film(FrameTime="40", FrameTimeVector=None, PixelSpacing=None)
    dataset.SequenceOfUltrasoundRegions = [region(0.02, 0.03)]
    volume = read(dataset, tmp_path)
    assert volume.voxels.shape == (30, 1, 240, 320)
    assert volume.axis == "time"
    assert volume.times == pytest.approx([40.0 * n for n in range(30)])
    assert volume.grid.spacing == pytest.approx((0.3, 0.2, 1.0))
    assert "no-position: a film, its place in the patient is not known" in volume.notes
    assert "colour-to-grey: frames of a film, by ITU-R BT.601" in volume.notes
    rgb = pydicom.pixels.pixel_array(get_testdata_file("examples_ybr_color.dcm"), index=7).astype(float)
    assert np.abs(volume.voxels[7, 0] - rgb @ [0.299, 0.587, 0.114]).max() <= 0.51


def test_a_film_without_calibration_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    dataset = film(PixelSpacing=None, SequenceOfUltrasoundRegions=None, FrameTime=None, FrameTimeVector=None)
    with pytest.raises(ImageError, match=r"how large a pixel is: no PixelSpacing \(0028,0030\), .* \(0018,6011\)"):
        read(dataset, tmp_path)
    volume = read(dataset, tmp_path, missing_spacing="note")
    assert "no-spacing: 1 x 1 mm stands for an unknown pixel" in volume.notes
    assert any(note.startswith("no-frame-time") for note in volume.notes)
    assert volume.times == ()
    dataset.SequenceOfUltrasoundRegions = [region(0.02, 0.03), region(0.02, 0.02)]
    with pytest.raises(ImageError, match=r"shows 2 ultrasound regions of different scale \(0018,6011\)"):
        read(dataset, tmp_path)


def test_an_angiogram_is_scaled_at_the_detector(tmp_path: Path) -> None:
    slices = ct_slices(4)
    dataset = enhanced(slices)
    del dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence
    dataset.Modality, dataset.SOPClassUID = "XA", "1.2.840.10008.5.1.4.1.1.12.1"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.ImagerPixelSpacing, dataset.FrameTimeVector = [0.2, 0.3], [0, 66, 67, 66]
    volume = read(dataset, tmp_path)
    assert volume.voxels.shape == (4, 1, 128, 128)
    assert volume.times == (0.0, 66.0, 133.0, 199.0)
    assert volume.grid.spacing == (0.3, 0.2, 1.0)
    assert "spacing-at-detector" in volume.notes
    assert np.array_equal(volume.voxels[:, 0], stored(slices) + 1024)


@pytest.mark.parametrize(
    ("elements", "text"),
    [
        ({"FrameTimeVector": [0, 40]}, r"has 3 frames and 2 times"),
        ({"FrameTimeVector": [0, -40, 40]}, r"positive numbers or not \(0018,1065\)"),
    ],
)
def test_frame_times_that_do_not_fit_are_refused(elements: dict[str, Any], text: str) -> None:
    dataset = item(**elements)[0]
    with pytest.raises(ImageError, match=text):
        frame_times(dataset, 3, "x")


def test_frames_that_are_planes_of_an_unknown_place_are_refused(tmp_path: Path) -> None:
    path = Path(get_testdata_file("rtdose.dcm"))
    (tmp_path / "dose.dcm").write_bytes(path.read_bytes())
    with pytest.raises(ImageError, match=r"holds 15 frames of modality RTDOSE without functional groups \(5200,9230\)"):
        read_series(headers_in(tmp_path))


@pytest.mark.real_data
def test_a_mosaic_that_does_not_say_where_its_slices_lie_is_refused(data: Path, tmp_path: Path) -> None:
    source = sorted((data / "dicom/qa_nih/In/20180918Si/mr_0003").glob("*.dcm"))[0]
    dataset = pydicom.dcmread(source)
    assert read(dataset, tmp_path).voxels.shape == (1, 5, 72, 72)
    del dataset[0x0029, 0x1010]
    with pytest.raises(ImageError, match=r"SliceNormalVector of the CSA header \(0029,1010\)"):
        read(dataset, tmp_path)
    dataset.remove_private_tags()
    with pytest.raises(ImageError, match=r"does not say of how many slices, NumberOfImagesInMosaic \(0019,100A\)"):
        read(dataset, tmp_path)


def test_a_damaged_private_header_says_nothing() -> None:
    assert csa_elements(b"") == {}
    assert csa_elements(b"SV10" + bytes(12)) == {}
    assert csa_elements(b"SV10\x04\x03\x02\x01" + b"\xff" * 40) == {}
