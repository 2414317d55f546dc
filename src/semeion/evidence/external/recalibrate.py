"""What recalibrating on the cases from elsewhere would bring, proved on patients that the recalibration did not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.calibration import logit
from semeion.calibration.maps import Map
from semeion.errors import InputError
from semeion.evidence.calibration.choice import FOLDS, compare_calibration, held_out, log_losses, mean_and_error
from semeion.evidence.calibration.maps import FEWEST_CASES, MAPS
from semeion.evidence.intervals.drawing import Checked, checked_cases
from semeion.evidence.intervals.weights import Array

SIZES = (25, 50, 100, 200, 400)
"""Patients on which recalibration is tried, to see how many it takes."""
TRIES = 100
"""Draws of patients of each size."""
BEYOND = 1.96
"""Standard errors by which the log loss must fall before any map is called a gain."""
SURE = 0.95
"""Share of these draws in which the patients that are left must be better off."""
WORDS = {
    "intercept": "moved up or down (intercept)",
    "temperature": "drawn together or apart (temperature)",
    "platt": "both: slope and intercept",
    "beta": "beta map",
    "isotonic": "isotonic regression",
}
"""What each map does to the probabilities."""
_WHERE = "recalibration"


@dataclass(frozen=True)
class Intercept:
    """``sigmoid(logit(p) + value)``, ``(cases,)``: recalibration in the large.

    Source: Steyerberg, Clinical Prediction Models, 2019, section 20.3, method 1; method 2 (slope and intercept) is
    :class:`semeion.calibration.maps.Platt`.
    """

    kind: ClassVar[str] = "intercept"
    value: float

    @classmethod
    def fit(cls, y: ArrayLike, p: ArrayLike) -> Self:
        """Return the map of greatest likelihood for Platt's targets, as the other maps are fitted.

        Raises
        ------
        InputError
            With fewer than 20 cases or one class.
        """
        truth, values = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
        n, positives = len(truth), float(truth.sum())
        left = "leave the probabilities as they are"
        if n < FEWEST_CASES:
            raise InputError(f"only {n} cases, fewer than {FEWEST_CASES}", where=_WHERE, fix=left)
        if positives in (0, n):
            raise InputError("one class only among the cases", where=_WHERE, fix=left)
        wanted = positives * (positives + 1) / (positives + 2) + (n - positives) / (n - positives + 2)
        score, low, high = logit(values), -60.0, 60.0
        # The foretold number of events rises with the intercept: halving finds where it is the one wanted.
        for _ in range(80):
            middle = (low + high) / 2
            above = float((1 / (1 + np.exp(-np.clip(score + middle, -500, 500)))).sum()) > wanted
            low, high = (low, middle) if above else (middle, high)
        return cls((low + high) / 2)

    def apply(self, p: ArrayLike) -> Array:
        """Return the recalibrated probability of the positive class."""
        return np.asarray(np.exp(-np.logaddexp(0, -(logit(p) + self.value))), dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return ``{kind, value}``."""
        return {"kind": self.kind, "value": self.value}


TRIED: dict[str, Any] = {"intercept": Intercept, **{kind: MAPS[kind] for kind in MAPS if kind != "identity"}}
"""Maps that are tried, from the one that moves least to the most flexible."""
OF_SEVERAL = ("temperature",)
"""Those that take a column a class."""


def weigh_recalibration(
    y: ArrayLike,
    p: ArrayLike,
    patient: ArrayLike,
    *,
    folds: int = FOLDS,
    resamples: int = 2000,
    seed: int = 0,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Return what each map would bring, every case recalibrated by a map fitted without its patient's fold.

    Nothing is changed: the figures say what a new version of the model would gain.

    Parameters
    ----------
    y
        0 or 1 ``(cases,)``, or the class index where `p` has a column a class.
    p
        Probability of the positive class as the model gives it ``(cases,)``, or of every class.
    patient
        Whose each case is; a patient's cases are in one fold.
    folds, seed
        Of the cross-validation.
    resamples, jobs
        Of the bootstrap.

    Returns
    -------
    dict
        ``n``, ``n_patients``, ``folds``, ``applied`` (always False); ``before`` and ``maps.<kind>.after`` and
        ``.difference`` as :func:`semeion.evidence.calibration.choice.compare_calibration` gives them, ``.map`` the map
        fitted on all cases, or ``.reason`` why there is none; ``best``, the simplest map that no other beats by more
        than its standard error, None where none lowers the log loss beyond chance or none could be tried; ``needed``,
        see :func:`patients_needed`; ``reason``.

    Raises
    ------
    InputError
        For cases that cannot be used, and fewer than 2 folds.
    """
    cases = checked_cases(y, p, patient, where=_WHERE)
    if folds < 2:
        raise InputError(f"{folds} folds", where=_WHERE, fix="use at least 2, for example 5")
    told: dict[str, Any] = {"n": len(cases), "n_patients": cases.n_patients, "folds": folds, "applied": False}
    told |= {"before": {}, "maps": {}, "best": None, "needed": None}
    having = sorted(len(np.unique(cases.patient[cases.y == k])) for k in range(max(2, int(cases.y.max()) + 1)))
    if having[-2] < folds:
        few = f"the second commonest class has {having[-2]} patients, fewer than {folds} folds"
        return {**told, "folds": 0, "reason": f"not tried: {few}"}
    fold = drawn_folds(cases, folds, seed)
    kinds = list(TRIED) if cases.p.ndim == 1 else list(OF_SEVERAL)
    held: dict[str, Array] = {}
    for kind in kinds:
        try:
            fitted: Map = TRIED[kind].fit(cases.y, cases.p)
            held[kind] = held_out(kind, cases, fold, folds, TRIED)
        except InputError as error:
            told["maps"][kind] = {"reason": error.what}
            continue
        found = compare_calibration(
            cases.y, cases.p, held[kind], cases.patient, resamples=resamples, seed=seed, jobs=jobs
        )
        told["before"] = found["before"]
        told["maps"][kind] = {"map": fitted.to_json(), "after": found["after"], "difference": found["difference"]}
    told["best"], told["reason"] = _best(cases, held)
    if told["best"] is not None:
        told["needed"] = patients_needed(cases, told["best"], seed=seed)
    return told


def drawn_folds(cases: Checked, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each case: patients are dealt out by chance, their cases together.

    Not stratified by class: folds with one class balance would tell each map the balance of the patients left out, and
    moving all probabilities to it would seem to gain where there is nothing to gain.
    """
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(5,)))
    return np.asarray((stream.permutation(cases.n_patients) % folds)[cases.patient], dtype=np.int64)


def patients_needed(
    cases: Checked, kind: str, *, sizes: Sequence[int] = SIZES, tries: int = TRIES, seed: int = 0
) -> dict[str, Any]:
    """Return how many patients it takes until recalibrating by `kind` helps those that it did not see.

    Parameters
    ----------
    cases
        All cases from elsewhere.
    kind
        Of :data:`TRIED`.
    sizes, tries, seed
        Numbers of patients to fit on, how often each is drawn, and where the drawing begins.

    Returns
    -------
    dict
        ``tried`` a list of ``{patients, helped, gain}``: share of the draws in which the mean log loss of half of the
        patients became smaller by a map fitted on so many of the other half, and by how much on the mean; ``patients``
        the least size from which on it did in 95 % of the draws, None where none did. That half is as large for every
        size, so that sizes differ by what was fitted alone.
    """
    before = log_losses(cases.y, cases.p)
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7,)))
    tried = []
    half = cases.n_patients // 2
    for size in (size for size in sizes if size <= cases.n_patients - half):
        orders = [stream.permutation(cases.n_patients) for _ in range(tries)]
        gains = [_gain(cases, kind, before, order[half:][:size], order[:half]) for order in orders]
        known = [gain for gain in gains if gain is not None]
        # A draw that allows no map (one class only) leaves things as they are, which is no help.
        helped = sum(gain > 0 for gain in known) / tries
        tried.append({"patients": size, "helped": helped, "gain": float(np.mean(known)) if known else None})
    enough = None
    for each in reversed(tried):
        if each["helped"] is None or each["helped"] < SURE:
            break
        enough = each["patients"]
    return {"kind": kind, "draws": tries, "tried": tried, "patients": enough}


def _gain(cases: Checked, kind: str, before: Array, chosen: NDArray[np.int64], left: NDArray[np.int64]) -> float | None:
    inside, outside = np.isin(cases.patient, chosen), np.isin(cases.patient, left)
    try:
        fitted = TRIED[kind].fit(cases.y[inside], cases.p[inside])
    except InputError:
        return None
    return float(before[outside].mean() - log_losses(cases.y[outside], fitted.apply(cases.p[outside])).mean())


def _best(cases: Checked, held: dict[str, Array]) -> tuple[str | None, str]:
    """Return the simplest map within one standard error of the least log loss, if it is below that of no map."""
    if not held:
        return None, "no map could be fitted"
    losses = {kind: log_losses(cases.y, p) for kind, p in held.items()}
    before = log_losses(cases.y, cases.p)
    least = min(losses, key=lambda kind: float(losses[kind].mean()))
    gain, error = mean_and_error(before - losses[least], cases)
    if gain <= BEYOND * error:
        return None, "no map lowers the log loss of patients left out beyond what chance would"
    excess = {kind: mean_and_error(loss - losses[least], cases) for kind, loss in losses.items()}
    kind = next(kind for kind, (more, error) in excess.items() if more <= error)
    reason = f"{kind} has the least log loss on patients left out"
    if kind != least:
        reason = f"{least} has the least log loss on patients left out, and {kind} is simpler and within an error of it"
    return kind, reason
