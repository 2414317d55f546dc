"""What the limits that ship mark of test cases, which set none of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.model.pixel_statistics import PIXELS, WIDTH, statistics_of
from semeion.model.reference import Reference
from semeion.prepare.store import Store
from semeion.study.abstained import share_json
from semeion.study.reference_fit import Known, columns_of, fit_space
from semeion.study.reference_tried import held_back

KNOWN, TESTED = 80, 40


def picture(seed: int, soft: float) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(24, 24)), (0, 0), soft)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)[None]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Soft noise; of the test cases, which come last, every fourth is white noise."""
    softness = [2.0] * KNOWN + [0.1 if n % 4 == 0 else 2.0 for n in range(TESTED)]
    arrays = np.stack([picture(seed, soft) for seed, soft in enumerate(softness)])
    folder = tmp_path_factory.mktemp("store")
    (folder / "shard-0000.bin").write_bytes(arrays.tobytes())
    return Store(folder, len(arrays), arrays.shape[1:], len(arrays))


@pytest.fixture(scope="module")
def reference(store: Store) -> Reference:
    rows = np.arange(KNOWN)
    known = Known(statistics_of(store.take(rows)), np.zeros(KNOWN, dtype=np.int64), rows)
    space, _, _ = fit_space(known, PIXELS, WIDTH, columns_of(WIDTH), seed=0)
    return Reference(pixels=space)


def told(store: Store, reference: Reference, patient: np.ndarray, split: bool = True) -> dict[str, Any] | None:
    plan: Any = SimpleNamespace(images=SimpleNamespace(role="single", names=[]))
    table = pd.DataFrame({"case_id": range(store.n), "split": ["train"] * KNOWN + ["test"] * TESTED})
    cohort: Any = SimpleNamespace(table=table, has_split=split)
    nothing: Any = None
    return held_back(reference, nothing, plan, [], {}, cohort, store, None, patient)


def test_the_share_of_test_cases_has_an_interval_over_patients(store: Store, reference: Reference) -> None:
    found = told(store, reference, np.arange(store.n))
    assert found is not None and (found["n"], found["n_patients"]) == (TESTED, TESTED)
    assert 0.25 <= found["value"] <= 0.35
    assert found["low"] < found["value"] < found["high"]
    fewer = told(store, reference, np.arange(store.n) // 4)
    assert fewer is not None and fewer["n_patients"] == TESTED // 4


def test_without_test_cases_or_a_limit_there_is_none(store: Store, reference: Reference) -> None:
    assert told(store, reference, np.arange(store.n), split=False) is None
    assert told(store, Reference(reason="too few"), np.arange(store.n)) is None


def test_a_share_is_that_of_the_cases() -> None:
    found = share_json(np.array([True, False, False, False]), np.arange(4))
    assert found["value"] == 0.25 and found["low"] < 0.25 < found["high"]
