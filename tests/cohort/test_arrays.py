"""Arrays as images: shapes, types, bounds, and never a pickle."""

from __future__ import annotations

import io
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.cohort.limits import ReadLimits
from semeion.cohort.reading import read_image
from semeion.errors import ImageError


def saved(folder: Path, array: Any, **options: Any) -> str:
    np.save(folder / "a.npy", array, **options)
    return str(folder / "a.npy")


def message(ref: str, limits: ReadLimits | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(ref, limits=limits or ReadLimits())
    return str(caught.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, ">u2", ">i2"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_integers_come_back_as_they_are(tmp_path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    image = read_image(saved(tmp_path, array))
    native = np.dtype(dtype).newbyteorder("=")
    assert (image.pixels.dtype, image.low, image.high) == (native, np.iinfo(native).min, np.iinfo(native).max)
    assert image.source_format == "npy"
    np.testing.assert_array_equal(image.pixels, array.reshape(5, 7, -1))


def test_columns_first_order_is_honoured(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(35, dtype=np.uint8).reshape(5, 7))
    np.testing.assert_array_equal(read_image(saved(tmp_path, array)).pixels[..., 0], array)


def test_truth_values_are_zero_and_one(tmp_path: Path) -> None:
    image = read_image(saved(tmp_path, np.eye(6, dtype=bool)))
    assert (image.pixels.dtype, image.low, image.high, image.bits) == (np.uint8, 0, 1, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_become_float32_with_the_range_seen(tmp_path: Path, dtype: Any) -> None:
    image = read_image(saved(tmp_path, np.linspace(-1, 3, 35).reshape(5, 7).astype(dtype)))
    assert (image.pixels.dtype, image.low, image.high) == (np.float32, -1, 3)
    assert image.notes == ("range-from-values",)


def test_four_channels_are_colour_with_opacity(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, (5, 7, 4), dtype=np.uint8)
    array[..., 3] = 0
    image = read_image(saved(tmp_path, array))
    assert image.pixels.shape == (5, 7, 1)
    assert image.pixels.max() == 0
    assert image.notes == ("alpha-composited",)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[1.0, np.nan]]), "1 of 2 pixel values are NaN, infinite or beyond float32"),
        (np.array([[1.0, 1e300]]), "1 of 2 pixel values are NaN, infinite or beyond float32"),
        (np.zeros((4, 4), np.int64), "holds int64 values; save it as uint8, uint16, int16, float32 or bool"),
        (np.zeros((4, 4), np.complex64), "holds complex64 values"),
        (np.zeros((4, 4), "U3"), "holds <U3 values"),
        (
            np.zeros((10, 28, 28), np.uint8),
            "has shape 10 x 28 x 28, which is no flat picture; an image is H x W or H x W x C with C of 1, 3 or 4",
        ),
        (
            np.zeros((10, 28, 28), np.uint8),
            "give a volume as NIfTI, NRRD or MetaImage, or as a row of an archive: organ.npz#test_images[0]",
        ),
        (np.zeros(10, np.uint8), "has shape 10; an image is"),
        (np.zeros((0, 4), np.uint8), "declares an empty size of 0 x 4 pixels"),
        (np.zeros((4, 4, 4), np.float32), "has four channels of float32, whose opacity has no agreed range"),
        (np.zeros(3, [("a", "u1")]), "holds Python objects or records, which are never loaded"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, array: Any, words: str) -> None:
    assert words in message(saved(tmp_path, array))


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    ref = saved(tmp_path, np.array([[Trap(trace)]], dtype=object), allow_pickle=True)
    assert "holds Python objects or records, which are never loaded" in message(ref)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap(trace)))
    assert "is no image that can be read" in message(str(tmp_path / "b.npy"))
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.write(tmp_path / "a.npy", "a.npy")
    assert "holds Python objects" in message(f"{tmp_path}/c.npz#a[0]")
    assert not trace.exists()


def test_a_huge_declared_shape_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    ref = saved(tmp_path, np.zeros((4, 4), np.uint8))
    path = Path(ref)
    data = path.read_bytes().replace(b"(4, 4)", b"(99999, 99999)")
    path.write_bytes(data)
    assert "declares 99999 x 99999 pixels" in message(ref)
    path.write_bytes(path.read_bytes().replace(b"(99999, 99999)", b"(40, 40)"))
    assert "the file is cut short: the array of shape (40, 40) needs 1600 bytes" in message(ref)


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': broken")
    assert "its numpy header is damaged" in message(str(tmp_path / "a.npy"))


def stack(folder: Path, **arrays: Any) -> Path:
    path = folder / "stack.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_a_row_of_an_archive(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (6, 5, 7, 3), dtype=np.uint8)
    path = stack(tmp_path, train_images=images)
    image = read_image(f"{path}#train_images[4]")
    assert image.source_format == "npz"
    np.testing.assert_array_equal(image.pixels, images[4])


def test_many_threads_share_one_archive(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (200, 8, 8), dtype=np.uint8)
    path = stack(tmp_path, x=images)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda row: read_image(f"{path}#x[{row}]").pixels[..., 0], range(200)))
    np.testing.assert_array_equal(np.stack(read), images)


def test_a_rewritten_archive_is_read_anew(tmp_path: Path) -> None:
    path = stack(tmp_path, x=np.zeros((2, 4, 4), np.uint8))
    assert read_image(f"{path}#x[0]").pixels.max() == 0
    stack(tmp_path, x=np.full((3, 4, 4), 9, np.uint8))
    assert read_image(f"{path}#x[0]").pixels.max() == 9


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("stack.npz#y[0]", "has no array 'y'; choose one of v, x"),
        ("stack.npz#x[2]", "array 'x' has rows 0 to 1, not 2; correct the row"),
        ("stack.npz#v[0]", "array 'v' has shape (2, 4, 4, 4, 4); a stack is N x H x W or N x H x W x C"),
        ("stack.npz#x", "is not of the form file.npz#array[row]"),
        ("none.npz#x[0]", "the archive does not exist or cannot be read"),
        ("stack.npz", "it looks like a zip archive (or an Office or npz file)"),
    ],
)
def test_references_that_lead_nowhere(tmp_path: Path, ref: str, words: str) -> None:
    stack(tmp_path, x=np.zeros((2, 4, 4), np.uint8), v=np.zeros((2, 4, 4, 4, 4), np.uint8))
    assert words in message(str(tmp_path / ref))


def test_an_archive_that_inflates_too_far_is_refused_before_it_does(tmp_path: Path) -> None:
    path = stack(tmp_path, x=np.zeros((100, 100, 100), np.uint8))
    text = message(f"{path}#x[0]", ReadLimits(max_array_bytes=500_000))
    assert "array 'x' of shape (100, 100, 100) needs" in text
    assert "save the images as single files" in text


def test_an_archive_that_is_shorter_than_it_says_is_cut_short(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.save(out, np.zeros((2, 4, 4), np.uint8))
    with zipfile.ZipFile(tmp_path / "s.npz", "w") as archive:
        archive.writestr("x.npy", out.getvalue()[:-10])
    assert "the file is cut short: array 'x' of shape (2, 4, 4) holds 22 of 32 bytes" in message(
        f"{tmp_path}/s.npz#x[0]"
    )


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = stack(tmp_path, x=np.random.default_rng(0).integers(0, 255, (20, 9, 9), dtype=np.uint8))
    data = bytearray(path.read_bytes())
    data[600:640] = bytes(40)
    path.write_bytes(data)
    assert "is damaged" in message(f"{path}#x[0]")
