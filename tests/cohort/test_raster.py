"""Everyday pictures: what is read, how, and what is refused with which words."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from semeion.cohort.image import Image
from semeion.cohort.limits import ReadLimits
from semeion.cohort.raster import read_raster, upright
from semeion.errors import ImageError

LIMITS = ReadLimits()
GREY = (np.add.outer(np.arange(20), np.arange(30)) * 4).astype(np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)
NOISE = np.random.default_rng(0).integers(0, 255, (120, 140, 3), dtype=np.uint8)


def encoded(picture: Pillow.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def pillow(array: np.ndarray) -> Pillow.Image:
    return Pillow.fromarray(array)


def read(data: bytes, kind: str, limits: ReadLimits = LIMITS) -> Image:
    return read_raster(data, kind, "a/1", limits)


def message(data: bytes, kind: str, limits: ReadLimits = LIMITS) -> str:
    with pytest.raises(ImageError) as caught:
        read(data, kind, limits)
    text = str(caught.value)
    assert text.startswith("a/1: ")
    assert "; " in text
    return text


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(array: np.ndarray, photometric: int = 1, extra: dict[int, int] | None = None, parts: int = 1) -> bytes:
    """Write an uncompressed little-endian TIFF by hand."""
    data = array.tobytes()
    samples = array.shape[2] if array.ndim == 3 else 1
    tags = {256: array.shape[1], 257: array.shape[0], 258: array.dtype.itemsize * 8, 259: 1, 262: photometric}
    tags |= {273: 8, 277: samples, 278: array.shape[0], 279: len(data)} | (extra or {})
    out = b"II*\x00" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags))
    for tag in sorted(tags):
        out += struct.pack("<HHII", tag, 4, 1, tags[tag])
    return out + struct.pack("<I", 0)


@pytest.mark.parametrize(("kind", "name"), [("PNG", "png"), ("BMP", "bmp"), ("TIFF", "tiff")])
def test_lossless_grey_and_colour_come_back_as_they_went_in(kind: str, name: str) -> None:
    grey = read(encoded(pillow(GREY), kind), name)
    assert (grey.photometry, grey.low, grey.high, grey.bits, grey.source_format) == ("grey", 0, 255, 8, name)
    np.testing.assert_array_equal(grey.pixels[..., 0], GREY)
    colour = read(encoded(pillow(COLOUR), kind), name)
    assert colour.photometry == "colour"
    np.testing.assert_array_equal(colour.pixels, COLOUR)


def test_webp_and_jpeg_are_red_green_blue() -> None:
    webp = read(encoded(pillow(COLOUR), "WEBP", lossless=True), "webp")
    np.testing.assert_array_equal(webp.pixels, COLOUR)
    jpeg = read(encoded(pillow(COLOUR), "JPEG", quality=98, subsampling=0), "jpeg")
    assert np.abs(jpeg.pixels.astype(int) - COLOUR).mean() < 2


def test_a_cmyk_jpeg_is_converted() -> None:
    image = read(encoded(pillow(COLOUR).convert("CMYK"), "JPEG", quality=98), "jpeg")
    assert np.abs(image.pixels.astype(int) - COLOUR).mean() < 2


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(kind: str) -> None:
    deep = GREY.astype(np.uint16) * 257
    image = read(encoded(pillow(deep), kind), kind.lower())
    assert image.pixels.dtype == np.uint16
    assert (image.high, image.bits) == (65535, 16)
    np.testing.assert_array_equal(image.pixels[..., 0], deep)


def test_sixteen_bit_colour_is_red_green_blue() -> None:
    deep = COLOUR.astype(np.uint16) * 257
    ok, data = cv2.imencode(".png", deep[..., ::-1])
    assert ok
    np.testing.assert_array_equal(read(data.tobytes(), "png").pixels, deep)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_palette_becomes_colour(kind: str) -> None:
    indexed = pillow(COLOUR).quantize(16)
    image = read(encoded(indexed, kind), kind.lower())
    np.testing.assert_array_equal(image.pixels, np.asarray(indexed.convert("RGB")))


def test_a_grey_palette_and_equal_channels_are_grey() -> None:
    for picture in (pillow(GREY).convert("P"), pillow(GREY).convert("RGB")):
        image = read(encoded(picture, "PNG"), "png")
        assert image.photometry == "grey"
        np.testing.assert_array_equal(image.pixels[..., 0], GREY)


def test_channels_that_differ_in_one_pixel_are_colour() -> None:
    array = np.stack([GREY] * 3, axis=-1)
    array[7, 5, 2] ^= 1
    assert read(encoded(pillow(array), "PNG"), "png").photometry == "colour"


def test_one_bit_pictures_span_the_range() -> None:
    image = read(encoded(pillow(GREY > 90), "PNG"), "png")
    assert (image.bits, image.low, image.high) == (1, 0, 255)
    np.testing.assert_array_equal(image.pixels[..., 0], np.where(GREY > 90, 255, 0))


def test_transparency_is_put_on_black_and_noted() -> None:
    alpha = np.full((*GREY.shape, 1), 255, np.uint8)
    alpha[:10] = 0
    alpha[10:12] = 51
    image = read(encoded(pillow(np.concatenate([COLOUR, alpha], axis=-1)), "PNG"), "png")
    assert image.notes == ("alpha-composited",)
    assert image.pixels[:10].max() == 0
    np.testing.assert_array_equal(image.pixels[10:12], np.rint(COLOUR[10:12] * 0.2))
    np.testing.assert_array_equal(image.pixels[12:], COLOUR[12:])


def test_opaque_alpha_is_dropped_without_a_word() -> None:
    image = read(encoded(pillow(COLOUR).convert("RGBA"), "PNG"), "png")
    assert image.notes == ()
    np.testing.assert_array_equal(image.pixels, COLOUR)


def test_grey_with_alpha_stays_grey() -> None:
    pair = np.stack([GREY, np.where(GREY > 90, 255, 0).astype(np.uint8)], axis=-1)
    image = read(encoded(pillow(pair), "PNG"), "png")
    assert (image.photometry, image.notes) == ("grey", ("alpha-composited",))
    np.testing.assert_array_equal(image.pixels[..., 0], np.where(GREY > 90, GREY, 0))


def test_a_transparent_grey_level_of_png_is_black() -> None:
    image = read(encoded(pillow(GREY), "PNG", transparency=40), "png")
    assert image.notes == ("alpha-composited",)
    np.testing.assert_array_equal(image.pixels[..., 0], np.where(GREY == 40, 0, GREY))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(kind: str, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    data = encoded(pillow(COLOUR), kind, exif=exif, **options)
    image = read(data, kind.lower())
    expected = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.swapaxes(0, 1),
        6: np.rot90(COLOUR, -1),
        7: COLOUR[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(COLOUR),
    }[orientation]
    assert image.pixels.shape == expected.shape
    assert np.abs(image.pixels.astype(int) - expected).max() <= (6 if kind == "JPEG" else 0)
    assert image.notes == (("exif-rotated",) if orientation > 1 else ())


def test_upright_of_a_grey_array() -> None:
    np.testing.assert_array_equal(upright(GREY, 6), np.rot90(GREY, -1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_turned_round(dtype: type[np.unsignedinteger[Any]]) -> None:
    image = read(tiff(GREY.astype(dtype), photometric=0), "tiff")
    np.testing.assert_array_equal(image.pixels[..., 0], np.iinfo(dtype).max - GREY.astype(dtype))


def test_float_tiff_keeps_its_values_and_says_where_its_range_is_from() -> None:
    array = np.linspace(-1.5, 2.5, 600, dtype=np.float32).reshape(20, 30)
    for dtype in (np.float32, np.float64):
        _, data = cv2.imencode(".tiff", array.astype(dtype))
        image = read(data.tobytes(), "tiff")
        assert (image.pixels.dtype, image.low, image.high) == (np.float32, -1.5, 2.5)
        assert image.notes == ("range-from-values",)
        np.testing.assert_array_equal(image.pixels[..., 0], array)


def test_float_tiff_with_nan_is_refused() -> None:
    array = np.zeros((20, 30), np.float32)
    array[3, 4] = np.nan
    _, data = cv2.imencode(".tiff", array)
    assert "1 of 600 pixel values are NaN, infinite or beyond float32" in message(data.tobytes(), "tiff")


def test_signed_tiff_is_read() -> None:
    array = GREY.astype(np.int16) - 100
    _, data = cv2.imencode(".tiff", array)
    image = read(data.tobytes(), "tiff")
    assert (image.low, image.high) == (-32768, 32767)
    np.testing.assert_array_equal(image.pixels[..., 0], array)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encoded(pillow(COLOUR).convert("CMYK"), "TIFF"), "is a CMYK TIFF; save it as grey or RGB"),
        (encoded(pillow(COLOUR).convert("LAB"), "TIFF"), "is a CIE Lab TIFF"),
        (encoded(pillow(GREY).convert("LA"), "TIFF"), "is a TIFF with 2 samples a pixel"),
        (encoded(pillow(GREY).convert("I"), "TIFF"), "is a TIFF of 32-bit signed integers; save it as uint8, uint16"),
        (
            encoded(pillow(COLOUR), "TIFF", save_all=True, append_images=[pillow(COLOUR)] * 2),
            "holds 3 pages; this version reads one picture a file",
        ),
    ],
)
def test_tiffs_that_would_be_misread_are_refused(data: bytes, words: str) -> None:
    assert words in message(data, "tiff")


def test_a_tiff_with_a_thumbnail_is_one_picture() -> None:
    small = Pillow.fromarray(COLOUR[::4, ::4])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    image = read(encoded(pillow(COLOUR), "TIFF", save_all=True, append_images=[small]), "tiff")
    np.testing.assert_array_equal(image.pixels, COLOUR)


@pytest.mark.parametrize(
    ("kind", "what"),
    [("PNG", "an animated PNG"), ("WEBP", "an animated WebP")],
)
def test_animations_are_refused(kind: str, what: str) -> None:
    data = encoded(pillow(COLOUR), kind, save_all=True, append_images=[pillow(COLOUR[::-1].copy())])
    assert f"holds several pictures ({what})" in message(data, kind.lower())


PNG_BOMB = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 50000, 8, 2, 0, 0, 0))
BMP_BOMB = b"BM" + struct.pack("<IIIIiiHHI", 1000, 0, 54, 40, 60000, -50000, 1, 24, 0) + bytes(20)


def jpeg_bomb() -> bytes:
    data = bytearray(encoded(pillow(COLOUR), "JPEG"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 50000, 60000)
    return bytes(data)


def webp_bomb() -> bytes:
    data = bytearray(
        encoded(pillow(COLOUR).convert("RGBA"), "WEBP", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00")
    )
    assert data[12:16] == b"VP8X"
    data[24:30] = (59999).to_bytes(3, "little") + (49999).to_bytes(3, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG_BOMB, "png"),
        (BMP_BOMB, "bmp"),
        (jpeg_bomb(), "jpeg"),
        (webp_bomb(), "webp"),
        (tiff(GREY, extra={256: 60000, 257: 50000}), "tiff"),
    ],
)
def test_decompression_bombs_are_refused_with_the_declared_size(data: bytes, kind: str) -> None:
    text = message(data, kind)
    assert "declares 50000 x 60000 pixels, more than the 100,000,000 that are read" in text
    assert "leave the case out with --skip-bad" in text


def test_the_bound_is_the_callers() -> None:
    data = encoded(pillow(GREY), "PNG")
    assert read(data, "png", ReadLimits(max_pixels=600)).pixels.shape == (20, 30, 1)
    assert "declares 20 x 30 pixels, more than the 599" in message(data, "png", ReadLimits(max_pixels=599))


def test_an_empty_size_is_refused() -> None:
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 5, 8, 0, 0, 0, 0))
    assert "declares an empty size of 5 x 0 pixels" in message(data, "png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_half_a_file_is_cut_short(kind: str) -> None:
    data = encoded(pillow(NOISE), kind)
    assert "the file is cut short: " in message(data[: len(data) // 2], kind.lower())


def test_a_png_without_its_end_is_cut_short() -> None:
    data = encoded(pillow(NOISE), "PNG")
    assert "the file is cut short: the PNG has no end" in message(data[:-12], "png")


def test_a_png_with_a_wrong_checksum_is_damaged() -> None:
    data = bytearray(encoded(pillow(NOISE), "PNG"))
    data[len(data) // 2] ^= 1
    assert "the checksum of PNG chunk 'IDAT' is wrong" in message(bytes(data), "png")


def test_a_png_whose_data_are_too_few_is_refused() -> None:
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, 8, 0, 0, 0, 0))
    data = head + chunk(b"IDAT", zlib.compress(bytes(31 * 10))) + chunk(b"IEND", b"")
    assert "the PNG cannot be decoded" in message(data, "png")


def test_a_jpeg_without_its_end_marker_is_cut_short() -> None:
    data = encoded(pillow(NOISE), "JPEG")
    assert "the JPEG has no end marker" in message(data[:-2], "jpeg")


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("colour", [True, False])
def test_a_cut_jpeg_with_an_end_marker_put_on_is_cut_short(colour: bool, subsampling: int) -> None:
    data = encoded(pillow(NOISE if colour else NOISE[..., 0].copy()), "JPEG", subsampling=subsampling)
    assert "the JPEG's picture breaks off" in message(data[: len(data) // 2] + b"\xff\xd9", "jpeg")


@pytest.mark.parametrize("optimize", [True, False])
def test_a_jpeg_that_really_ends_in_middle_grey_is_read(optimize: bool) -> None:
    array = NOISE.copy()
    array[60:] = 128
    image = read(encoded(pillow(array), "JPEG", optimize=optimize), "jpeg")
    assert (image.pixels[-20:] == 128).all()


def test_bytes_after_the_end_do_not_matter() -> None:
    for kind in ("PNG", "JPEG", "BMP", "WEBP"):
        data = encoded(pillow(COLOUR), kind)
        np.testing.assert_array_equal(read(data, kind.lower()).pixels, read(data + b"trailing", kind.lower()).pixels)


def test_a_tiff_whose_strips_lie_beyond_its_end_is_cut_short() -> None:
    data = tiff(GREY, extra={273: 5000})
    assert "1 of 1 parts of the TIFF's picture lie beyond its end" in message(data, "tiff")
    data = tiff(GREY, extra={279: 10})
    assert "the TIFF declares 20 x 30 pixels and holds fewer" in message(data, "tiff")


def test_a_tiff_with_a_circle_of_directories_ends() -> None:
    data = bytearray(tiff(GREY))
    data[-4:] = struct.pack("<I", 8 + GREY.size)
    assert "holds 256 pages" in message(bytes(data), "tiff")
