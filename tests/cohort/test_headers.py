"""What the headers of encoded pictures say before anything is decoded."""

from __future__ import annotations

import pytest

from semeion.cohort.headers import jpeg_warning


def _jpeg(*segments: bytes, components: int = 3) -> bytes:
    """Return the header of a JPEG: segments, a frame of 3 x 3 pixels, a scan, its end."""
    each = bytes(3 * components)
    frame = b"\xff\xc0" + (8 + 3 * components).to_bytes(2, "big") + b"\x08\x00\x03\x00\x03" + bytes([components]) + each
    return b"\xff\xd8" + b"".join(segments) + frame + b"\xff\xda\x00\x02\x00\xff\xd9"


def _jfif(version: int) -> bytes:
    return b"\xff\xe0\x00\x10JFIF\x00" + bytes([version]) + bytes(8)


def _adobe(transform: int) -> bytes:
    return b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (_jpeg(), ""),
        (_jpeg(_jfif(1), _adobe(2)), ""),
        (_jpeg(_jfif(5)), "version 5 of JFIF, and there is only 1"),
        (_jpeg(_adobe(1)), ""),
        (_jpeg(_adobe(2)), "colour transform 2 of Adobe's"),
        (_jpeg(_adobe(2), components=4), ""),
        (_jpeg(_adobe(9), components=1), ""),
        (b"\xff\xd8\xff\xe0\x00", ""),
    ],
)
def test_what_a_jpeg_s_decoder_would_warn_of_before_its_first_scan(data: bytes, said: str) -> None:
    assert jpeg_warning(data) == said
