"""One image from the outside world, whatever it is."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from semeion.cohort.limits import ReadLimits
from semeion.cohort.reading import read_image
from semeion.errors import ImageError

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)


def encoded(kind: str) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(PIXELS).save(out, kind)
    return out.getvalue()


WHOLE = {kind: encoded(kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP")}


def message(path: Path, limits: ReadLimits | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(str(path), limits=limits or ReadLimits())
    text = str(caught.value)
    assert text.startswith(str(path))
    return text


def test_a_missing_file(tmp_path: Path) -> None:
    text = message(tmp_path / "17.png")
    assert text.endswith("17.png: does not exist; correct the path, or leave such cases out with --skip-bad")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert "is empty (zero bytes); copy it again" in message(tmp_path / "a.png")


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder, not an image; name one image file a case" in message(tmp_path)


def test_a_name_that_cannot_be(tmp_path: Path) -> None:
    assert "cannot be read" in message(tmp_path / ("x" * 5000))
    with pytest.raises(ImageError, match="cannot be read"):
        read_image("a\x00b.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(WHOLE["PNG"])
    (tmp_path / "a.png").chmod(0)
    assert "cannot be read (Permission denied); check the path and its permissions" in message(tmp_path / "a.png")


def test_a_file_too_large_to_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(WHOLE["PNG"])
    text = message(tmp_path / "a.png", ReadLimits(max_bytes=100))
    assert f"has {len(WHOLE['PNG']):,} bytes, more than the 100 that are read" in text


def test_a_text_file_named_png(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("Dear colleague,\n")
    assert "is no image that can be read: it looks like text" in message(tmp_path / "a.png")


def test_the_content_decides_and_a_wrong_suffix_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(WHOLE["PNG"])
    image = read_image(str(tmp_path / "a.jpg"))
    assert (image.source_format, image.notes) == ("png", ("suffix-differs",))
    np.testing.assert_array_equal(image.pixels, PIXELS)


def test_threads_read_the_same(tmp_path: Path) -> None:
    for number in range(40):
        kind = list(WHOLE)[number % 5]
        (tmp_path / f"{number}").write_bytes(WHOLE[kind])
    alone = [read_image(str(tmp_path / str(number))).pixels for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda number: read_image(str(tmp_path / str(number))).pixels, range(40)))
    for first, second in zip(alone, together, strict=True):
        np.testing.assert_array_equal(first, second)


@given(st.sampled_from(sorted(WHOLE)), st.floats(0, 1))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_picture_is_refused_or_identical(tmp_path: Path, kind: str, share: float) -> None:
    whole = WHOLE[kind]
    path = tmp_path / "cut"
    path.write_bytes(whole)
    expected = read_image(str(path)).pixels
    path.write_bytes(whole[: int(len(whole) * share)])
    try:
        image = read_image(str(path))
    except ImageError as error:
        assert error.fix
        return
    np.testing.assert_array_equal(image.pixels, expected)


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 400), st.binary(min_size=1, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_header_never_raises_anything_but_our_own_error(
    tmp_path: Path, kind: str, position: int, damage: bytes
) -> None:
    data = bytearray(WHOLE[kind])
    data[position : position + len(damage)] = damage
    path = tmp_path / "damaged"
    path.write_bytes(bytes(data))
    try:
        image = read_image(str(path), limits=ReadLimits(max_pixels=10_000_000))
    except ImageError as error:
        assert error.fix
    else:
        assert image.pixels.ndim == 3


def test_reading_a_picture_loads_no_heavy_package(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(WHOLE["PNG"])
    code = (
        "import sys\nfrom semeion.cohort.reading import read_image\n"
        f"read_image({str(tmp_path / 'a.png')!r})\n"
        "heavy = {'pandas', 'scipy', 'pydicom', 'gdcm', 'pyarrow', 'sklearn', 'torch', 'PIL', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_broken_picture_writes_nothing_to_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for kind, whole in WHOLE.items():
        path = tmp_path / kind
        path.write_bytes(whole[: len(whole) // 2])
        message(path)
        path.write_bytes(whole[:20] + bytes(len(whole) - 20))
        message(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.real_data
def test_every_real_picture_is_read(data: Path) -> None:
    for path in sorted((data / "brain_tumor_yesno").glob("*/*")):
        if path.suffix:
            assert read_image(str(path)).pixels.size > 0
    images = [read_image(str(path)) for path in sorted((data / "busi" / "images").glob("*.png"))[:100]]
    assert {image.photometry for image in images} == {"grey"}
    assert max(max(image.pixels.shape) for image in images) == 256


@pytest.mark.real_data
def test_rows_of_real_archives(data: Path) -> None:
    archive = data / "breastmnist" / "breastmnist.npz"
    with np.load(archive) as arrays:
        expected = arrays["test_images"][155]
    image = read_image(f"{archive}#test_images[155]")
    assert (image.photometry, image.source_format) == ("grey", "npz")
    np.testing.assert_array_equal(image.pixels[..., 0], expected)


@pytest.mark.real_data
def test_a_real_ct_series(data: Path) -> None:
    files = sorted(path for path in (data / "dicom" / "ct_head_tilted").rglob("*") if path.is_file())
    images = [read_image(str(path)) for path in files if path.suffix.lower() in (".dcm", "", ".ima")][:5]
    assert images
    for image in images:
        assert (image.unit, image.modality, image.source_format) == ("HU", "CT", "dicom")
        assert image.pixels.min() >= -2000
