"""What an image file is for: an original, something computed, a scout, a screenshot."""

from __future__ import annotations

from semeion.cohort.series.header import Header

CROSS_SECTIONAL = frozenset(("CT", "MR", "PT", "NM", "RTDOSE", "OPT"))
"""Modalities whose images lie somewhere in the patient; one without a position cannot be put into a volume."""
FRAMES_ARE_SLICES = frozenset(("RTDOSE", "OPT"))
"""Modalities whose frames are planes side by side, not moments."""
_SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
_SCOUTS = frozenset(("LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM"))
_SCREENSHOTS = frozenset(("SCREEN SAVE", "SCREENSHOT", "SCREEN CAPTURE", "DOSE_INFO"))


def kind_of(header: Header) -> str:
    """Return ``original``, ``derived``, ``localiser``, ``secondary-capture`` or ``segmentation``.

    By SOP class and image type (PS3.3 C.7.6.1.1.2). Colour in a CT, MR or PET image is a screenshot too: scanners store
    tables and three-dimensional renderings so.
    """
    if header.modality == "SEG":
        return "segmentation"
    words = frozenset(word.upper() for word in header.image_type)
    capture = header.sop_class == _SECONDARY or header.sop_class.startswith(f"{_SECONDARY}.")
    coloured = header.samples > 1 and header.modality in ("CT", "MR", "PT")
    if capture or coloured or words & _SCREENSHOTS:
        return "secondary-capture"
    if words & _SCOUTS:
        return "localiser"
    return "derived" if header.image_type[:1] == ("DERIVED",) else "original"
