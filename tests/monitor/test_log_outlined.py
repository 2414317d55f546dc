"""The log of models that outline: a line for every case, with the image as it was read and what was said of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from model.conftest import segmentation_parts, voxel_graph
from semeion.cli.app import run
from semeion.model.package import write_model
from semeion.monitor.facts import LOOKS, looks, looks_as_read
from semeion.monitor.key import read_key
from semeion.monitor.log import entry_of
from semeion.monitor.logfile import Log, read_log
from support.stump import FILE, STUMP, stump_parts


def ball(path: Path, scale: float = 1.0) -> Path:
    """Write a core of 2 in a rim of 1."""
    k, j, i = np.indices((14, 18, 20)) * np.array([2.5, 1.2, 1.0])[:, None, None, None]
    away = np.sqrt((k - 16.25) ** 2 + (j - 10.2) ** 2 + (i - 9.5) ** 2)
    image = sitk.GetImageFromArray((np.where(away < 5, 2.0, np.where(away < 8, 1.0, 0.0)) * scale).astype(np.float32))
    image.SetSpacing((1.0, 1.2, 2.5))
    sitk.WriteImage(image, str(path))
    return path


def logged(folder: Path, table: pd.DataFrame, *more: str) -> tuple[Log, pd.DataFrame, int]:
    table.to_csv(folder / "new.csv", index=False)
    words = ["predict", str(folder / "model"), str(folder / "new.csv"), "-o", str(folder / "f.csv")]
    status = run([*words, "--log", str(folder / "log"), "--site", "north", "--quiet", *more], 0.0)
    return read_log(folder / "log"), pd.read_csv(folder / "f.csv"), status


def row_of(log: Log, folder: Path, case: str) -> int:
    return list(log.texts["entry"]).index(entry_of(read_key(folder / "log"), case))


@pytest.mark.parametrize("more", [(), ("--explain",)])
def test_a_diagnosis_from_measurements_has_a_line_for_every_case(tmp_path: Path, more: tuple[str, ...]) -> None:
    files = {FILE: json.dumps(STUMP).encode()}
    write_model(tmp_path / "model", stump_parts(), {"m0": voxel_graph(1, 2, (8, 8, 8))}, "# card\n", files=files)
    full, half = ball(tmp_path / "full.nii.gz"), ball(tmp_path / "half.nii.gz", 0.5)
    table = pd.DataFrame(
        {
            "case_id": ["one", "two", "three"],
            "image.before": [str(half), str(full), str(full)],
            "image.after": [str(full), str(half), "gone.nii.gz"],
        }
    )
    log, findings, status = logged(tmp_path, table, *(word for name in more for word in (name, str(tmp_path / "why"))))
    assert status == 1
    assert len(log) == 3
    for finding in findings.itertuples():
        row = row_of(log, tmp_path, finding.case_id)
        assert log.texts["status"][row] == finding.status
        assert log.texts["site"][row] == "north"
        if finding.status == "failed":
            assert log.texts["reasons"][row] == "missing-file"
            assert np.isnan([log.numbers[name][row] for name in ("mean", "size_i", "p_grown")]).all()
            continue
        assert log.texts["call"][row] == finding.call
        assert log.numbers["p_grown"][row] == finding.p_grown
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(half if finding.case_id == "one" else full)))
        assert log.numbers["mean"][row] == pytest.approx(image.mean())
        assert log.numbers["sd"][row] == pytest.approx(image.std())
        assert log.numbers["p95"][row] == pytest.approx(np.percentile(image, 95))
        assert [log.numbers[f"size_{axis}"][row] for axis in "ijk"] == [20, 18, 14]
        assert log.numbers["spacing_k"][row] == pytest.approx(2.5)
    text = pd.read_parquet(tmp_path / "log" / "log.parquet").to_csv()
    assert not any(word in text for word in ("three", ".nii.gz", str(tmp_path)))


def test_a_segmentation_logs_the_volume_of_every_label(tmp_path: Path) -> None:
    graphs = {"m0": voxel_graph(1, 2, (8, 8, 8))}
    write_model(tmp_path / "model", segmentation_parts(), graphs, "# card\n")
    table = pd.DataFrame({"case_id": ["one", "two"], "image": [str(ball(tmp_path / "a.nii.gz")), "gone.nii.gz"]})
    log, findings, status = logged(tmp_path, table)
    assert status == 1
    assert len(log) == 2
    calls = findings[findings["case_id"] == "one"].set_index("target")["call"].astype(float)
    one, two = (row_of(log, tmp_path, case) for case in ("one", "two"))
    assert {name: log.numbers[f"ml_{name}"][one] for name in ("rim", "core")} == dict(calls)
    assert log.numbers["size_k"][one] == 14
    assert np.isnan([log.numbers[name][two] for name in ("ml_core", "mean", "size_k")]).all()
    assert log.texts["status"].tolist().count("failed") == 1
    assert "p_core" not in log.numbers


def test_a_volume_as_read_by_hand() -> None:
    from semeion.cohort.volume import Grid, Volume

    voxels = (np.arange(2 * 16 * 16) % 256).astype(np.uint8).reshape(1, 2, 16, 16)
    volume = Volume(voxels, Grid((16, 16, 2), (1.0, 1.0, 1.0)))
    found, wanted = looks_as_read(volume), looks(voxels[0])
    assert {name: found[name] for name in ("mean", "sd", "sharpness")} == pytest.approx(
        {name: wanted[name] for name in ("mean", "sd", "sharpness")}
    )
    assert [found[name] for name in ("p05", "p50", "p95")] == pytest.approx(np.percentile(voxels, (5, 50, 95)))
    holes = voxels.astype(np.float32)
    holes[0, 1] = np.nan
    half = looks_as_read(Volume(holes, Grid((16, 16, 2), (1.0, 1.0, 1.0))))
    assert half["mean"] == pytest.approx(voxels[0, 0].mean())
    nothing = looks_as_read(Volume(np.full_like(holes, np.nan), Grid((16, 16, 2), (1.0, 1.0, 1.0))))
    assert list(nothing) == list(LOOKS)
    assert np.isnan(list(nothing.values())).all()
