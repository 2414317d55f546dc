"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

from pathlib import PurePath

from semeion.errors import ImageError

SUFFIXES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".bmp": "bmp",
    ".dib": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".ima": "dicom",
    ".npy": "npy",
}
"""Suffixes that name a readable format; reading never trusts them."""

HEAD = 4096
"""Bytes that are enough to tell what a file is."""

# DICOM without its 128-byte preamble starts with a low group: 0002 (file meta), 0004 or 0008.
_BARE_DICOM_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
_VALUE_REPRESENTATIONS = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)

_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive (or an Office or npz file)"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x1f\x8b", "gzip-compressed data (a NIfTI volume when it ends in .nii.gz)"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"BZh", "bzip2-compressed data"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture outside DICOM"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 codestream outside DICOM"),
    (0, b"\x00\x00\x01\x00", "a Windows icon"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"NRRD", "an NRRD volume"),
    (0, b"ObjectType", "a MetaImage volume"),
    (0, b"PAR1", "a Parquet table"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office document"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a Windows program"),
    (0, b"{\\rtf", "an RTF document"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyp", "a video"),
    (8, b"AVI ", "an AVI video"),
    (344, b"n+1\x00", "a NIfTI volume"),
)


def image_format(head: bytes) -> str | None:
    """Return the readable format that `head` (the first bytes of a file) begins, or None."""
    # First of all: the preamble of a DICOM file may be the header of a TIFF (PS3.10 section 7.1).
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "tiff"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if _bare_dicom(head):
        return "dicom"
    # Two letters are weak evidence, so the length of the second header must also be one that exists.
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "bmp"
    return None


def _bare_dicom(head: bytes) -> bool:
    """Tell whether `head` is a data element of DICOM without preamble."""
    if len(head) < 16 or head[:2] not in _BARE_DICOM_GROUPS:
        return False
    if head[4:6] in _VALUE_REPRESENTATIONS:
        return True
    # Implicit value representation: a small even length follows the tag.
    element, length = int.from_bytes(head[2:4], "little"), int.from_bytes(head[4:8], "little")
    return head[:2] == b"\x08\x00" and element <= 0x0100 and length % 2 == 0 and length <= 256


def describe(head: bytes) -> str:
    """Return what a file that is no readable image looks like, with its article."""
    for offset, magic, name in _FOREIGN:
        if head[offset : offset + len(magic)] == magic:
            return name
    if head and not head.strip(b"\x00"):
        return "nothing but zero bytes"
    text = _text(head)
    if text is None:
        return "binary data of an unknown kind"
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<script")):
        return "an HTML page (a failed download, perhaps)"
    if start.startswith("version https://git-lfs"):
        return "a Git LFS pointer (run `git lfs pull`)"
    if start.startswith("<svg"):
        return "an SVG drawing"
    if start.startswith(("<?xml", "<")):
        return "XML text"
    if start.startswith(("{", "[")):
        return "JSON text"
    return "text"


def _text(head: bytes) -> str | None:
    """Return `head` as text, or None when it is binary."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", errors="replace")
    # The last character may be cut in the middle of its bytes.
    for end in range(len(head), max(len(head) - 4, -1), -1):
        try:
            text = head[:end].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return None if any(c < " " and c not in "\t\r\n\f" for c in text) else text
    return None


def require_format(head: bytes, where: str) -> str:
    """Return the readable format of a file.

    Raises
    ------
    ImageError
        Saying what the file really is.
    """
    found = image_format(head)
    if found is None:
        raise ImageError(
            f"is no image that can be read: it looks like {describe(head)}",
            where=where,
            fix="give PNG, JPEG, BMP, TIFF, WebP, DICOM or .npy",
        )
    return found


def suffix_differs(name: str, found: str) -> bool:
    """Tell whether the suffix of `name` promises another format than `found`.

    No suffix promises nothing, and DICOM files often end in a part of their UID.
    """
    suffix = PurePath(name).suffix.lower()
    if not suffix:
        return False
    promised = SUFFIXES.get(suffix)
    return promised != found if promised is not None else found != "dicom"
