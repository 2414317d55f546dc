"""Trials of settings, one after the other: proposed by Optuna, ended early where they are behind, kept in a journal."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from semeion.errors import TrainingFailed
from semeion.plan.schema import SearchPlan
from semeion.plan.search import Knob, Params, planned

JOURNAL = "journal.jsonl"
NAME = "search"
FACTOR = 2
"""Of the trials that reach a rung one in so many goes on (successive halving: Jamieson and Talwalkar, AISTATS 2016; as
trials come one after the other: Li et al., MLSys 2020)."""
FEWEST_FOR_IMPORTANCE = 10
"""Finished trials below which nothing is said of what mattered."""
RANGE = 1e-12


class OverTimeError(Exception):
    """The time for trials is over in the midst of one, which then does not count."""


class _BehindError(Exception):
    """A trial is behind the others at a look."""


@dataclass(frozen=True)
class Tried:
    """A trial.

    Attributes
    ----------
    number
        In the order of the trials, from 0 on.
    state
        ``complete``; ``pruned``: behind the others, ended early; ``failed``: it could not learn.
    params
        The settings.
    losses
        Validation losses at its looks, in order.
    seconds
        That it took.
    note
        What went wrong.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    params: Params
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""

    @property
    def loss(self) -> float | None:
        """Its last validation loss, None before any."""
        return self.losses[-1] if self.losses else None


Learn = Callable[[int, Params, Callable[[float], None]], str]
"""Lets a trial of a number learn with settings, calls back with the validation loss at each look, returns a note."""


def search(
    folder: Path,
    knobs: Mapping[str, Knob],
    settings: SearchPlan,
    learn: Learn,
    fits: Callable[[Sequence[Tried]], bool],
    now: Callable[[], float],
    *,
    seed: int,
) -> list[Tried]:
    """Run trials until enough are done or time is over, and return all, those of earlier processes included.

    Settings are proposed by a tree-structured Parzen estimator over all of them jointly (Bergstra et al., NeurIPS
    2011; Falkner et al., ICML 2018); the first trial has the planned ones. What trial ``n`` has follows from the seed,
    ``n`` and the trials before it, so that stopping and going on changes nothing.

    Parameters
    ----------
    folder
        Where the journal is kept. A finished trial in it is not run again; one that was under way starts anew, with the
        settings that it had.
    knobs, settings
        What is searched, and how far.
    learn
        A trial. It may raise :class:`TrainingFailed`, which fails this trial alone, and :class:`OverTimeError`, which
        ends the search; anything else goes through.
    fits
        Whether there is time for one more trial, of those so far.
    now
        Seconds.
    seed
        Of the proposals.
    """
    folder.mkdir(parents=True, exist_ok=True)
    storage = _storage(folder / JOURNAL)
    pruner = optuna.pruners.SuccessiveHalvingPruner(max(1, settings.looks // 3), FACTOR, 0)
    with _silent():
        study = optuna.create_study(storage=storage, pruner=pruner, study_name=NAME, load_if_exists=True)
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(planned(knobs))
    while True:
        tried = tried_of(study.get_trials(deepcopy=False))
        if len(tried) >= settings.trials or not fits(tried):
            return tried
        trial = _next(study, storage, settings, seed)
        try:
            params = {name: _suggested(trial, name, knob) for name, knob in knobs.items()}
            _run(study, trial, params, learn, now)
        except OverTimeError:
            study.tell(trial, state=TrialState.FAIL)
            return tried


def _run(study: optuna.Study, trial: Trial, params: Params, learn: Learn, now: Callable[[], float]) -> None:
    begun, looks = now(), 0

    def look(loss: float) -> None:
        nonlocal looks
        looks += 1
        with _silent():
            trial.report(loss, looks)
        if trial.should_prune():
            raise _BehindError

    state, note = TrialState.COMPLETE, ""
    try:
        note = learn(trial.number, params, look)
    except _BehindError:
        state = TrialState.PRUNED
    except TrainingFailed as error:
        state, note = TrialState.PRUNED, error.what
        trial.set_user_attr("failed", True)
    trial.set_user_attr("seconds", round(now() - begun, 3))
    trial.set_user_attr("note", note)
    values = study.trials[trial.number].intermediate_values
    if state == TrialState.COMPLETE and not values:
        raise ValueError(f"trial {trial.number} learned without a look")
    study.tell(trial, values[max(values)] if state == TrialState.COMPLETE else None, state=state)


def _next(study: optuna.Study, storage: BaseStorage, settings: SearchPlan, seed: int) -> Trial:
    """Return the trial that was under way, else a new one."""
    trials = study.get_trials(deepcopy=False)
    under_way = [trial.number for trial in trials if trial.state == TrialState.RUNNING]
    number = under_way[0] if under_way else sum(trial.state != TrialState.WAITING for trial in trials)
    with _silent():
        # A sampler of its own for each trial: what it draws does not hang on what was drawn in this process.
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=settings.startup,
            multivariate=True,
            constant_liar=False,
            warn_independent_sampling=False,
            seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
        )
        if under_way:
            known = storage.get_study_id_from_name(NAME)
            return Trial(study, storage.get_trial_id_from_study_id_trial_number(known, number))
        return study.ask()


def _storage(file: Path) -> JournalStorage:
    class Held(JournalFileOpenLock):
        """No lock: the run folder is held against other processes already, and a lock outlives a killed one."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            return None

    if file.exists():
        # A line that a killed process left half-written was never said.
        whole = file.read_bytes()
        if not whole.endswith(b"\n"):
            file.write_bytes(whole[: whole.rfind(b"\n") + 1])
    with _silent():
        return JournalStorage(JournalFileBackend(str(file), Held(str(file))))


def _suggested(trial: Trial, name: str, knob: Knob) -> Any:
    if knob.choices:
        return trial.suggest_categorical(name, list(knob.choices))
    if isinstance(knob.low, int) and isinstance(knob.high, int):
        return trial.suggest_int(name, knob.low, knob.high)
    return trial.suggest_float(name, knob.low, knob.high, log=knob.log)


def tried_of(trials: Sequence[FrozenTrial]) -> list[Tried]:
    """Return the finished trials; those that time cut off do not count."""
    found = []
    for trial in trials:
        if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
            continue
        failed = bool(trial.user_attrs.get("failed"))
        state: Literal["complete", "pruned", "failed"] = "failed" if failed else "pruned"
        if trial.state == TrialState.COMPLETE:
            state = "complete"
        looks = [float(trial.intermediate_values[step]) for step in sorted(trial.intermediate_values)]
        seconds, note = float(trial.user_attrs.get("seconds", 0.0)), str(trial.user_attrs.get("note", ""))
        found.append(Tried(trial.number, state, dict(trial.params), looks, seconds, note))
    return found


def what_mattered(searches: Sequence[Sequence[Tried]], knobs: Mapping[str, Knob], *, seed: int) -> dict[str, float]:
    """Return the share of each setting in how the losses of finished trials differ; empty where too few tell.

    Of trials of several folds each loss is taken beside the mean of its fold's. The shares are those of a functional
    analysis of variance over a random forest (Hutter, Hoos and Leyton-Brown, ICML 2014).
    """
    rows: list[tuple[Params, float]] = []
    for tried in searches:
        whole = [(one.params, one.loss) for one in tried if one.state == "complete" and one.loss is not None]
        middle = float(np.mean([loss for _, loss in whole])) if whole else 0.0
        rows += [(params, loss - middle) for params, loss in whole]
    if len(rows) < FEWEST_FOR_IMPORTANCE or np.ptp([value for _, value in rows]) < RANGE:
        return {}
    with _silent():
        study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
        spaces = {name: _distribution(knob) for name, knob in knobs.items()}
        for params, value in rows:
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=spaces, value=value, state=TrialState.COMPLETE)
            )
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def _distribution(knob: Knob) -> BaseDistribution:
    if knob.choices:
        return CategoricalDistribution(list(knob.choices))
    if isinstance(knob.low, int) and isinstance(knob.high, int):
        return IntDistribution(knob.low, knob.high)
    return FloatDistribution(knob.low, knob.high, log=knob.log)


@contextmanager
def _silent() -> Iterator[None]:
    """Let Optuna say nothing: it logs every trial, and warns that a sampler of several settings is experimental."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
