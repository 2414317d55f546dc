"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.tiny import TinyRun

HERE = Path(__file__).parent
SLOWEST = ("test_*road.py", "test_[cfs]*.py", "study/*", "cli/*", "learn/*", "report/*", "model/*")
"""The files that take longest, by pattern, slowest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow files first: one that begins last would leave the other process idle. Within a file all stays."""

    def turn(item: pytest.Item) -> int:
        name = item.path.relative_to(HERE).as_posix()
        return next((at for at, pattern in enumerate(SLOWEST) if fnmatch(name, pattern)), len(SLOWEST))

    items.sort(key=turn)


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


@pytest.fixture(scope="module")
def few_trees() -> Iterator[None]:
    """Classifiers of measurements of 40 trees, not 300, which take most of the time of a road on a few small hearts."""
    from semeion.learn import tabular

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabular, "TREES", 40)
        yield
