"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
