"""Reading the images of cases that are outlined."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.cohort.roles import ImageRole
from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError
from semeion.study.outlining import measured_rows, read_volumes
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


def test_without_a_known_voxel_size_there_is_overlap_and_nothing_in_mm_or_ml() -> None:
    table = pd.DataFrame({"case_id": ["c"], "patient_id": ["p"], "site": [None]})
    cohort: Any = SimpleNamespace(table=table, target=SimpleNamespace(classes=["ball"], values=[2]))
    reference, found = np.zeros((4, 4, 4), np.uint8), np.zeros((1, 4, 4, 4), np.uint8)
    reference[1:3, 1:3, 1:3] = found[0, 1:3, 1:3, 1] = 2
    known = measured_rows(cohort, 0, reference, Volume(found, Grid((4, 4, 4), (1, 1, 1))), [])[0]
    assert known["reference_ml"] == pytest.approx(0.008)
    bare = Volume(found, Grid((4, 4, 4), (1, 1, 1)), notes=("no-spacing: 1 x 1 mm stands for an unknown pixel",))
    row = measured_rows(cohort, 0, reference, bare, ["ball"])[0]
    assert (row["dice"], row["lesions_found"], row["reference_voxels"]) == (known["dice"], 1, 8)
    for name in ("hd95_mm", "assd_mm", "reference_ml", "predicted_ml", "volume_error_ml", "y_true", "y_pred"):
        assert np.isnan(row[name])
