"""What is shown of a log and raises no alarm: prevalence, statuses and the middle of each statistic, by period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from semeion.model.manifest import Manifest
from semeion.monitor.baseline import Baseline, Statistic
from semeion.monitor.bins import Bins, Floats
from semeion.monitor.logfile import STATUSES, Log
from semeion.monitor.prevalence import with_interval
from semeion.monitor.statistics import Values, probabilities, set_aside

_Z = 1.959964
_SHOWN = (0.25, 0.5, 0.75)


class Group(Protocol):
    """Cases that are shown together."""

    @property
    def name(self) -> str:
        """For example ``north``."""

    @property
    def kind(self) -> str:
        """``all``, ``site`` or ``scanner``."""

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Of the log."""


def by_period(
    streams: Sequence[Group], periods: npt.NDArray[np.object_]
) -> Iterator[tuple[dict[str, Any], npt.NDArray[np.int64]]]:
    """Yield ``{period, stream, of, n}`` and the rows, of every period of every group that has cases in it."""
    for stream in streams:
        # Names of periods are in the order of time when they are in that of letters.
        names, place = np.unique(periods[stream.rows].astype(str), return_inverse=True)
        order = stream.rows[np.argsort(place, kind="stable")]
        for name, rows in zip(names, np.split(order, np.cumsum(np.bincount(place))[:-1]), strict=True):
            yield {"period": str(name), "stream": stream.name, "of": stream.kind, "n": len(rows)}, rows


def prevalence(
    streams: Sequence[Group],
    baseline: Baseline,
    manifest: Manifest,
    log: Log,
    periods: npt.NDArray[np.object_],
    fewest: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the estimated share of each class with its 95 % interval, and its share where it was calibrated.

    Cases that are not applicable are none of those whose classes are asked for: what the model says of them means
    nothing.
    """
    p = probabilities(log.numbers, manifest)
    if p is None or not baseline.prevalence:
        return []
    found = []
    for facts, rows in by_period(streams, periods):
        answered = rows[np.isfinite(p[rows]).all(axis=1)]
        own = p[answered[log.texts["status"][answered] != "not_applicable"]]
        facts = facts | {"n": len(own), "not_applicable": len(answered) - len(own)}
        if len(own) < fewest:
            found.append({**facts, "classes": {}, "reason": f"{len(own)} cases, fewer than {fewest}"})
            continue
        found.append({**facts, "classes": _shares(own, baseline, manifest, seed), "reason": ""})
    return found


def _shares(p: Floats, baseline: Baseline, manifest: Manifest, seed: int) -> dict[str, dict[str, Any]]:
    classes = list(manifest.classes)
    if manifest.task == "multilabel":
        found = {}
        for place, label in enumerate(classes):
            n, one = baseline.known.get(label, 0), baseline.prevalence.get(label, 0)
            if 0 < one < n:
                both = np.stack([1 - p[:, place], p[:, place]], axis=1)
                trained = np.array([1 - one / n, one / n])
                value, low, high = with_interval(both, trained, seed)
                found[label] = _entry(float(value[1]), float(low[1]), float(high[1]), one / n)
        return found
    counts = np.array([baseline.prevalence.get(name, 0) for name in classes], dtype=np.float64)
    if not counts.all():
        return {}
    trained = counts / counts.sum()
    value, low, high = with_interval(p, trained, seed)
    return {
        name: _entry(float(value[k]), float(low[k]), float(high[k]), float(trained[k]))
        for k, name in enumerate(classes)
    }


def _entry(value: float, low: float, high: float, trained: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "trained": trained}


def abstained(
    streams: Sequence[Group], trained: Statistic | None, log: Log, periods: npt.NDArray[np.object_]
) -> list[dict[str, Any]]:
    """Return how many cases had each status, and the share that was not called of those that were read, with a score
    interval (Wilson 1927). ``aside`` is the share that the limits set aside, which `trained` is of the training cases;
    cases between whose classes the model cannot tell are not called either.
    """
    before = None
    if trained is not None and sum(trained.counts) > 0:
        before = trained.counts[-1] / sum(trained.counts)
    found = []
    each = {codes: set_aside(codes) for codes in set(log.texts["reasons"].tolist())}
    for facts, rows in by_period(streams, periods):
        status = log.texts["status"][rows]
        counts = {name: int((status == name).sum()) for name in STATUSES}
        read = len(rows) - counts["failed"]
        away = read - counts["called"]
        of_limits = sum(each[codes] for codes in log.texts["reasons"][rows[status != "failed"]].tolist())
        aside = {**_share(of_limits, read), "trained": before}
        found.append({**facts, "statuses": counts, **_share(away, read), "aside": aside})
    return found


def _share(hits: int, n: int) -> dict[str, float | None]:
    return dict(zip(("value", "low", "high"), _wilson(hits, n), strict=True))


def _wilson(hits: int, n: int) -> tuple[float | None, float | None, float | None]:
    if not n:
        return None, None, None
    share, square = hits / n, _Z**2 / n
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * np.sqrt(share * (1 - share) / n + square / 4 / n)
    return share, max(0.0, float(middle - half)), min(1.0, float(middle + half))


def middles(
    streams: Sequence[Group],
    watched: dict[str, Values],
    known: dict[str, Statistic],
    periods: npt.NDArray[np.object_],
    fewest: int,
) -> list[dict[str, Any]]:
    """Return the quartiles of each statistic by period, and those of the training cases; of yes and no the share."""
    found = []
    for facts, rows in by_period(streams, periods):
        if len(rows) < fewest:
            continue
        for name, values in watched.items():
            own = values.values[rows[values.counts[rows]]]
            own = own[np.isfinite(own)]
            if len(own) < fewest:
                continue
            row = {**facts, "statistic": name, "family": values.family, "n": len(own)}
            if values.edges is not None:
                counts = known[name].counts
                found.append({**row, "share": float(own.mean()), "trained": [counts[-1] / max(sum(counts[1:]), 1)]})
                continue
            quartiles = [float(one) for one in np.quantile(own, _SHOWN)]
            found.append({**row, "quartiles": quartiles, "trained": trained_quartiles(known[name].bins)})
    return found


def trained_quartiles(bins: Bins) -> list[float]:
    """Return about the quartiles of the training cases: the edges up to which as many of them lie; nothing where none
    are known.
    """
    counts = bins.counts[1:]
    if not len(bins.edges) or not counts.sum():
        return []
    below = counts.cumsum()[:-1] / counts.sum()
    # The edge nearest in share: shipped edges are all that is known.
    return [float(bins.edges[int(np.abs(below - share).argmin())]) for share in _SHOWN]
