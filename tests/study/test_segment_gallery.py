from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.cohort.roles import ImageRole
from semeion.cohort.volume import Grid, Volume
from semeion.evidence.masks.overlap import measure_case
from semeion.evidence.masks.segmentation import weigh_segmentation
from semeion.model.masks import write_mask
from semeion.study import segment_gallery
from semeion.study.segment_gallery import PREDICTION, REFERENCE, overlay_png, write_segment_gallery
from support.volumes import save_nifti


def ball(shift: int = 0, size: tuple[int, int, int] = (12, 30, 24)) -> np.ndarray:
    k, j, i = np.indices(size)
    middle = [n // 2 for n in size]
    away = ((k - middle[0]) * 2.5) ** 2 + (j - middle[1] - shift) ** 2 + (i - middle[2]) ** 2
    return (away < 49).astype(np.uint8)


def shown(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def coloured(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.array(colour)).all(axis=-1).sum())


def test_both_outlines_are_drawn_in_three_planes_with_true_proportions() -> None:
    grid = Grid((24, 30, 12), (1.0, 1.0, 2.5))
    picture = shown(overlay_png(Volume(ball()[None] * 100.0, grid), ball(), ball(2)))
    assert coloured(picture, REFERENCE) > 100
    assert coloured(picture, PREDICTION) > 100
    # 24 x 30 mm, 24 x 30 mm and 30 x 30 mm at 10 pixels a mm, and a gap after each
    assert picture.shape == (300, 240 + 240 + 300 + 18, 3)


def test_an_empty_prediction_is_shown_without_its_outline() -> None:
    grid = Grid((24, 30, 12), (1.0, 1.0, 2.5))
    picture = shown(overlay_png(Volume(ball()[None] * 100.0, grid), ball(), np.zeros_like(ball())))
    assert coloured(picture, PREDICTION) == 0
    assert coloured(picture, REFERENCE) > 100


def test_an_image_of_any_direction_is_turned_as_its_masks() -> None:
    plain = Volume(ball()[None] * 100.0, Grid((24, 30, 12), (1.0, 1.0, 2.5)))
    turned = Volume(
        np.ascontiguousarray(plain.voxels[:, :, ::-1, ::-1]),
        Grid((24, 30, 12), (1.0, 1.0, 2.5), (23.0, 29.0, 0.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)),
    )
    masks = [ball(), ball(3)]
    flipped = [np.ascontiguousarray(mask[:, ::-1, ::-1]) for mask in masks]
    assert overlay_png(plain, *masks) == overlay_png(turned, *flipped)


def test_best_median_and_worst_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid((24, 30, 12), (1.0, 1.0, 2.5))
    rows: list[dict[str, Any]] = []
    (tmp_path / "masks").mkdir()
    references: list[str] = []
    for case, shift in enumerate((0, 3, 6, 12)):
        found = Volume(ball(shift)[None], grid)
        write_mask(tmp_path / "masks" / f"{case:06d}.nii.gz", found)
        write_mask(tmp_path / f"ref{case}.nii.gz", Volume(ball()[None], grid))
        references.append(str(tmp_path / f"ref{case}.nii.gz"))
        base = {"case_id": f"c{case}", "patient_id": f"p{case}", "split": "test", "mask": f"{case:06d}.nii.gz"}
        rows += [{**base, **one} for one in measure_case(ball(), ball(shift), {"ball": 1}, grid.spacing[::-1])]
    table = pd.DataFrame(rows)

    class Cohort:
        images = ImageRole("volume")
        table = pd.DataFrame({"case_id": [f"c{case}" for case in range(4)]})

    monkeypatch.setattr(segment_gallery, "image_references", lambda _: [(ref,) for ref in references])
    monkeypatch.setattr(segment_gallery, "mask_references", lambda _: [(ref,) for ref in references])
    ranking = weigh_segmentation(table, ["ball"], resamples=10)["ranking"]
    write_segment_gallery(tmp_path, table, ranking, Cohort())  # type: ignore[arg-type]
    cases = json.loads((tmp_path / "gallery" / "gallery.json").read_text())["cases"]
    assert [(case["kind"], case["case_id"], case["file"]) for case in cases] == [
        ("best", "c0", "best.png"),
        ("median", "c2", "median.png"),
        ("worst", "c3", "worst.png"),
    ]
    assert cases[0]["dice"] == 1
    assert cases[0]["labels"][0]["hd95_mm"] == 0
    for case in cases:
        assert shown((tmp_path / "gallery" / case["file"]).read_bytes()).shape[2] == 3


def test_a_file_that_holds_all_channels_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid((24, 30, 12), (1.0, 1.0, 2.5))
    (tmp_path / "masks").mkdir()
    write_mask(tmp_path / "masks" / "000000.nii.gz", Volume(ball(1)[None], grid))
    write_mask(tmp_path / "reference.nii.gz", Volume(ball()[None], grid))
    save_nifti(tmp_path / "image.nii.gz", np.stack([ball(), ball()]), srow=np.diag([-1, -1, 1, 1]) @ grid.affine)
    monkeypatch.setattr(segment_gallery, "image_references", lambda _: [(str(tmp_path / "image.nii.gz"),)])
    monkeypatch.setattr(segment_gallery, "mask_references", lambda _: [(str(tmp_path / "reference.nii.gz"),)])

    class Cohort:
        images = ImageRole("volume", "channels", ("T2", "ADC"))
        table = pd.DataFrame({"case_id": ["c"]})

    row = {"case_id": "c", "split": "test", "mask": "000000.nii.gz", "label": "ball", "dice": 0.9, "hd95_mm": 1.0}
    write_segment_gallery(tmp_path, pd.DataFrame([row]), {"test": {"best": "c"}}, Cohort())  # type: ignore[arg-type]
    assert coloured(shown((tmp_path / "gallery" / "best.png").read_bytes()), REFERENCE) > 100
