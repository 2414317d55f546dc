"""DICOM: physical values, odd encodings, and hostile or broken files."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from semeion.cohort.deflated import inflate
from semeion.cohort.dicom import read_dicom
from semeion.cohort.image import Image
from semeion.cohort.limits import ReadLimits
from semeion.cohort.reading import read_image
from semeion.errors import ImageError

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
RAMP = (np.add.outer(np.arange(16), np.arange(20)) * 60).astype(np.uint16)


def dataset(pixels: np.ndarray, **elements: Any) -> Dataset:
    """A secondary capture that holds `pixels`."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.Modality = "OT"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    made.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes() + b"\x00" * (pixels.nbytes % 2)
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def packed(made: Dataset) -> bytes:
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def read(made: Dataset | bytes, limits: ReadLimits | None = None) -> Image:
    return read_dicom(made if isinstance(made, bytes) else packed(made), "a/1.dcm", limits or ReadLimits())


def message(made: Dataset | bytes, limits: ReadLimits | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read(made, limits)
    text = str(caught.value)
    assert text.startswith("a/1.dcm: ")
    return text


def test_stored_values_without_rescale() -> None:
    image = read(dataset(RAMP, BitsStored=12, HighBit=11))
    assert (image.low, image.high, image.bits, image.unit, image.modality) == (0, 4095, 12, None, "OT")
    assert (image.source_format, image.photometry, image.spacing, image.notes) == ("dicom", "grey", None, ())
    np.testing.assert_array_equal(image.pixels[..., 0], RAMP)


def test_ct_is_in_hounsfield_units() -> None:
    image = read(dataset(RAMP, Modality="CT", BitsStored=12, HighBit=11, RescaleSlope=1, RescaleIntercept=-1024))
    assert (image.unit, image.low, image.high, image.pixels.dtype) == ("HU", -1024, 3071, np.int16)
    assert image.notes == ("rescaled",)
    np.testing.assert_array_equal(image.pixels[..., 0], RAMP.astype(np.int64) - 1024)


def test_ct_stored_in_sixteen_bits_stays_integer_as_its_neighbours() -> None:
    image = read(dataset(RAMP.astype(np.int16), Modality="CT", RescaleSlope=1, RescaleIntercept=-1024))
    assert image.pixels.dtype == np.int16
    assert image.low == -32768 - 1024


def test_a_fractional_slope_gives_float32() -> None:
    image = read(dataset(RAMP, BitsStored=12, HighBit=11, RescaleSlope=0.5, RescaleIntercept=1))
    assert image.pixels.dtype == np.float32
    assert (image.low, image.high) == (1, 2048.5)
    np.testing.assert_allclose(image.pixels[..., 0], RAMP * 0.5 + 1)


def test_monochrome1_is_turned_round_within_its_declared_range() -> None:
    image = read(dataset(RAMP, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11))
    assert image.notes == ("monochrome1-inverted",)
    np.testing.assert_array_equal(image.pixels[..., 0], 4095 - RAMP)


def test_signed_values() -> None:
    image = read(dataset(RAMP.astype(np.int16) - 900))
    assert (image.low, image.high) == (-32768, 32767)
    np.testing.assert_array_equal(image.pixels[..., 0], RAMP.astype(np.int64) - 900)


def test_padding_becomes_the_smallest_real_value() -> None:
    stored = RAMP.astype(np.int16) + 100
    stored[:4] = -2000
    image = read(dataset(stored, PixelPaddingValue=-2000, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024))
    assert image.notes == ("rescaled", "padding-replaced")
    assert image.pixels[:4].min() == image.pixels[:4].max() == image.pixels[4:].min() == stored[4:].min() - 1024


def test_a_range_of_padding_in_an_inverted_image_is_dark() -> None:
    stored = RAMP.copy()
    stored[:4] = 4000
    made = dataset(stored, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    made.PixelPaddingValue, made.PixelPaddingRangeLimit = 3990, 4095
    image = read(made)
    assert (image.pixels[:4] == image.pixels[4:].min()).all()
    assert image.pixels[4:].min() == 4095 - stored[4:].max()


def test_overlay_bits_above_the_stored_ones_are_dropped() -> None:
    image = read(dataset(RAMP | 0x8000, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(image.pixels[..., 0], RAMP)
    shifted = read(dataset(RAMP << 4, BitsStored=12, HighBit=15))
    np.testing.assert_array_equal(shifted.pixels[..., 0], RAMP)


def test_spacing_in_the_patient_or_at_the_detector() -> None:
    assert read(dataset(RAMP, PixelSpacing=[0.5, 0.25])).spacing == (0.5, 0.25)
    detector = read(dataset(RAMP, ImagerPixelSpacing=[0.2, 0.1]))
    assert (detector.spacing, detector.notes) == ((0.2, 0.1), ("spacing-at-detector",))
    assert read(dataset(RAMP, PixelSpacing=[0, 0])).spacing is None


def test_an_enhanced_image_of_one_frame_keeps_its_rescale_in_functional_groups() -> None:
    transformation, measures, groups = Dataset(), Dataset(), Dataset()
    transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = 2, -10, "HU"
    measures.PixelSpacing = [0.7, 0.8]
    groups.PixelValueTransformationSequence = Sequence([transformation])
    groups.PixelMeasuresSequence = Sequence([measures])
    made = dataset(RAMP, Modality="CT", NumberOfFrames=1, SharedFunctionalGroupsSequence=Sequence([groups]))
    image = read(made)
    assert (image.spacing, image.unit) == ((0.7, 0.8), "HU")
    np.testing.assert_array_equal(image.pixels[..., 0], RAMP.astype(np.int64) * 2 - 10)


def test_a_modality_lut_is_applied() -> None:
    lut = Dataset()
    lut.LUTDescriptor, lut.ModalityLUTType = [256, 0, 16], "US"
    lut.LUTData = (np.arange(256, dtype=np.uint16) * 3).tobytes()
    lut["LUTData"].VR = "OW"
    image = read(dataset((RAMP // 60).astype(np.uint8), ModalityLUTSequence=Sequence([lut])))
    np.testing.assert_array_equal(image.pixels[..., 0], RAMP // 60 * 3)
    assert image.high == 65535


def test_colour_and_equal_channels() -> None:
    colour = np.random.default_rng(0).integers(0, 255, (16, 20, 3), dtype=np.uint8)
    image = read(dataset(colour))
    assert image.photometry == "colour"
    np.testing.assert_array_equal(image.pixels, colour)
    assert read(dataset(np.repeat(colour[..., :1], 3, axis=2))).photometry == "grey"


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_rgb_dcmtk_+eb+cy+n2.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_dcmtk_+eb+cy+s2.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm",
        "SC_rgb_rle.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_one_test_card_in_many_encodings_has_its_colours(name: str) -> None:
    image = read_image(str(SHIPPED / name))
    assert image.photometry == "colour"
    # The card's bars, as pydicom documents them: red, green, blue and their halves, on rows 5, 15, ...
    near = dict(zip((5, 25, 45), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), strict=True))
    for row, expected in near.items():
        assert np.abs(image.pixels[row, 50].astype(int) - expected).max() < 8, name


@pytest.mark.parametrize("name", ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"])
def test_lossless_encodings_agree_with_the_uncompressed_file(name: str) -> None:
    plain = read_image(str(SHIPPED / "MR_small.dcm"))
    np.testing.assert_array_equal(read_image(str(SHIPPED / f"{name}.dcm")).pixels, plain.pixels)


@pytest.mark.parametrize("name", ["MR_small_bigendian", "MR_small_implicit", "MR_small_expb", "MR_small_padded"])
def test_byte_orders_agree(name: str) -> None:
    plain = read_image(str(SHIPPED / "MR_small.dcm"))
    np.testing.assert_array_equal(read_image(str(SHIPPED / f"{name}.dcm")).pixels, plain.pixels)


def test_twelve_bit_jpeg() -> None:
    image = read_image(str(SHIPPED / "JPGExtended.dcm"))
    # Reference values of pydicom's own tests for this file.
    assert (image.pixels[420, 140, 0], image.pixels[230, 120, 0]) == (244, 95)


def test_palette_colour() -> None:
    image = read_image(str(SHIPPED / "examples_palette.dcm"))
    assert (image.photometry, image.notes, image.modality) == ("colour", ("palette-applied",), "US")


def test_a_ct_with_the_header_of_a_tiff_before_it_is_dicom() -> None:
    image = read_image(str(SHIPPED / "CT_small.dcm"))
    assert (image.source_format, image.unit, image.modality) == ("dicom", "HU", "CT")
    source = pydicom.dcmread(SHIPPED / "CT_small.dcm")
    expected = source.pixel_array.astype(int) * int(source.RescaleSlope) + int(source.RescaleIntercept)
    np.testing.assert_array_equal(image.pixels[..., 0], expected)


def test_a_file_without_preamble_and_meta_is_read(tmp_path: Path) -> None:
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        made, out = dataset(RAMP), io.BytesIO()
        made.file_meta.TransferSyntaxUID = syntax
        made.save_as(out, enforce_file_format=True)
        raw = out.getvalue()
        bare = raw[raw.index(b"\x08\x00\x16\x00") :]
        (tmp_path / "bare").write_bytes(bare)
        np.testing.assert_array_equal(read_image(str(tmp_path / "bare")).pixels[..., 0], RAMP)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test-SR.dcm", "holds no image: a DICOM object of modality SR"),
        ("rtplan.dcm", "holds no image: a DICOM object of modality RTPLAN"),
        ("examples_ybr_color.dcm", "holds 30 frames, and one picture is wanted"),
        ("rtdose.dcm", "holds 15 frames"),
        ("MR_truncated.dcm", "the file is cut short: the pixel data hold fewer bytes than rows and columns ask for"),
        ("badVR.dcm", "DICOM element NumberOfFrames is missing or no whole number"),
        ("SC_rgb_rle_32bit.dcm", "holds colour pixels of type uint32"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "declares 1024 x 256 pixels, and its encoded picture"),
    ],
)
def test_shipped_files_that_are_refused(name: str, words: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_image(str(SHIPPED / name))
    assert words in str(caught.value)


def test_every_shipped_file_is_read_or_refused_in_our_own_words() -> None:
    for path in sorted(SHIPPED.glob("*.*")):
        try:
            image = read_image(str(path))
        except ImageError as error:
            assert error.where == str(path)
            assert error.fix
        else:
            assert image.pixels.ndim == 3
            assert image.low <= image.pixels.min() <= image.pixels.max() <= image.high


def test_a_declared_size_is_bounded_before_decoding() -> None:
    made = dataset(RAMP)
    made.Rows, made.Columns = 60000, 60000
    assert "declares 60000 x 60000 pixels, more than the 100,000,000" in message(made)
    made.file_meta.TransferSyntaxUID = RLELossless
    made.PixelData = pydicom.encaps.encapsulate([b"\x00" * 64])
    made["PixelData"].is_undefined_length = True
    assert "declares 60000 x 60000 pixels" in message(made)


def test_an_encoded_picture_larger_than_the_header_says_is_refused() -> None:
    source = pydicom.dcmread(SHIPPED / "MR_small_jp2klossless.dcm")
    at = source.PixelData.index(b"\xff\x4f\xff\x51")
    data = bytearray(source.PixelData)
    data[at + 8 : at + 16] = (60000).to_bytes(4, "big") * 2
    source.PixelData = bytes(data)
    assert "declares 64 x 64 pixels, and its encoded picture 60000 x 60000" in message(source)


def test_jpeg_2000_whose_tile_breaks_off_is_cut_short() -> None:
    source = pydicom.dcmread(SHIPPED / "MR_small_jp2klossless.dcm")
    frame = pydicom.encaps.get_frame(source.PixelData, 0, number_of_frames=1)
    source.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) // 2]])
    assert source.file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert "the encoded picture in it has no end marker" in message(source)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: delattr(d, "PixelData"), "holds no image: the pixel data are missing"),
        (lambda d: delattr(d, "Rows"), "DICOM element Rows is missing or no whole number"),
        (lambda d: setattr(d, "SamplesPerPixel", 4), "declares 4 samples a pixel (0028,0002)"),
        (lambda d: setattr(d, "PhotometricInterpretation", "ARGB"), "'ARGB' (0028,0004), which is not read"),
        (lambda d: setattr(d, "RescaleSlope", 0), "rescale slope 0.0 and intercept None are unusable"),
    ],
)
def test_broken_headers(change: Callable[[Dataset], None], words: str) -> None:
    made = dataset(RAMP)
    change(made)
    assert words in message(made)


def test_a_deflated_file_is_read() -> None:
    made = dataset(RAMP)
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    np.testing.assert_array_equal(read(made).pixels[..., 0], RAMP)
    np.testing.assert_array_equal(
        read_image(str(SHIPPED / "image_dfl.dcm")).pixels[..., 0],
        pydicom.dcmread(SHIPPED / "image_dfl.dcm").pixel_array,
    )


def deflated(made: Dataset, tail: bytes) -> bytes:
    """A deflated file with `tail` after its last element."""
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = packed(made)
    end = data.index(b"1.2.840.10008.1.2.1.99")
    start = next(at for at in range(end, len(data)) if _inflates(data[at:]))
    body = zlib.decompress(data[start:], -zlib.MAX_WBITS)
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return data[:start] + machine.compress(body + tail) + machine.flush()


def _inflates(data: bytes) -> bool:
    try:
        return len(zlib.decompress(data, -zlib.MAX_WBITS)) > 500
    except zlib.error:
        return False


def test_a_deflated_bomb_is_refused_before_it_explodes() -> None:
    padding = b"\xfc\xff\xfc\xffOB\x00\x00" + (300 << 20).to_bytes(4, "little") + bytes(300 << 20)
    data = deflated(dataset(RAMP), padding)
    assert len(data) < 400_000
    text = message(data)
    assert "inflates to more than" in text
    assert "far beyond the image that its header declares" in text


def test_all_frames_of_a_deflated_film_are_inflated_and_no_more() -> None:
    frames = np.zeros((80, 512, 512), np.uint8)
    frames[-1, -1] = np.arange(512) % 251
    made = dataset(frames[0], NumberOfFrames=len(frames), PixelData=frames.tobytes())
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert frames[-2:].tobytes() in inflate(packed(made), "a.dcm", ReadLimits())
    for said, words in ((2, "inflates to more than"), (1 << 20, "declares 1048576 x 512 x 512 voxels")):
        made.NumberOfFrames = said
        with pytest.raises(ImageError, match=words):
            inflate(packed(made), "a.dcm", ReadLimits())


def test_half_a_deflated_file_is_refused() -> None:
    made = dataset(np.random.default_rng(0).integers(0, 4000, (64, 64), dtype=np.uint16))
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = packed(made)
    assert "the deflated dataset does not end" in message(data[: len(data) // 2])


def nested(depth: int) -> bytes:
    """A file with sequences of undefined length inside one another, before its pixels."""
    data = packed(dataset(RAMP))
    at = data.index(b"\xe0\x7f\x10\x00")
    opening = b"\x40\x00\x30\xa7SQ\x00\x00" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
    closing = b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
    return data[:at] + opening * depth + closing * depth + data[at:]


def test_deeply_nested_sequences_are_refused() -> None:
    np.testing.assert_array_equal(read(nested(5)).pixels[..., 0], RAMP)
    assert "is no DICOM that can be parsed" in message(nested(20_000))


ENCODINGS = ("MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "SC_rgb_jpeg_dcmtk", "image_dfl")
SOURCES = {"plain": packed(dataset(RAMP)), **{name: (SHIPPED / f"{name}.dcm").read_bytes() for name in ENCODINGS}}


@given(st.sampled_from(sorted(SOURCES)), st.floats(0, 1), st.binary(max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_truncated_file_is_refused_or_identical(name: str, share: float, tail: bytes) -> None:
    whole = SOURCES[name]
    data = whole[: int(len(whole) * share)] + tail
    # Uncompressed pixels that are replaced by as many others are another image, which nothing can tell.
    assume(name != "plain" or len(data) < len(whole))
    expected = read(whole)
    try:
        image = read(data)
    except ImageError:
        return
    np.testing.assert_array_equal(image.pixels, expected.pixels)


@given(st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_changed_byte_never_raises_anything_but_our_own_error(position: int, value: int) -> None:
    data = bytearray(SOURCES["plain"])
    data[position % len(data)] = value
    try:
        image = read(bytes(data))
    except ImageError as error:
        assert error.fix
    else:
        assert image.pixels.ndim == 3
