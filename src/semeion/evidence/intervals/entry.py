"""Which interval a figure gets, and the entry of ``evidence.json`` that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.intervals.bootstrap import Spread
from semeion.evidence.intervals.delong import delong
from semeion.evidence.intervals.proportions import FEW, area_interval, carriers, clustered_wilson
from semeion.evidence.intervals.reliance import unreliable
from semeion.evidence.intervals.weights import distinct_codes
from semeion.evidence.metrics import Account


def entries(
    account: Account,
    spreads: Mapping[str, Spread],
    patient: NDArray[np.int64] | None,
    *,
    n: int,
    n_patients: int,
) -> dict[str, dict[str, Any]]:
    """Return ``{name: {value, low, high, n, n_patients, method}}``, and ``reason`` where something must be said.

    The interval is BCa. Where a bootstrap of a share or of an area fails, as :func:`score` says, it is a score
    interval. An area of one class against one other also has ``delong: {low, high}``, null where it is undefined.

    Parameters
    ----------
    account
        What the figures are.
    spreads
        Each figure and its resamples.
    patient
        Of each case of the account, ``(cases,)``; None where it has no cases of its own.
    n, n_patients
        Cases and patients that are stated.
    """
    events = None
    if account.classes is not None and patient is not None:
        seen = np.unique(account.classes)
        events = min((distinct_codes(patient[account.classes == j]) for j in seen), default=0)
    found = {}
    for name in account.names:
        spread, defined = spreads[name], account.methods.get(name)
        entry: dict[str, Any] = {"value": None, "low": None, "high": None, "n": n, "n_patients": n_patients}
        method, reasons = "", [account.undefined.get(name, "undefined on these cases")]
        if np.isfinite(spread.value):
            entry["value"] = spread.value
            scored = score(name, spread.value, account, patient) if patient is not None and n_patients > 1 else None
            span, method, reason = scored or bootstrapped(name, spread, n_patients, events)
            entry |= span
            reasons = [account.remarks.get(name, ""), reason]
        entry["method"] = "; ".join(filter(None, [method, defined])) or "as defined"
        if any(reasons):
            entry["reason"] = "; ".join(filter(None, reasons))
        if name == "auroc" and account.ranked and patient is not None:
            positive, p = account.ranked
            ends = delong(positive, p[None], patient).interval()
            entry["delong"] = {"low": ends[0] if ends else None, "high": ends[1] if ends else None}
        found[name] = entry
    return found


def bootstrapped(
    name: str, spread: Spread, n_patients: int, events: int | None = None
) -> tuple[dict[str, float], str, str]:
    """Return ``{low, high}`` of the bootstrap, empty when undefined, its method, and what must be said of it."""
    span = spread.interval(n_patients)
    if not np.isfinite(span.low):
        return {}, "", span.reason
    warning = unreliable(name, patients=n_patients, events=events)
    return {"low": span.low, "high": span.high}, spread.method, "; ".join(filter(None, [span.reason, warning]))


def score(
    name: str, value: float, account: Account, patient: NDArray[np.int64]
) -> tuple[dict[str, float], str, str] | None:
    """Return what :func:`bootstrapped` does, of a score interval, or None where the bootstrap serves.

    It takes the place of the bootstrap for a share with a hit, or a miss, in fewer than 10 patients, and for the area
    under a ROC curve with fewer than 10 patients of a class, or of 0 or 1. Patients are counted and not cases, since a
    bootstrap that draws patients knows no more. The effective numbers of cases of an area are those of the patients.
    """
    if name in account.shares:
        share = account.shares[name]
        hit, own = share.hit[share.counts], patient[share.counts]
        if carriers(hit, own) >= FEW:
            return None
        found = clustered_wilson(hit, own)
        method = f"{found.method}; fewer than {FEW} patients with a hit, or with a miss"
        return {"low": found.low, "high": found.high}, method, ""
    if name != "auroc" or account.ranked is None:
        return None
    positive = account.ranked[0]
    m, n = distinct_codes(patient[positive]), distinct_codes(patient[~positive])
    if min(m, n) >= FEW and 0 < value < 1:
        return None
    low, high = area_interval(value, m, n)
    why = f"fewer than {FEW} patients of a class" if min(m, n) < FEW else "the classes are separated"
    return {"low": low, "high": high}, f"95 % score interval (Newcombe's method 5) of {m} and {n} patients; {why}", ""
