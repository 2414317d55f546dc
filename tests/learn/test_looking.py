"""Features straight from the frozen network are those of the network, case by case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from semeion.learn.looking import look
from semeion.learn.pretrained import FrozenFeatures
from semeion.plan.recipes import FrozenRecipe
from semeion.prepare.spec import Preparation
from semeion.prepare.store import build_store
from semeion.progress import Silent
from support.tiny import make_cohort


def test_every_case_is_looked_at_once_and_in_order(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=5)
    references = [str(cohort.image(row)) for row in range(5)]
    store = build_store(
        cohort.rows["case_id"].tolist(), references, Preparation(size=(24, 24)), tmp_path / "store", jobs=1,
        progress=Silent(),
    )  # fmt: skip
    told: list[int] = []
    found = look(FrozenRecipe(side=32, layers=["stride8", "head"]), store, 1, told.append)
    assert sum(told) == 5
    network = FrozenFeatures("lite0", store.shape, side=32, layers=("stride8", "head"))
    with torch.inference_mode():
        alone = network(torch.from_numpy(np.array(store.take(np.array([3]))))).numpy()
    assert found.dtype == np.float32
    assert found[3] == pytest.approx(alone[0], abs=1e-4)
