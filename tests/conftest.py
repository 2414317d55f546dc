"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.tiny import TinyRun


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data named by SEMEION_DATA; absent: skipped with a reason, or failed in CI."""
    named = os.environ.get("SEMEION_DATA", "")
    if named and (Path(named) / "breastmnist" / "breastmnist.npz").exists():
        return Path(named)
    reason = "real data not found: set SEMEION_DATA to the folder that holds breastmnist/"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A finished run on 80 pictures with two folds and a test split; made once, for reading only."""
    from support.tiny import make_cohort, save_plan, train_tiny

    home = tmp_path_factory.mktemp("tiny")
    cohort = make_cohort(home / "source", split="test")
    return train_tiny(cohort, save_plan(home), home / "run")
