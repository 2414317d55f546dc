from __future__ import annotations

import json

import numpy as np
import pytest

from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import multiplicities
from semeion.evidence.intervals.drawing import Checked, Drawn, Piece, checked_cases, draw_together
from semeion.evidence.intervals.sizes import mean_absolute
from semeion.evidence.intervals.weights import Array


def mean_piece(values: np.ndarray) -> Piece:
    def compute(weights: Array) -> Array:
        return weights @ values[:, None] / weights.sum(axis=1, keepdims=True)

    return Piece(compute, lambda drawn: drawn.entry(0))


def cases(n: int = 60, per_patient: int = 2, seed: int = 0) -> Checked:
    rng = np.random.default_rng(seed)
    y = np.append([0, 1], rng.integers(0, 2, n - 2))
    return checked_cases(y, rng.random(n), np.arange(n) // per_patient)


def test_pieces_see_the_same_draws_of_patients() -> None:
    found = cases()
    values = np.random.default_rng(1).normal(size=len(found))
    first, second = draw_together([mean_piece(values), mean_piece(1 + 2 * values)], found, resamples=300, seed=4)
    assert second["value"] == pytest.approx(1 + 2 * first["value"])
    assert second["low"] == pytest.approx(1 + 2 * first["low"])
    alone = draw_together([mean_piece(values)], found, resamples=300, seed=4, jobs=1)[0]
    assert alone == first


def test_all_cases_of_a_patient_are_drawn_together() -> None:
    found = cases(8, 2)
    values = np.arange(8.0)
    seen: list[Array] = []

    def compute(weights: Array) -> Array:
        seen.append(weights)
        return weights @ values[:, None]

    draw_together([Piece(compute, lambda drawn: {})], found, resamples=20, seed=3, jobs=1)
    drawn = next(weights for weights in seen if len(weights) == 20)
    np.testing.assert_array_equal(drawn, np.repeat(multiplicities(4, 0, 20, 3), 2, axis=1))


def test_an_entry_can_be_written_and_says_why_there_is_no_value() -> None:
    found = cases()
    empty = draw_together([mean_piece(np.full(len(found), np.nan))], found, resamples=50)[0]
    assert (empty["value"], empty["low"], empty["reason"]) == (None, None, "undefined on these cases")
    json.dumps(empty)
    one = checked_cases([0, 1], [0.2, 0.3], ["a", "a"])
    alone = draw_together([mean_piece(np.array([1.0, 2.0]))], one, resamples=50)[0]
    assert (alone["value"], alone["low"]) == (1.5, None)
    assert alone["reason"] == "no interval: fewer than 2 patients"
    piece = Piece(mean_piece(np.array([1.0, 2.0])).compute, lambda d: d.sized(0, "x", d.values, d.drawn(0, 1), size))
    size = mean_absolute(np.ones(1))
    assert draw_together([piece], one, resamples=50)[0] == alone


def test_a_size_that_may_be_chance_alone_reaches_down_to_zero() -> None:
    found = cases(400, 1)
    noise = np.random.default_rng(2).normal(size=len(found))
    noise -= noise.mean() - 0.06

    def compute(weights: Array) -> Array:
        mean = weights @ noise[:, None] / weights.sum(axis=1, keepdims=True)
        return np.hstack([np.abs(mean), mean**2, mean])

    def tell(drawn: Drawn) -> dict[str, object]:
        size, parts = mean_absolute(np.ones(1)), (drawn.values[2:], drawn.drawn(2, 3))
        return {
            "size": drawn.sized(0, "x", *parts, size),
            "square": drawn.sized(1, "x", *parts, size, power=2, how="squared"),
            "plain": drawn.entry(0),
        }

    told = draw_together([Piece(compute, tell)], found, resamples=500)[0]
    assert told["size"]["value"] == pytest.approx(0.06)
    assert told["size"]["low"] == told["square"]["low"] == 0
    assert told["size"]["high"] == pytest.approx(0.06 + 1.96 / 20, abs=0.02)
    assert told["square"]["high"] == pytest.approx(told["size"]["high"] ** 2)
    assert told["square"]["method"].endswith("no difference; squared")
    assert "BCa" in told["plain"]["method"]


def test_a_share_without_a_miss_has_wilson_s_interval_over_patients() -> None:
    found = cases(60, 2)
    hit, among = np.ones(60), np.arange(60) < 40

    def compute(weights: Array) -> Array:
        return weights @ (hit * among)[:, None] / (weights @ among[:, None])

    told = draw_together([Piece(compute, lambda drawn: drawn.share(0, hit, among))], found, resamples=50)[0]
    assert (told["value"], told["high"], told["n"], told["n_patients"]) == (1, 1, 40, 20)
    assert told["low"] == pytest.approx(1 / (1 + 1.959963984540054**2 / 20))
    assert "Wilson" in told["method"]
    assert "reason" not in told


def test_a_band_leaves_out_lost_resamples_and_stays_in_bounds() -> None:
    found = cases(40, 1)

    def compute(weights: Array) -> Array:
        rows = np.arange(len(weights))
        return np.column_stack([rows / 10, np.where(rows % 4 == 0, np.nan, 0.5), np.where(rows % 4, np.nan, 0.5)])

    band = draw_together([Piece(compute, lambda drawn: drawn.band(0, 3, least=0, most=1))], found, resamples=40)[0]
    assert band["low"][0] == pytest.approx(0.0975)
    assert band["high"][0] == 1
    assert band["low"][1] == band["high"][1] == 0.5
    assert band["low"][2] is None


@pytest.mark.parametrize(
    ("y", "p", "patient", "message"),
    [
        ([], [], [], "cases: there is no case; give at least one labelled case"),
        ([0], [[0.5]], [0], "cases: probabilities of shape (1, 1); give them as (cases,) or (cases, classes)"),
        ([0, 1], [0.5], [0], "(2,) labels for probabilities of shape (1,); give one label a case"),
        ([0, 2], [0.5, 0.5], [0, 1], "a label is neither 0 nor 1; leave out cases without a label"),
        ([0, np.nan], [0.5, 0.5], [0, 1], "a label is neither 0 nor 1"),
        ([0, 3], [[0.5, 0.2, 0.3]] * 2, [0, 1], "a label is no class index from 0 to 2"),
        ([0, 1], [0.5, np.nan], [0, 1], "a probability is not a number; leave out failed cases"),
        ([0, 1], [0.5, 1.5], [0, 1], "a probability is not between 0 and 1; give probabilities, not scores"),
        ([0, 1], [[0.5, 0.6]] * 2, [0, 1], "the probabilities of a case do not sum to 1"),
        ([0, 1], [0.5, 0.5], [0], "(1,) patients for 2 cases; say whose each case is"),
        ([0, 1], [0.5, 0.5], ["a", None], "a patient is missing; give every case a patient"),
        ([0, 1], [0.5, 0.5], [1.0, np.nan], "a patient is missing"),
    ],
)
def test_unusable_cases_are_refused(y: object, p: object, patient: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        checked_cases(y, p, np.array(patient))  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_any_labels_name_patients_and_no_resamples_are_refused() -> None:
    found = checked_cases([True, False, True], [0.1, 0.2, 0.3], np.array(["b", "a", "b"], dtype=object))
    assert found.patient.tolist() == [1, 0, 1]
    assert (found.n_patients, found.events) == (2, 1)
    with pytest.raises(InputError, match="resamples: 0 resamples; use 2000"):
        draw_together([mean_piece(np.ones(3))], found, resamples=0)
