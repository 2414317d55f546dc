"""A log against the baseline: alarms where something changed, none where nothing did, and figures that add up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.errors import InputError, ModelRefused
from semeion.monitor.baseline import Baseline, baseline_json, embedding_of, read_baseline
from semeion.monitor.kernel import fit_kernel
from semeion.monitor.periods import labels_of
from semeion.monitor.watch import FEWEST, joined
from support.watched import KNOWN, log_of, watched


def test_nothing_is_raised_where_nothing_changed() -> None:
    """Of 30 services at 5 % one or two are expected at most: the rate is a bound."""
    raised = sum(bool(watched(log_of(150, seed, days=0.3))["alarms"]) for seed in range(30))
    assert raised <= 2


@pytest.mark.parametrize(
    ("how", "family"),
    [({"contrast": 0.7}, "inputs"), ({"prevalence": 0.7}, "prevalence"), ({"prevalence": 0.7}, "probabilities")],
)
def test_what_was_planted_is_seen_within_200_cases(how: dict[str, Any], family: str) -> None:
    for seed in range(5):
        found = watched(log_of(200, seed, **how))
        after = [one["after"] for one in found["alarms"] if one["family"] == family and one["after"] is not None]
        assert after, f"{family} at seed {seed}"
        assert min(after) <= 200
        assert [one["cases"] for one in found["alarms"]] == sorted(one["cases"] for one in found["alarms"])


def test_it_repeats_bit_for_bit_and_not_at_another_seed() -> None:
    log = log_of(60, 3)
    assert watched(log) == watched(log)
    assert watched(log) != watched(log, seed=1)


def test_one_site_that_differs_is_named() -> None:
    plain, other = log_of(300, 1, days=0.02), log_of(60, 2, days=0.1, contrast=0.5)
    plain.texts["site"][:], other.texts["site"][:] = "north", "south"
    found = watched(joined([plain, other]).compared)
    of_sites = {one["stream"] for one in found["alarms"] if one["of"] == "site"}
    assert of_sites == {"south"}
    assert {stream["name"] for stream in found["streams"]} == {"all", "north", "south"}


def test_images_that_are_set_aside_are_seen() -> None:
    log = log_of(100, 4)
    log.texts["status"][:] = "not_applicable"
    log.texts["reasons"][:] = "features-outside;corrected"
    found = watched(log)
    assert "abstained" in {one["family"] for one in found["alarms"]}
    [row] = [one for one in found["abstained"] if one["of"] == "all"]
    assert row["value"] == row["aside"]["value"] == 1
    assert row["statuses"]["not_applicable"] == 100


def test_cases_between_two_classes_are_not_called_and_not_set_aside() -> None:
    log = log_of(40, 4)
    log.texts["status"][:10], log.texts["reasons"][:10] = "set", "cannot-tell"
    [row] = [one for one in watched(log)["abstained"] if one["of"] == "all"]
    assert (row["value"], row["aside"]["value"]) == (0.25, 0)


def test_spacing_that_goes_missing_is_seen() -> None:
    known = KNOWN.model_dump(by_alias=True)
    known["statistics"].append({"name": "spacing_i", "family": "inputs", "edges": [0.5, 0.6], "counts": [0, 0, 90, 0]})
    log = log_of(60, 5)
    log.numbers["spacing_i"] = np.full(60, np.nan)  # type: ignore[index]
    found = watched(log, Baseline.model_validate(known))
    assert "spacing_i" in {one["statistic"] for one in found["alarms"]}


def test_features_that_move_together_are_seen_in_a_finished_week() -> None:
    random = np.random.default_rng(0)
    embedding = embedding_of(fit_kernel(random.normal(size=(400, 2)), 0))
    known = Baseline(cases="x", statistics=KNOWN.statistics, embedding=embedding)
    log = log_of(400, 6, days=0.04)
    turned = random.normal(size=(400, 2)) @ np.array([[1, 1], [0, 0.05]])
    log.numbers["feature_0"], log.numbers["feature_1"] = turned.T  # type: ignore[index]
    found = watched(log, known)
    assert {"mmd"} == {one["kind"] for one in found["alarms"]}
    assert {one["period"] for one in found["alarms"]} <= {look["period"] for look in found["looks"] if look["finished"]}


def test_failed_cases_are_counted_and_compared_with_nothing() -> None:
    log = log_of(50, 7)
    log.texts["status"][::2] = "failed"
    for column in log.numbers.values():
        column[::2] = np.nan
    found = watched(log)
    assert found["alarms"] == []
    assert {one["n"] for one in found["streams"][0]["statistics"]} == {25}
    assert found["abstained"][0]["statuses"]["failed"] == 25


def test_too_few_cases_say_how_many_are_needed() -> None:
    found = watched(log_of(FEWEST - 1, 8, contrast=0.2))
    assert found["alarms"] == []
    assert found["streams"][0]["reason"] == "19 cases; at least 20 are needed before anything can be said"
    assert found["looks"][0]["comparisons"] == []
    assert found["looks"][0]["too_few"] == [{"stream": "all", "of": "all", "n": 19, "needed": 20}]


def test_a_case_that_comes_again_counts_once() -> None:
    log = log_of(30, 9)
    both = joined([log, log])
    assert (len(both.whole), len(both.compared), both.again) == (30, 30, 30)
    with pytest.raises(InputError, match="no log was given"):
        joined([])


def test_levels_add_up_to_the_rate() -> None:
    plain, other = log_of(100, 1, days=0.3), log_of(100, 2, days=0.3)
    plain.texts["site"][:], other.texts["site"][:] = "north", "south"
    found = watched(joined([plain, other]).compared, rate=0.1)
    total = sum(stream["level"] for stream in found["streams"]) + sum(look["level"] for look in found["looks"])
    assert total <= 0.1
    with pytest.raises(InputError, match="a false-alarm rate of 2"):
        watched(plain, rate=2)


def test_estimated_prevalence_follows_the_truth() -> None:
    found = watched(log_of(400, 10, days=0.001, prevalence=0.6))
    [row] = found["prevalence"]
    entry = row["classes"]["bright"]
    assert entry["low"] < 0.6 < entry["high"]
    assert entry["trained"] == pytest.approx(0.3, abs=0.06)


def test_weeks_and_months_by_the_calendar() -> None:
    time = np.array(["2026-01-01T00:00:00", "2027-01-03T23:59:59", "2026-12-28T00:00:00"], dtype="datetime64[s]")
    assert list(labels_of(time, "week")) == ["2026-W01", "2026-W53", "2026-W53"]
    assert list(labels_of(time, "month")) == ["2026-01", "2027-01", "2026-12"]


# The baseline as hostile input.


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one.update(schema=9), "the baseline is of schema 9, newer than 1"),
        (lambda one: one.update(more=1), "no baseline of a model"),
        (lambda one: one["statistics"][0]["edges"].reverse(), "the edges do not increase"),
        (lambda one: one["statistics"][0]["counts"].pop(), "edges have"),
        (lambda one: one["statistics"][0]["counts"].__setitem__(1, 3), "a bin of fewer than 5 patients"),
        (lambda one: one["statistics"].append(one["statistics"][0]), "two statistics have the same name"),
    ],
)
def test_a_baseline_that_is_none_is_refused(change: Callable[[Any], None], said: str) -> None:
    import json

    value = json.loads(baseline_json(KNOWN))
    change(value)
    with pytest.raises(ModelRefused, match=said):
        read_baseline(json.dumps(value).encode(), where="baseline.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["parts"].pop(), "the directions and their counts do not fit"),
        (lambda one: one["parts"][0]["counts"].__setitem__(1, 4), "a bin of fewer than 5 patients"),
        (lambda one: one["parts"].__setitem__(0, {"edges": [], "counts": [0, 0]}), "no patient is counted"),
        (lambda one: one["directions"][0].pop(), "no baseline of a model"),
    ],
)
def test_an_embedding_that_is_none_is_refused(change: Callable[[Any], None], said: str) -> None:
    import json

    embedding = embedding_of(fit_kernel(np.random.default_rng(0).normal(size=(60, 2)), 0))
    value = json.loads(baseline_json(Baseline(cases="x", statistics=KNOWN.statistics, embedding=embedding)))
    change(value["embedding"])
    with pytest.raises(ModelRefused, match=said):
        read_baseline(json.dumps(value).encode(), where="baseline.json")


def test_an_empty_training_distribution_is_refused(tmp_path: Path) -> None:
    for statistics in ([], [{"name": "mean", "family": "inputs", "edges": [], "counts": [0, 0]}]):
        empty = Baseline(cases="none", statistics=statistics)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="the training distribution is empty"):
            read_baseline(baseline_json(empty), where="baseline.json")


def test_a_baseline_is_read_as_it_was_written() -> None:
    assert read_baseline(baseline_json(KNOWN), where="x") == KNOWN
    with pytest.raises(ModelRefused, match="the JSON cannot be read"):
        read_baseline(b"{", where="x")
