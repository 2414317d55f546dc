"""A map over its picture: sizes, colours in the right places, a scale that says what they mean."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.image import Image
from semeion.explain.overlay import (
    BAR,
    LEAST,
    LONGEST,
    SHORTEST,
    Scale,
    backdrop,
    contoured,
    explained_picture,
    number,
    overlay,
    scale_bar,
    scale_of,
    shown_size,
    to_png,
    windowed,
)

SCALE = Scale(2.0, "logit")


def grey(rows: int = 40, columns: int = 60, value: int = 100) -> np.ndarray:
    return np.full((rows, columns), value, np.uint8)


def test_an_overlay_has_the_size_of_the_picture_and_leaves_it_alone_where_the_map_says_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (33, 47)).astype(np.uint8)
    painted = overlay(picture, np.zeros((33, 47)), SCALE)
    assert painted.shape == (33, 47, 3)
    assert (painted == picture[..., None]).all()
    veil = overlay(picture, np.full((33, 47), 0.9 * LEAST * SCALE.most), SCALE)
    assert (veil == picture[..., None]).all()


def test_what_speaks_for_the_class_is_red_and_what_speaks_against_it_is_blue() -> None:
    values = np.zeros((40, 60))
    values[10, 20], values[30, 50] = 2.0, -2.0
    painted = overlay(grey(), values, SCALE).astype(int)
    red, _, blue = painted[10, 20]
    assert red > blue + 80
    red, _, blue = painted[30, 50]
    assert blue > red + 80
    assert (painted[0, 0] == 100).all()


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 0.9), st.integers(0, 255), st.sampled_from([1, -1]))
def test_more_is_painted_more(share: float, shade: int, sign: int) -> None:
    def away(strength: float) -> float:
        painted = overlay(np.full((1, 1), shade, np.uint8), np.full((1, 1), sign * strength), SCALE)
        return float(painted[0, 0, 0]) - float(painted[0, 0, 2])

    weak, strong = away(share * SCALE.most), away(SCALE.most)
    assert sign * strong > sign * weak >= 0
    assert away(10 * SCALE.most) == strong, "beyond the scale there is no other colour"


def test_a_map_of_another_size_and_values_that_are_no_numbers() -> None:
    with pytest.raises(ValueError, match=r"a map of \(3, 3\) for a picture of \(40, 60\)"):
        overlay(grey(), np.zeros((3, 3)), SCALE)
    values = np.zeros((40, 60))
    values[0, 0], values[1, 1] = np.nan, np.inf
    assert (overlay(grey(), values, SCALE) == 100).all()


def test_a_scale_ends_at_the_strongest_value_and_knows_whether_there_are_two_directions() -> None:
    assert scale_of(np.array([[0.5, -3.0]]), "logit") == Scale(3.0, "logit", signed=True)
    assert scale_of(np.array([[0.5, 0.0]]), "ml") == Scale(0.5, "ml", signed=False)
    assert scale_of(np.zeros((2, 2)), "logit") == Scale(1.0, "logit", signed=False)


def test_the_contour_runs_around_what_is_at_its_level_and_more() -> None:
    values = np.zeros((40, 60))
    values[10:20, 20:40] = 2.0
    values[30:35, 5:10] = 0.9
    picture = explained_picture(np.zeros((300, 450), np.uint8), cv2.resize(values, (450, 300)), SCALE)
    white = (picture[:, :450] == 255).all(axis=-1)
    rows, columns = np.nonzero(white)
    scaled = 300 / 40
    assert abs(rows.min() - 10 * scaled) <= 5
    assert abs(rows.max() - 20 * scaled) <= 5
    assert abs(columns.min() - 20 * scaled) <= 5
    assert abs(columns.max() - 40 * scaled) <= 5
    assert (contoured(np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5), bool), (1, 2, 3)) == 0).all()


@pytest.mark.parametrize(("rows", "columns"), [(300, 451), (28, 28), (64, 200), (9, 700), (3000, 4000)])
def test_small_pictures_are_enlarged_by_a_whole_factor_and_huge_ones_made_smaller(rows: int, columns: int) -> None:
    high, wide = shown_size(rows, columns)
    assert max(high, wide) <= LONGEST
    picture = explained_picture(grey(rows, columns), np.zeros((rows, columns)), SCALE)
    assert picture.shape[1] == wide + BAR
    assert picture.shape[0] == max(high, 160)
    if max(rows, columns) <= LONGEST:
        assert high % rows == 0
        assert high // rows == wide // columns
        assert min(high, wide) >= SHORTEST or max(high, wide) + max(rows, columns) > LONGEST
    else:
        assert high / rows == pytest.approx(wide / columns, rel=0.01)


def test_an_enlarged_pixel_keeps_its_place_and_its_colour() -> None:
    values = np.zeros((28, 28))
    values[5, 20] = 1.0
    picture = explained_picture(grey(28, 28), values, Scale(1.0, "logit", signed=False)).astype(int)
    factor = shown_size(28, 28)[0] // 28
    redness = picture[: 28 * factor, : 28 * factor, 0] - picture[: 28 * factor, : 28 * factor, 2]
    rows, columns = np.unravel_index(redness.argmax(), redness.shape)
    assert (rows // factor, columns // factor) == (5, 20)


def test_the_bar_runs_from_red_to_blue_where_there_are_two_directions() -> None:
    both, one = scale_bar(300, SCALE).astype(int), scale_bar(300, Scale(1.0, "ml", signed=False)).astype(int)
    assert both.shape == one.shape == (300, BAR, 3)
    assert both[40, 16, 0] > both[40, 16, 2] + 80
    assert both[260, 16, 2] > both[260, 16, 0] + 80
    assert one[260, 16].std() < 3, "grey where the map is nothing"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.04312, "+0.0431"), (-2.5, "-2.5"), (1234.5, "+1234"), (2e-7, "+2e-07"), (1.0, "+1")],
)
def test_numbers_of_the_scale(value: float, text: str) -> None:
    assert number(value, signed=True) == text
    assert number(abs(value)) == text.lstrip("+-")


def test_colour_becomes_grey_and_other_depths_use_their_own_range() -> None:
    colour = np.zeros((4, 5, 3), np.uint8)
    colour[..., 0] = 255
    assert (backdrop(Image(colour, "colour", 0, 255, 8, "png")) == 76).all()
    deep = np.linspace(0, 4000, 400).reshape(20, 20, 1).astype(np.uint16)
    shown = backdrop(Image(deep, "grey", 0, 65535, 16, "png"))
    assert (shown[0, 0], shown[-1, -1]) == (0, 255)
    eight = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    assert (backdrop(Image(eight, "grey", 0, 255, 8, "png")) == eight[..., 0]).all()
    assert (windowed(np.full((3, 3), 7.0)) == 0).all()
    assert windowed(np.array([[np.nan, 0.0], [1.0, 2.0]]))[0, 0] == 0
    assert windowed(np.array([[np.nan, np.nan]])).max() == 0


def test_a_png_holds_pixels_and_nothing_else() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (12, 17, 3)).astype(np.uint8)
    data = to_png(picture)
    back = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert (back == picture).all()
    kinds, at = [], 8
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        (check,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(data[at + 4 : at + 8 + length])
        kinds.append(kind)
        at += 12 + length
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
