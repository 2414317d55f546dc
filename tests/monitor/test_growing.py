"""A log that grows is looked at again: what was found of earlier cases stays as it was, whatever comes later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semeion.monitor.bins import Bins, fit_bins, hidden
from semeion.monitor.logfile import Log
from semeion.monitor.sequential import EVERY, _pieces, _powers, conformal_p, log_capital
from semeion.monitor.watch import FEWEST, MOST_GROUPS, streams_of
from support.watched import log_of, watched


def named(n: int, seed: int) -> Log:
    """Return a log whose second site and further scanners come late."""
    log = log_of(n, seed, days=0.1, contrast=0.8)
    rows = np.arange(n)
    log.texts["site"][:] = np.where((rows < 120) | (rows % 2 == 0), "north", "south")
    log.texts["scanner"][:] = [f"s{(row // 90) * (row % 2)}" for row in rows]
    return log


def finished(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [look for look in found["looks"] if look["finished"]]


@pytest.mark.parametrize("seen", [110, 200])
def test_what_was_found_stays(seen: int) -> None:
    whole = named(330, 11)
    early, late = watched(whole.take(np.arange(seen))), watched(whole)
    assert finished(early) == finished(late)[: len(finished(early))]
    levels = {(one["kind"], one["name"]): one["level"] for one in late["streams"]}
    for one in early["streams"]:
        if one["n"] >= FEWEST:
            assert levels[one["kind"], one["name"]] == one["level"]
    kept = [{k: v for k, v in one.items() if k != "evidence"} for one in late["alarms"]]
    for alarm in early["alarms"]:
        assert {k: v for k, v in alarm.items() if k != "evidence"} in kept


def test_a_new_level_takes_nothing_of_those_before_it() -> None:
    log = log_of(60, 12)
    log.texts["scanner"][:30] = "old"
    before = {one.name: one.level for one in streams_of(log, 0.05)}
    log.texts["scanner"][30:] = [f"new{row}" for row in range(30)]
    after = {one.name: one.level for one in streams_of(log, 0.05)}
    assert after["old"] == before["old"]


def test_a_column_of_as_many_names_as_cases_hides_no_scanner() -> None:
    """Names that never come again are not watched in place of one that does, however early they came."""
    log = log_of(200, 13)
    log.texts["scanner"][:] = [f"once{row}" if row < 150 else "often" for row in range(200)]
    streams = list(streams_of(log, 0.05))
    assert len(streams) == 1 + MOST_GROUPS
    assert (streams[1].name, len(streams[1].rows)) == ("often", 50)


def test_a_site_of_all_cases_of_a_week_is_not_compared_twice() -> None:
    found = watched(named(330, 11))
    of = [{row["stream"] for row in look["comparisons"] if row["of"] == "site"} for look in found["looks"]]
    assert of[0] == set()
    assert {"north", "south"} in of


def slow_p(bins: Bins, places: Any, ties: Any) -> list[float]:
    """Return conformal p-values as they are defined, case by case."""
    counts, found = bins.counts.astype(float), []
    for place, tie in zip(places, ties, strict=True):
        counts[place] += 1
        found.append((counts[place + 1 :].sum() + tie * counts[place]) / counts.sum())
    return found


def test_p_values_and_capital_are_those_of_the_definition() -> None:
    random = np.random.default_rng(0)
    bins = Bins(np.arange(4.0), np.array([0, 10, 5, 7, 20, 5]))
    places = random.integers(0, 6, 5000)
    p = conformal_p(bins, places, np.random.default_rng(1))
    assert p == pytest.approx(slow_p(bins, places, np.random.default_rng(1).uniform(size=5000)), abs=1e-12)
    gains = np.exp(np.concatenate([_powers(p[:45]), _pieces(p[:45])], axis=1))
    for t in (0, 9, 10, 44):
        begun = range(0, t + 1, EVERY)
        shares = [1 / ((k + 1) * (k + 2)) for k in range(len(begun))]
        bet = sum(share * gains[start : t + 1].prod(axis=0).mean() for share, start in zip(shares, begun, strict=True))
        assert log_capital(p)[t] == pytest.approx(np.log(bet + 1 - sum(shares)))


def test_small_counts_are_not_told_by_the_sum() -> None:
    assert hidden([0, 47, 3]).tolist() == [0, 45, 5]
    assert hidden([2, 40, 30, 1]).tolist() == [5, 33, 30, 5]
    assert hidden([3, 0]).tolist() == [5, 0], "fewer than five in all"
    values = np.array([1.0] * 60 + [np.nan] * 2)
    for edges in (None, (0.5,)):
        counts = fit_bins(values, edges).counts
        assert counts.sum() == 62
        assert all(count == 0 or count >= 5 for count in counts)
