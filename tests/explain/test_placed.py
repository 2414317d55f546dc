"""Maps on the images of their case: one for all channels, one for each view, and never one too many."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from semeion.cohort.image import Image
from semeion.explain.placed import placed
from semeion.prepare.spec import Preparation


def model_of(*names: str) -> Any:
    """Return what is asked of a manifest: a model of views of 8 x 8 pixels, or of a picture without names."""
    return SimpleNamespace(
        preparation=Preparation(size=(8, 8)), inputs=SimpleNamespace(groups=len(names) or 1, names=list(names))
    )


def picture(rows: int, columns: int) -> Image:
    return Image(np.full((rows, columns, 1), 100, np.uint8), "grey", 0.0, 255.0, 8, "png")


def test_each_view_has_its_own_map_on_its_own_pixels() -> None:
    maps = np.stack([np.full((8, 8), value, np.float32) for value in (1.0, 2.0)])
    found = placed(maps, [picture(16, 16), picture(8, 24)], model_of("axial", "coronal"))
    assert [(one.name, one.values.shape, float(one.values.max())) for one in found] == [
        ("axial", (16, 16), 1.0),
        ("coronal", (8, 24), 2.0),
    ]


def test_channels_share_one_map() -> None:
    first = picture(16, 16)
    [found] = placed(np.ones((8, 8)), [first, picture(16, 16)], model_of())
    assert (found.name, found.image) == ("", first)
    assert np.all(found.values == 1.0)


@pytest.mark.parametrize(("maps", "pictures"), [(1, 2), (2, 1), (3, 2), (2, 3)])
def test_a_map_or_an_image_too_many_or_too_few_is_an_error(maps: int, pictures: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        placed(np.ones((maps, 8, 8)), [picture(8, 8)] * pictures, model_of("axial", "coronal"))
