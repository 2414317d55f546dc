"""A log against the baseline of its model: figures by period, site and scanner, and alarms with a stated rate.

The rate is that at which a service in which nothing changes ever raises any alarm. It is shared out beforehand, and the
union bound holds it whatever depends on what: :data:`PARTS`. Three fifths are for all cases together and one fifth for
single sites and scanners, watched after every case (:mod:`semeion.monitor.sequential`), divided by the number of
statistics. One fifth is for finished periods (:mod:`semeion.monitor.batch`), where the k-th of them gets ``1 / (k (k +
1))`` of it, and within it all comparisons are adjusted by Holm.

A log that grows is looked at again and again. So nothing that was decided of earlier cases may come to depend on later
ones: neither the level of a site, nor with what it is compared, nor how ties were broken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.model.manifest import Manifest
from semeion.monitor.baseline import Baseline, Statistic
from semeion.monitor.batch import holm, ks_test, psi_test
from semeion.monitor.bins import Floats
from semeion.monitor.kernel import mmd_test
from semeion.monitor.logfile import Log
from semeion.monitor.patients import compared_lines, first_lines
from semeion.monitor.periods import By, labels_of
from semeion.monitor.sequential import conformal_p, first_alarm, log_capital, shares
from semeion.monitor.shown import abstained, middles, prevalence
from semeion.monitor.statistics import Values, features_of, statistics_of

FEWEST = 20
"""Cases below which nothing is said, and no alarm raised."""
PARTS = {"all": 0.6, "groups": 0.2, "periods": 0.2}
MOST_GROUPS = 40
"""Sites and scanners that are watched one by one: of each the first that had enough cases."""
_POINTS = 300
_LOG10 = float(np.log(10))


@dataclass(frozen=True)
class Asked:
    """How a log is watched.

    Attributes
    ----------
    by
        ``week`` or ``month``.
    rate
        The false-alarm rate.
    seed
        Breaks ties and deals cases out anew.
    """

    by: By = "week"
    rate: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class Stream:
    """Cases that are watched together: all, or those of a site or a scanner.

    Attributes
    ----------
    name, kind
        For example ``north`` and ``site``; ``all`` and ``all``.
    rows
        Of the log, in the order of time.
    level
        Its share of the false-alarm rate.
    """

    name: str
    kind: str
    rows: npt.NDArray[np.int64]
    level: float


def watch(log: Log, baseline: Baseline, manifest: Manifest, asked: Asked) -> dict[str, Any]:
    """Compare a log with the baseline.

    Parameters
    ----------
    log
        In the order of time, no case twice and of each patient one, as far as that is known (:func:`joined`).
    baseline
        Of the same model.
    manifest
        The model.
    asked
        How.

    Returns
    -------
    dict
        ``alarms streams looks prevalence abstained middles``, see ``docs/monitor.md``; plain values.

    Raises
    ------
    InputError
        When the rate is none.
    """
    if not 0 < asked.rate <= 0.5:
        raise InputError(
            f"a false-alarm rate of {asked.rate:g}", where="--false-alarms", fix="give a share above 0, at most 0.5"
        )
    known = {one.name: one for one in baseline.statistics}
    found = statistics_of(log.numbers, manifest, status=log.texts["status"], reasons=log.texts["reasons"])
    watched = {name: values for name, values in found.items() if name in known and sum(known[name].counts) > 0}
    streams = list(streams_of(log, asked.rate))
    periods = labels_of(log.time, asked.by)
    followed = [_follow(stream, watched, known, log, periods, asked) for stream in streams]
    looks = _looks(streams, watched, known, baseline, log, periods, asked)
    alarms = [alarm for one in followed for alarm in one.pop("alarms")] + [
        alarm for look in looks for alarm in look.pop("alarms")
    ]
    return {
        "alarms": sorted(alarms, key=lambda alarm: (alarm["cases"], alarm["of"] != "all", alarm["statistic"])),
        "streams": followed,
        "looks": looks,
        "prevalence": prevalence(streams, baseline, manifest, log, periods, FEWEST, asked.seed),
        "abstained": abstained(streams, known.get("abstained"), log, periods),
        "middles": middles(streams, watched, known, periods, FEWEST),
        "unwatched": sorted(set(known) - set(watched)),
    }


@dataclass(frozen=True)
class Joined:
    """Logs of one model as one, in the order of time.

    Attributes
    ----------
    whole
        Every case once: one that comes again is no new evidence.
    compared
        Of these one a patient (:func:`semeion.monitor.patients.compared_lines`).
    again
        How many lines were left out since their case had been read before.
    """

    whole: Log
    compared: Log
    again: int


def joined(logs: Sequence[Log]) -> Joined:
    """Return logs of one model as one.

    Raises
    ------
    InputError
        When there is none.
    """
    if not logs:
        raise InputError("no log was given", where="LOG", fix="give the folder of a log")
    names = list(dict.fromkeys(name for log in logs for name in log.numbers))
    whole = Log(
        logs[0].model,
        np.concatenate([log.time for log in logs]),
        {name: np.concatenate([log.texts[name] for log in logs]) for name in logs[0].texts},
        {name: np.concatenate([log.numbers.get(name, np.full(len(log), np.nan)) for log in logs]) for name in names},
    )
    whole = whole.take(np.argsort(whole.time, kind="stable"))
    first = first_lines(whole)
    return Joined(whole.take(first), whole.take(compared_lines(whole)), len(whole) - len(first))


def streams_of(log: Log, rate: float) -> Iterator[Stream]:
    """Yield all cases, then each site and scanner in the order in which they reached :data:`FEWEST` cases.

    What comes later changes neither this order nor their levels. A site is left out where all cases are its own.
    """
    yield Stream("all", "all", np.arange(len(log)), rate * PARTS["all"])
    groups: list[tuple[int, str, str, npt.NDArray[np.int64]]] = []
    doubled = set()
    for kind in ("site", "scanner"):
        named = log.texts[kind].astype(str)
        names, place = np.unique(named, return_inverse=True)
        if len(names) == 1:
            doubled.add(kind)  # one site, and so all cases: they are watched already
        order = np.argsort(place, kind="stable")
        each = np.split(order, np.cumsum(np.bincount(place, minlength=len(names)))[:-1])
        own = [
            (int(rows[FEWEST - 1]) if len(rows) >= FEWEST else len(log) + int(rows[0]), kind, str(name), rows)
            for name, rows in zip(names, each, strict=True)
            if name != ""
        ]
        groups += sorted(own, key=lambda one: one[:3])[:MOST_GROUPS]
    levels_of = shares(rate * PARTS["groups"], len(groups))
    for (_, kind, name, rows), level in zip(sorted(groups, key=lambda one: one[:3]), levels_of, strict=True):
        if kind not in doubled:
            yield Stream(name, kind, rows, level)


def _random(seed: int, *of: str) -> np.random.Generator:
    """Return a generator of its own for each thing, so that what is drawn does not depend on what else is watched."""
    digest = hashlib.sha256("\0".join(of).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype=np.uint32).tolist()])


def _follow(
    stream: Stream,
    watched: dict[str, Values],
    known: dict[str, Statistic],
    log: Log,
    periods: npt.NDArray[np.object_],
    asked: Asked,
) -> dict[str, Any]:
    """Watch one stream after every case."""
    rows, alarms = [], []
    level = stream.level / max(len(watched), 1)
    for name, values in watched.items():
        own = stream.rows[values.counts[stream.rows]]
        bins = known[name].bins
        random = _random(asked.seed, stream.kind, stream.name, name)
        capital = log_capital(conformal_p(bins, bins.place(values.values[own]), random))
        after = first_alarm(capital, level, FEWEST)
        row = {"statistic": name, "family": values.family, "n": len(own), "alarm_after": after}
        row |= {"evidence": float(capital[-1]) / _LOG10 if len(capital) else 0.0, "line": _line(capital)}
        rows.append(row)
        if after is not None:
            at = int(own[after - 1])
            alarms.append(
                {
                    "kind": "case by case",
                    "stream": stream.name,
                    "of": stream.kind,
                    "statistic": name,
                    "family": values.family,
                    "after": int(np.searchsorted(stream.rows, at)) + 1,
                    "cases": at + 1,
                    "time": when(log.time[at]),
                    "period": str(periods[at]),
                    "evidence": float(capital[:after].max()) / _LOG10,
                    "limit": -float(np.log10(level)),
                }
            )
    n = len(stream.rows)
    reason = "" if n >= FEWEST else f"{n} cases; at least {FEWEST} are needed before anything can be said"
    return {
        "name": stream.name,
        "kind": stream.kind,
        "n": n,
        "level": stream.level,
        "limit": -float(np.log10(level)),
        "reason": reason,
        "statistics": rows,
        "alarms": alarms,
    }


def _looks(
    streams: Sequence[Stream],
    watched: dict[str, Values],
    known: dict[str, Statistic],
    baseline: Baseline,
    log: Log,
    periods: npt.NDArray[np.object_],
    asked: Asked,
) -> list[dict[str, Any]]:
    """Compare every period; the last may go on, so that it raises no alarm."""
    names = list(dict.fromkeys(periods.tolist()))
    levels = shares(asked.rate * PARTS["periods"], len(names))
    features = features_of(log.numbers)
    looks = []
    for number, (name, level) in enumerate(zip(names, levels, strict=True)):
        inside = periods == name
        rows = []
        few = []
        for stream in streams:
            own = stream.rows[inside[stream.rows]]
            if len(own) < FEWEST:
                few += [{"stream": stream.name, "of": stream.kind, "n": len(own), "needed": FEWEST}] * bool(len(own))
                continue
            if stream.kind != "all" and len(own) == inside.sum():
                continue  # all cases of the period are its own: they are compared already
            drawn = (asked.seed, str(name), stream.kind, stream.name)
            compared = _compared(own, watched, known, baseline, features, drawn)
            rows += [{"stream": stream.name, "of": stream.kind, **one} for one in compared]
        for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
            row["adjusted"] = adjusted
        finished = number < len(names) - 1
        last = when(log.time[np.flatnonzero(inside)[-1]])
        raised = [row for row in rows if finished and row["adjusted"] <= level]
        looks.append(
            {
                "period": str(name),
                "n": int(inside.sum()),
                "level": level,
                "finished": finished,
                "comparisons": rows,
                "too_few": few,
                "alarms": [
                    {
                        "kind": row["test"],
                        **{key: row[key] for key in ("stream", "of", "statistic", "family", "value", "p", "adjusted")},
                        "after": None,
                        "cases": int(np.flatnonzero(inside)[-1]) + 1,
                        "time": last,
                        "period": str(name),
                        "limit": level,
                    }
                    for row in raised
                ],
            }
        )
    return looks


def _compared(
    rows: npt.NDArray[np.int64],
    watched: dict[str, Values],
    known: dict[str, Statistic],
    baseline: Baseline,
    features: Floats,
    drawn: tuple[int, str, str, str],
) -> Iterator[dict[str, Any]]:
    """Yield every comparison of some cases with the training cases; `drawn` is what the seed of deals is made of."""
    for name, values in watched.items():
        own = rows[values.counts[rows]]
        if len(own) < FEWEST:
            continue
        bins = known[name].bins
        tally = bins.tally(values.values[own])
        facts = {"statistic": name, "family": values.family, "n": len(own)}
        index, p, limit = psi_test(bins.counts, tally, _random(*drawn, name))
        yield {**facts, "test": "psi", "value": index, "p": p, "limit": limit}
        if values.edges is None:
            far, p = ks_test(bins.counts, tally)
            yield {**facts, "test": "ks", "value": far, "p": p, "limit": None}
    if baseline.embedding is None or features.shape[1] != len(baseline.embedding.frequencies[0]):
        return
    seen = features[rows][np.isfinite(features[rows]).all(axis=1)]
    if len(seen) >= FEWEST:
        far, p = mmd_test(baseline.embedding.kernel, seen)
        facts = {"statistic": "features", "family": "features", "n": len(seen)}
        yield {**facts, "test": "mmd", "value": far, "p": p, "limit": None}


def _line(capital: Floats) -> dict[str, list[float]]:
    """Return the evidence after at most three hundred of the cases, as logarithms to the base 10."""
    kept = np.linspace(0, len(capital) - 1, min(len(capital), _POINTS)).astype(int)
    at = [int(one) for one in np.unique(kept)] if len(capital) else []
    return {"after": [k + 1 for k in at], "evidence": [round(float(capital[k]) / _LOG10, 4) for k in at]}


def when(time: np.datetime64) -> str:
    """Return a time in UTC, ISO 8601."""
    return datetime.fromtimestamp(int(time.astype("datetime64[s]").astype(np.int64)), UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
