"""What a file is, by its first bytes."""

from __future__ import annotations

import pytest

from semeion.cohort.sniff import describe, image_format, require_format, suffix_differs
from semeion.errors import ImageError


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"<!DOCTYPE html><html><body>404</body>", "an HTML page (a failed download, perhaps)"),
        (b"PK\x03\x04" + bytes(30), "a zip archive"),
        (b"hello, this is a note\n", "text"),
        (b'{"a": 1}', "JSON text"),
        (b"<?xml version='1.0'?>", "XML text"),
        (b"%PDF-1.7", "a PDF document"),
        (b"GIF89a", "a GIF picture"),
        (b"\x1f\x8b\x08", "gzip-compressed data"),
        (bytes(64), "nothing but zero bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x00\x00\x00\x18ftypheic", "a HEIC picture"),
        (b"\x01\x02\x03\x04\xff\xfe\x00", "binary data of an unknown kind"),
        ("Größe;Wert\n".encode(), "text"),
        ("Größe".encode()[:4], "text"),
    ],
)
def test_a_file_that_is_no_image_is_called_what_it_is(head: bytes, words: str) -> None:
    assert image_format(head) is None
    assert describe(head).startswith(words)
    with pytest.raises(ImageError) as caught:
        require_format(head, "a/1.png")
    assert str(caught.value).startswith(f"a/1.png: is no image that can be read: it looks like {words}")
    assert "give PNG, JPEG, BMP, TIFF, WebP, DICOM or .npy" in str(caught.value)


def test_dicom_wins_over_the_tiff_header_in_its_preamble() -> None:
    head = b"II*\x00" + bytes(124) + b"DICM"
    assert image_format(head) == "dicom"


def test_text_that_begins_with_bm_is_no_bitmap() -> None:
    assert image_format(b"BMI;age;sex\n21;40;f\n") is None


@pytest.mark.parametrize(
    ("name", "found", "differs"),
    [
        ("a.png", "png", False),
        ("a.PNG", "png", False),
        ("a.jpg", "png", True),
        ("a.txt", "png", True),
        ("a", "png", False),
        ("1.2.840.113619", "dicom", False),
        ("a.dcm", "png", True),
        ("a.png", "dicom", True),
    ],
)
def test_suffix_differs(name: str, found: str, differs: bool) -> None:
    assert suffix_differs(name, found) is differs
