"""DICOM's words for body parts, sides and modalities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.cohort.body_parts import modality_of, regions_of, side_of


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("CHEST", "LUNG", True),
        ("chest", "Thorax", True),
        ("FEMUR", "KNEE", True),
        ("WHOLEBODY", "FOOT", True),
        ("L-SPINE", "LSPINE", True),
        ("BREAST", "CHEST", False),
        ("HEAD", "ABDOMEN", False),
        ("HAND", "FOOT", False),
    ],
)
def test_words_for_one_part_share_a_region(one: str, other: str, share: bool) -> None:
    assert bool(regions_of(one) & regions_of(other)) == share
    assert regions_of(one) and regions_of(other)


@given(st.text(max_size=20))
def test_nothing_but_known_words_comes_through(text: str) -> None:
    assert all(region.isalpha() and region.islower() for region in regions_of(text))
    assert side_of(text) in ("", "left", "right")
    assert modality_of(text) == "" or modality_of(text).isalnum()


def test_what_is_not_said_is_nothing() -> None:
    assert regions_of(None) == regions_of("") == regions_of("DOE^JANE") == frozenset()
    assert (side_of(None), side_of("B"), side_of("l"), side_of("R ")) == ("", "", "left", "right")
    assert (modality_of(None), modality_of("OT"), modality_of("SC"), modality_of("Jane Doe")) == ("", "", "", "")
    assert modality_of("CR") == modality_of("DX") == modality_of("RG") != modality_of("MG")


def test_a_picture_keeps_what_its_header_says() -> None:
    pydicom = pytest.importorskip("pydicom")
    from semeion.cohort.dicom import read_dicom
    from semeion.cohort.limits import ReadLimits

    data = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    data.BodyPartExamined, data.ImageLaterality = "BREAST", "L"
    import io

    file = io.BytesIO()
    data.save_as(file)
    image = read_dicom(file.getvalue(), "ct.dcm", ReadLimits())
    assert (image.body_part, image.laterality, image.modality) == ("BREAST", "L", "CT")
    assert np.isfinite(image.pixels.astype(float)).all()
