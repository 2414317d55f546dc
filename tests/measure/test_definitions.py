from __future__ import annotations

import pytest

from measure.ibsi import SHAPE as PUBLISHED_SHAPE
from measure.ibsi import STATISTICS as PUBLISHED_STATISTICS
from measure.ibsi import TEXTURE as PUBLISHED_TEXTURE
from semeion.measure.definitions import DEFINITIONS, SHAPE, STATISTICS, TEXTURE, unit_of


def test_every_measurement_has_a_title_a_definition_and_a_source() -> None:
    assert len(DEFINITIONS) == len(SHAPE) + len(STATISTICS) + len(TEXTURE) == 93
    for name, definition in DEFINITIONS.items():
        assert definition.name == name
        assert definition.definition.endswith(".")
        assert "\n" not in definition.definition
        assert definition.title[0].isupper()
        assert any(known in definition.source for known in ("IBSI", "RECIST", "Legland")), name
    titles = [definition.title for definition in DEFINITIONS.values()]
    assert len(set(titles)) == len(titles)


def test_the_codes_of_the_manual_are_used_once() -> None:
    codes = [d.source.rsplit(" ", 1)[1] for d in DEFINITIONS.values() if d.source.startswith("IBSI")]
    assert len(set(codes)) == len(codes) == 89
    assert all(len(code) == 4 for code in codes)


def test_every_published_value_is_of_a_defined_measurement() -> None:
    assert {*PUBLISHED_SHAPE, *PUBLISHED_STATISTICS, *PUBLISHED_TEXTURE["3d-merge"]} <= set(DEFINITIONS)


@pytest.mark.parametrize("ending", ["ml", "mm", "mm2"])
def test_names_carry_their_unit(ending: str) -> None:
    named = {name for name in DEFINITIONS if name.endswith(f"_{ending}")}
    assert named == {name for name, definition in DEFINITIONS.items() if definition.unit == ending}
    assert named


def test_intensities_have_the_unit_of_the_image() -> None:
    assert unit_of("intensity_mean", "HU") == "HU"
    assert unit_of("intensity_variance", "HU") == "HU2"
    assert unit_of("intensity_mean", None) == unit_of("intensity_energy", None) == ""
    assert unit_of("intensity_skewness", "HU") == ""
    assert unit_of("volume_ml", "HU") == "ml"
