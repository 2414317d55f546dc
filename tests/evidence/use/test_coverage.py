from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from semeion.errors import InputError
from semeion.evidence.intervals.drawing import checked_cases, draw_together
from semeion.evidence.use.coverage import sets_piece


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), n)
    y = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    return y, p, p >= 0.25


def weighed(
    y: Any, p: Any, patient: Any, sets: Any, *, groups: Any = None, resamples: int = 5, jobs: int | None = None
) -> dict[str, Any]:
    """Return what the piece tells when it is drawn alone."""
    cases = checked_cases(y, p, patient)
    [found] = draw_together([sets_piece(cases, sets, groups=groups)], cases, resamples=resamples, jobs=jobs)
    return found


def test_every_figure_is_the_plain_count() -> None:
    y, p, sets = drawn(300)
    patient, site = np.arange(300) // 3, np.where(np.arange(300) < 200, "north", "south")
    told = weighed(y, p, patient, sets, groups={"site": site}, resamples=100)
    json.dumps(told)
    covered, size = sets[np.arange(300), y], sets.sum(axis=1)
    expected = {
        "coverage": covered.mean(),
        "size": size.mean(),
        "singletons": (size == 1).mean(),
        "several": (size > 1).mean(),
        "empty": (size == 0).mean(),
        "right_among_singletons": covered[size == 1].mean(),
        "patient_coverage": covered.reshape(100, 3).all(axis=1).mean(),
    }
    for name, value in expected.items():
        assert told[name]["value"] == pytest.approx(value)
        assert told[name]["low"] <= value <= told[name]["high"]
    assert told["right_among_singletons"]["n"] == int((size == 1).sum())
    assert (told["patient_coverage"]["n"], told["patient_coverage"]["n_patients"]) == (100, 100)
    for k, entry in enumerate(told["by_class"]):
        assert entry["coverage"]["value"] == pytest.approx(covered[y == k].mean())
        assert entry["size"]["n"] == int((y == k).sum())
    assert list(told["groups"]["site"]) == ["north", "south"]
    south = told["groups"]["site"]["south"]
    assert south["coverage"]["value"] == pytest.approx(covered[200:].mean())
    assert (south["coverage"]["n"], south["coverage"]["n_patients"]) == (100, 34)
    assert told == weighed(y, p, patient, sets, groups={"site": site}, resamples=100, jobs=1)


def test_full_coverage_has_an_interval_and_what_is_absent_a_reason() -> None:
    y, p, _ = drawn(60)
    everything = weighed(np.minimum(y, 1), p, np.arange(60), np.ones((60, 3), dtype=bool), resamples=50)
    assert everything["coverage"]["value"] == everything["coverage"]["high"] == 1
    assert everything["coverage"]["low"] == pytest.approx(60 / (60 + 1.959963984540054**2))
    assert everything["right_among_singletons"]["reason"] == "no set holds a single class"
    assert everything["by_class"][2]["coverage"]["reason"] == "no case of this class"
    assert everything["by_class"][2]["size"]["value"] is None
    assert everything["groups"] == {}


def test_small_and_unknown_levels_are_left_out() -> None:
    y, p, sets = drawn(40)
    age = np.array([None] * 5 + [float("nan")] * 3 + ["old"] * 23 + ["young"] * 9, dtype=object)
    told = weighed(y, p, np.arange(40), sets, groups={"age": age}, resamples=20)
    assert list(told["groups"]["age"]) == ["old"]
    many = weighed(*(np.repeat(a, 10, axis=0) for a in (y, p)), np.arange(400), np.repeat(sets, 10, axis=0),
                      groups={"ward": np.repeat(np.arange(40), 10)}, resamples=5)  # fmt: skip
    assert len(many["groups"]["ward"]) == 20


def test_sets_and_levels_that_do_not_fit_are_refused() -> None:
    y, p, sets = drawn(40)
    with pytest.raises(InputError, match=r"coverage of sets: sets of shape \(40, 2\) and type bool for probabilities"):
        weighed(y, p, np.arange(40), sets[:, :2])
    with pytest.raises(InputError, match=r"type int64 .*; say true or false for each class of each case"):
        weighed(y, p, np.arange(40), sets.astype(np.int64))
    with pytest.raises(InputError, match=r"coverage of sets, site: \(3,\) levels for 40 cases; give one level a case"):
        weighed(y, p, np.arange(40), sets, groups={"site": ["a", "b", "c"]})
