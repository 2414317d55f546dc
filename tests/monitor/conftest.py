"""A tiny model with a baseline, and pictures like those that it knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.model.package import write_model
from semeion.monitor.baseline import MONITOR, baseline_json
from support.watched import baseline, graph, parts, pixels


@pytest.fixture(scope="session")
def made() -> bytes:
    return baseline_json(baseline())


@pytest.fixture
def make_model(tmp_path: Path, made: bytes) -> Callable[..., Path]:
    """Write the model; `data` is its baseline.json, None for a model without."""

    def make(data: bytes | None = made, name: str = "model", **changes: Any) -> Path:
        own = parts() | changes
        files = {}
        if data is not None:
            files, own["monitor"] = {MONITOR: data}, MONITOR
        write_model(tmp_path / name, own, {"m0": graph()}, "# card\n", files=files)
        return tmp_path / name

    return make


@pytest.fixture
def make_table(tmp_path: Path) -> Callable[..., Path]:
    """Write pictures and their table with labels; returns the table."""

    def make(name: str, n: int, seed: int = 0, *, prefix: str = "c", site: str = "north", **how: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        images, bright = pixels(n, seed, **how)
        for number, image in enumerate(images):
            assert cv2.imwrite(str(folder / f"{number}.png"), image)
        rows = pd.DataFrame(
            {
                "case_id": [f"{prefix}{number}" for number in range(n)],
                "patient_id": [f"p{number // 2}" for number in range(n)],
                "image": [f"{number}.png" for number in range(n)],
                "site": site,
                "finding": np.where(bright, "bright", "dark"),
            }
        )
        rows.to_csv(folder / "cases.csv", index=False)
        return folder / "cases.csv"

    return make
