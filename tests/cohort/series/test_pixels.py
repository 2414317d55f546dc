"""Every way to store pixels gives the same physical values; what does not fit is refused."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from semeion.cohort.limits import ReadLimits
from semeion.cohort.series.assemble import read_folder, read_series
from semeion.cohort.series.coding import Coding, common_type, read_coding
from semeion.cohort.series.pixels import TooNarrow, mark, place
from semeion.errors import ImageError, InputError
from support.series import ct_slices, headers_in, save, stored


def grey(**changes: Any) -> Coding:
    """Return the coding of a 16-bit signed picture."""
    usual = {
        "rows": 4,
        "cols": 5,
        "frames": 1,
        "samples": 1,
        "allocated": 16,
        "stored": 16,
        "high_bit": 15,
        "signed": True,
        "photometric": "MONOCHROME2",
    }
    return Coding(**{**usual, **changes})


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_syntaxes_give_equal_voxels(tmp_path: Path, syntax: str) -> None:
    slices = ct_slices(3)
    for dataset in slices:
        dataset.file_meta.TransferSyntaxUID = syntax
    volume = read_folder(save(slices, tmp_path))
    assert np.array_equal(volume.plane, stored(ct_slices(3)))
    assert volume.unit == "HU"


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_slices_give_equal_voxels(tmp_path: Path, syntax: str) -> None:
    slices = ct_slices(2)
    expected = stored(slices)
    if syntax == RLELossless:
        for dataset in slices:
            dataset.compress(syntax, generate_instance_uid=False)
        volume = read_folder(save(slices, tmp_path))
        assert np.array_equal(volume.plane, expected)
        return
    name = {JPEG2000Lossless: "MR_small_jp2klossless.dcm", JPEGLSLossless: "MR_small_jpeg_ls_lossless.dcm"}[syntax]
    coded = pydicom.dcmread(get_testdata_file(name))
    plain = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    coded.save_as(tmp_path / "one.dcm")
    assert np.array_equal(read_series(headers_in(tmp_path)).plane[0], plain.pixel_array)


def test_a_series_that_is_partly_compressed_has_one_type(tmp_path: Path) -> None:
    slices = ct_slices(4)
    expected = stored(slices)
    slices[1].compress(RLELossless, generate_instance_uid=False)
    volume = read_folder(save(slices, tmp_path))
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.plane, expected)


@pytest.mark.parametrize("variant", ["bigendian", "expb", "implicit", "RLE"])
def test_shipped_variants_of_one_slice_are_equal(tmp_path: Path, variant: str) -> None:
    name = f"MR_small_{variant}.dcm"
    dataset = pydicom.dcmread(get_testdata_file(name))
    expected = pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array
    (tmp_path / "one").write_bytes(Path(get_testdata_file(name)).read_bytes())
    volume = read_series(headers_in(tmp_path))
    assert np.array_equal(volume.plane[0], expected)
    assert volume.grid.spacing[0] == pytest.approx(float(dataset.PixelSpacing[1]))


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    slices = ct_slices(2)
    save(slices, tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[132:])
    assert np.array_equal(read_folder(tmp_path).plane, stored(slices))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
def test_a_cut_behind_the_pixels_is_refused_too(tmp_path: Path, syntax: str) -> None:
    slices = ct_slices(2)
    for dataset in slices:
        assert "DataSetTrailingPadding" in dataset
        if syntax == RLELossless:
            dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = syntax
    save(slices, tmp_path)
    victim = sorted(tmp_path.iterdir())[0]
    whole = victim.read_bytes()
    for cut in (1, 4, 8, 9, 50, 400, 3000, len(whole) // 2):
        victim.write_bytes(whole[:-cut])
        with pytest.raises(ImageError, match=r"cut short|cannot be read|cannot be decoded"):
            read_folder(tmp_path)


def test_zeros_behind_the_last_element_do_no_harm(tmp_path: Path) -> None:
    slices = ct_slices(2)
    save(slices, tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes() + bytes(3))
    assert np.array_equal(read_folder(tmp_path).plane, stored(slices))


def test_monochrome1_is_turned_round_within_its_declared_range(tmp_path: Path) -> None:
    slices = ct_slices(2)
    for dataset in slices:
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.BitsStored, dataset.HighBit = 13, 12
    volume = read_folder(save(slices, tmp_path))
    low, high = -4096 - 1024, 4095 - 1024
    assert np.array_equal(volume.plane, low + high - stored(slices))
    assert volume.unit is None
    assert "monochrome1-inverted" in volume.notes


def test_unused_high_bits_are_cleared(tmp_path: Path) -> None:
    slices = ct_slices(2)
    for dataset in slices:
        low = (dataset.pixel_array & 0x0FFF).astype(np.uint16)
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
        dataset.PixelData = (low | 0xA000).tobytes()
        dataset.expected = low.astype(int) - 1024
    volume = read_folder(save(slices, tmp_path))
    assert np.array_equal(volume.plane, np.stack([dataset.expected for dataset in slices]))
    assert volume.voxels.dtype == np.int16


def test_a_modality_table_takes_the_place_of_the_rescale(tmp_path: Path) -> None:
    slices = ct_slices(1)
    dataset = slices[0]
    del dataset.RescaleSlope, dataset.RescaleIntercept
    pixels = np.arange(128 * 128, dtype=np.uint16).reshape(128, 128) % 256
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    table = pydicom.Dataset()
    table.LUTDescriptor = [256, 0, 16]
    table["LUTDescriptor"].VR = "US"
    table.add_new("LUTData", "OW", (np.arange(256, dtype=np.uint16) * 3 + 7).tobytes())
    table.ModalityLUTType = "HU"
    dataset.ModalityLUTSequence = [table]
    volume = read_series(headers_in(save(slices, tmp_path)))
    assert np.array_equal(volume.plane[0], pixels * 3 + 7)


def test_high_throughput_jpeg_2000_is_read(tmp_path: Path) -> None:
    # 16 x 20 values 40 * row + 7 * column, encoded losslessly by OpenJPH 0.26.3.
    stream = base64.b64decode(
        "/0//UQApQAAAAAAUAAAAEAAAAAAAAAAAAAAAFAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQ"
        "kJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAIYAAf+TwAAmHf4FB3QAwAASgOQBB3QAwAARwAATgABjANpq+wCCNADAABHA"
        "ABVAEnMAbNnY/gAIQHdWAMAAE8AAFaDe3dF+y3UAsjKZTPbgCEYhAey4AMAAKuAAFqAkSZLv4Kenp0J4AE7HcRzHcRzn/oI9hCB79hCB7LwA/9k="
    )
    slices = ct_slices(2)
    for dataset in slices:
        dataset.Rows, dataset.Columns, dataset.PixelRepresentation = 16, 20, 0
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].is_undefined_length = True
    volume = read_folder(save(slices, tmp_path))
    assert np.array_equal(volume.plane[1], np.add.outer(np.arange(16) * 40, np.arange(20) * 7) - 1024)
    assert volume.grid.size == (20, 16, 2)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    slices = ct_slices(2)
    indices = (np.arange(128 * 128) % 256).astype(np.uint8).reshape(128, 128)
    for dataset in slices:
        dataset.PhotometricInterpretation, dataset.Modality = "PALETTE COLOR", "OT"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        dataset.PixelData = indices.tobytes()
        for n, colour in enumerate(("Red", "Green", "Blue")):
            table = (np.arange(256, dtype=np.uint16) * (n + 1)).tobytes()
            dataset.add_new(0x00281101 + n, "US", [256, 0, 16])
            setattr(dataset, f"{colour}PaletteColorLookupTableData", table)
    volume = read_series(headers_in(save(slices, tmp_path)))
    assert volume.names == ("red", "green", "blue")
    for n in range(3):
        assert np.array_equal(volume.voxels[n, 0], indices.astype(int) * (n + 1))


def test_colour_slices_become_three_channels(tmp_path: Path) -> None:
    slices = ct_slices(2)
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (2, 128, 128, 3), np.uint8)
    for dataset, picture in zip(slices, colours, strict=True):
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        dataset.PixelData = picture.tobytes()
        dataset.Modality = "OT"
    volume = read_series(headers_in(save(slices, tmp_path)))
    assert volume.names == ("red", "green", "blue")
    assert np.array_equal(np.moveaxis(volume.voxels, 0, -1), colours)
    slices[0] = ct_slices(1)[0]
    slices[0].Modality = "OT"
    with pytest.raises(ImageError, match=r"photometric interpretation \(0028,0004\): 1 with MONOCHROME2, 1 with RGB"):
        read_series(headers_in(save(slices, tmp_path)))


@pytest.mark.parametrize(
    ("codings", "kind"),
    [
        ([{}], np.int16),
        ([{"intercept": -1024.0}], np.int16),
        ([{"signed": False, "stored": 12}], np.uint16),
        ([{"signed": False, "stored": 12, "intercept": -1024.0}], np.int16),
        ([{"signed": False, "stored": 8}], np.uint8),
        ([{"signed": False, "stored": 8}, {}], np.int16),
        ([{}, {"slope": 0.5}], np.float32),
        ([{"slope": 1000.0}], np.int32),
        ([{"floats": True}], np.float32),
    ],
)
def test_one_type_is_chosen_from_all_headers(codings: list[dict[str, Any]], kind: type) -> None:
    assert common_type([grey(**changes) for changes in codings]) == kind


@given(
    pixels=hnp.arrays(np.int16, (4, 5)),
    slope=st.sampled_from([1, 2, -1]),
    intercept=st.integers(-3000, 3000),
    padding=st.none() | st.tuples(st.integers(-10, 0), st.integers(1, 10)),
)
def test_placed_values_are_the_plain_rescale_or_do_not_fit(
    pixels: np.ndarray, slope: int, intercept: int, padding: tuple[int, int] | None
) -> None:
    coding = grey(slope=float(slope), intercept=float(intercept), padding=padding, rescaled=True)
    expected = pixels.astype(np.int64) * slope + intercept
    real = np.ones_like(pixels, bool) if padding is None else (pixels < padding[0]) | (pixels > padding[1])
    for kind in (np.int16, np.int32, np.float32):
        out = np.empty((4, 5), kind)
        fits = kind != np.int16 or not real.any() or (expected[real].min() >= -32768 and expected[real].max() <= 32767)
        if not fits:
            with pytest.raises(TooNarrow):
                place(pixels.copy(), coding, out)
            continue
        padded = place(pixels.copy(), coding, out)
        assert np.array_equal(out[real], expected[real])
        assert padded.count == (~real).sum()
        assert (out[~real] == mark(out.dtype)).all()


def test_reading_into_place_leaves_the_stored_values_alone_that_share_its_memory() -> None:
    out = np.arange(20, dtype=np.int16).reshape(4, 5)
    place(out, grey(intercept=-1024.0), out)
    assert np.array_equal(out, np.arange(20).reshape(4, 5) - 1024)


def test_headers_that_claim_more_than_there_is_are_refused(tmp_path: Path) -> None:
    dataset = ct_slices(1)[0]
    dataset.Rows = 60_000
    dataset.Columns = 60_000
    dataset.save_as(tmp_path / "huge.dcm")
    with pytest.raises(ImageError, match=r"declares 60000 x 60000 pixels, more than the 100,000,000"):
        read_coding(str(tmp_path / "huge.dcm"), ReadLimits())
    dataset.Rows = dataset.Columns = 256
    dataset.save_as(tmp_path / "huge.dcm")
    with pytest.raises(ImageError, match=r"131,072 bytes of pixels are declared and 32,768 are there"):
        read_coding(str(tmp_path / "huge.dcm"), ReadLimits())
    dataset.Rows = dataset.Columns = 128
    dataset.RescaleSlope = 0
    dataset.save_as(tmp_path / "huge.dcm")
    with pytest.raises(ImageError, match=r"rescale slope 0\.0 and intercept -1024 are unusable"):
        read_coding(str(tmp_path / "huge.dcm"), ReadLimits())


def test_explicit_big_endian_is_read_like_little(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(get_testdata_file("MR_small_bigendian.dcm"))
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    coding = read_coding(get_testdata_file("MR_small_bigendian.dcm"), ReadLimits())
    assert coding.offset is None
    assert (coding.rows, coding.cols, coding.signed) == (64, 64, True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32), kind=st.sampled_from(["plain", "rle", "deflated"]))
def test_a_changed_byte_never_raises_anything_but_our_own_error(tmp_path: Path, seed: int, kind: str) -> None:
    folder = tmp_path / kind
    if not folder.exists():
        slices = ct_slices(2)
        for dataset in slices:
            dataset.PixelData = dataset.pixel_array[:16, :16].tobytes()
            dataset.Rows = dataset.Columns = 16
            if kind == "rle":
                dataset.compress(RLELossless, generate_instance_uid=False)
            elif kind == "deflated":
                dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        save(slices, folder)
    rng = np.random.default_rng(seed)
    victim = sorted(folder.iterdir())[0]
    whole = victim.read_bytes()
    changed = bytearray(whole)
    for at in rng.integers(132, len(whole), rng.integers(1, 4)):
        changed[at] = rng.integers(0, 256)
    victim.write_bytes(changed)
    try:
        volume = read_folder(folder)
    except InputError as error:
        assert error.fix is not None
    else:
        assert volume.grid.shape == volume.voxels.shape[1:]
    finally:
        victim.write_bytes(whole)
