"""How frozen features look at a case: pure rules of facts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.made import fingerprint_of
from plan.test_volume_rules import facts_of
from semeion.model.linear import MAX_FEATURES
from semeion.plan import looks
from semeion.plan.looks import EACH, MOST_CELLS, MOST_FEATURES, MOST_TOGETHER, Look, cost_of, looks_of, pictures_of
from semeion.plan.recipes import FrozenRecipe


def recipe_of(look: Look) -> FrozenRecipe:
    return FrozenRecipe(
        side=64, along=list(look.along), slices=look.slices, colours=look.colours, apart=list(look.apart)
    )


def test_a_flat_picture_is_seen_as_before() -> None:
    assert looks_of(fingerprint_of()) == [Look()]
    assert recipe_of(Look()) == FrozenRecipe(side=64)
    assert Look().words() == ""


def test_cubes_are_seen_from_three_sides_and_thick_slices_as_they_were_acquired() -> None:
    first, *fewer = looks_of(facts_of(size=(40, 50, 36)))
    assert (first.along, first.slices, first.pictures) == (("slices", "rows", "columns"), 16, 48)
    assert first.apart == ("axes",)
    assert "from three sides at right angles" in first.why["along"]
    assert "with its two neighbours as colours heads did no better" in first.why["colours"]
    assert first.words() == "48 pictures of each case"
    assert [(one.along, one.pictures) for one in fewer] == [(("slices",), n) for n in (16, 12, 8, 4, 2, 1)]
    assert all("time does not last" in one.why["along"] for one in fewer)
    thick, *fewer = looks_of(facts_of(size=(80, 90, 9), spacing=(1.5, 1.5, 10.0)))
    assert (thick.along, thick.pictures, thick.apart) == (("slices",), 9, ())
    assert "in the plane that was acquired" in thick.why["along"]
    assert [one.pictures for one in fewer] == [8, 4, 2, 1]


def test_a_few_slices_are_not_looked_at_from_the_side() -> None:
    for size in ((40, 50, 1), (40, 50, 7)):
        first = looks_of(facts_of(size=size))[0]
        assert (first.along, first.pictures, first.apart) == (("slices",), size[2], ())
        assert f"slices are so few ({size[2]})" in first.why["along"]
    assert looks_of(facts_of(size=(40, 50, 8)))[0].pictures == 40


def test_every_image_of_a_case_is_seen() -> None:
    frames = looks_of(facts_of(role="frames", names=("ED", "ES"), size=(80, 90, 9), spacing=(1.5, 1.5, 10.0)))[0]
    assert (frames.apart, frames.pictures, frames.features) == (("images",), 18, 4 * EACH)
    assert "so that what changes from one frame to the next is known" in frames.why["apart"]
    views = looks_of(facts_of(role="views", names=("axial", "coronal", "sagittal")))[0]
    assert (views.apart, views.pictures) == (("images",), 144), "sides of three views would be too many features"
    contrasts = looks_of(facts_of(role="channels", names=("FLAIR", "T1")))[0]
    assert (contrasts.colours, contrasts.apart, contrasts.pictures) == ("channels", ("axes",), 48)
    assert "2 contrasts are the colours of one picture" in contrasts.why["colours"]
    many = looks_of(facts_of(role="channels", names=("FLAIR", "T1", "T2", "T1c"), size=(40, 50, 36)))[0]
    assert (many.colours, many.pictures, many.features) == ("each", 192, 8 * EACH)
    assert "each of 4 contrasts is seen for itself" in many.why["colours"]
    mixed = looks_of(facts_of(role="channels", names=tuple("abcdef"), size=(40, 50, 36)))[0]
    assert (mixed.colours, mixed.pictures) == ("channels", 48)
    assert "6 contrasts are mixed into three colours: each would make 42624 features" in mixed.why["colours"]
    flat = looks_of({**fingerprint_of(), "images": {"kind": "picture", "role": "views", "names": ["CC", "MLO"]}})[0]
    assert (flat.apart, flat.pictures, flat.features) == (("images",), 1, 2 * EACH)


def test_many_frames_are_pooled_and_it_is_said() -> None:
    many = looks_of(facts_of(role="frames", names=tuple(f"t{n}" for n in range(12))))[0]
    assert "images" not in many.apart
    assert "12 frames are pooled: features of their own would be" in many.why["apart"]
    assert (many.along, many.slices, many.pictures) == (("slices",), 4, 48), "all are seen, in bounded memory"
    assert many.why["along"] == "more than 48 would take much memory"


def test_with_many_cases_less_is_apart() -> None:
    assert looks_of(facts_of(5000))[0].apart == ()


def test_the_bound_is_that_of_heads_that_ship() -> None:
    assert MOST_FEATURES == MAX_FEATURES


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 300)] * 3),
    st.tuples(*[st.floats(0.3, 9.0)] * 3),
    st.sampled_from(
        [
            ("single", ()),
            ("channels", ("a", "b")),
            ("channels", ("a", "b", "c", "d")),
            ("channels", tuple("abcdefg")),
            ("frames", ("a", "b", "c")),
            ("views", ("a", "b")),
        ]
    ),
)
def test_looks_go_down_and_fit(size: Any, spacing: Any, images: Any) -> None:
    role, names = images
    facts = facts_of(40, role=role, names=names, size=size, spacing=spacing)
    found = looks_of(facts)
    pictures = [one.pictures for one in found]
    assert pictures == sorted(set(pictures), reverse=True)
    for one in found:
        assert one.features <= MOST_FEATURES
        assert one.pictures <= MOST_TOGETHER * len(one.along)
        assert one.features * 40 <= MOST_CELLS
        recipe = recipe_of(one)
        groups = len(names) if role in ("frames", "views") else 1
        planes = max(1, len(names))
        largest = (planes, *looks.volume_size(facts["training"]["volume"], 224))
        assert pictures_of(recipe, largest, groups) == cost_of(recipe, largest, groups) == one.pictures


@pytest.mark.parametrize(
    ("recipe", "shape", "groups", "pictures", "cost"),
    [
        ({}, (3, 20, 20), 1, 1, 1),
        ({}, (2, 20, 20), 2, 2, 1),
        ({"slices": 8}, (1, 20, 30, 30), 1, 8, 8),
        ({"slices": 8, "along": ["slices", "rows"]}, (2, 5, 30, 30), 2, 26, 26),
        ({"colours": "each", "slices": 4}, (4, 5, 30, 30), 2, 16, 16),
        ({"colours": "neighbours", "slices": 4}, (1, 3, 30, 30), 1, 3, 3),
    ],
)
def test_pictures_of_a_case(
    recipe: dict[str, Any], shape: tuple[int, ...], groups: int, pictures: int, cost: int
) -> None:
    asked = FrozenRecipe(side=32, **recipe)
    assert (pictures_of(asked, shape, groups), cost_of(asked, shape, groups)) == (pictures, cost)
