"""Reading the images of cases that are outlined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.cohort.roles import ImageRole
from semeion.errors import InputError
from semeion.study.outlining import read_volumes
from support.volumes import save_nifti


class Cohort:
    table = pd.DataFrame({"case_id": ["c7"]})

    def __init__(self, images: ImageRole) -> None:
        self.images = images


def test_one_file_may_hold_all_channels_and_nothing_else_several(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", np.zeros((2, 3, 4, 5), np.int16))
    channels: Any = Cohort(ImageRole("volume", "channels", ("T2", "ADC")))
    assert read_volumes([path], channels, 0)[0].voxels.shape == (2, 3, 4, 5)
    single: Any = Cohort(ImageRole("volume"))
    with pytest.raises(InputError, match="case c7: the image could be read before and cannot now: holds 2 volumes"):
        read_volumes([path], single, 0)
