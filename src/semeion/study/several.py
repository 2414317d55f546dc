"""Several targets of one cohort in one run: read once, divided once, prepared once; each then goes the road of its own.

Every target is a run of its own in ``targets/<name>``, with its plan, members, evidence, report and model, so that all
that can be done with a run can be done with it. What they share stands above: the scan of all cases, the folds, the
prepared images, the time. At the end the results are joined.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import read_json, whole_file, whole_folder, write_json
from semeion.audit.copies import find_copies, with_copies
from semeion.audit.copy_search import copies_among
from semeion.cohort.cohort import Cohort, CohortOptions, read_cohort, write_cohort
from semeion.cohort.gather import gather
from semeion.cohort.several import folder_names, targets_of, with_known
from semeion.errors import InputError, Interrupted
from semeion.plan.files import read_plan
from semeion.plan.recipes import FrozenRecipe
from semeion.plan.rules import DEFAULT_BUDGET
from semeion.plan.schema import Plan
from semeion.prepare.store import Store
from semeion.progress import Progress
from semeion.study.accounting import accounted
from semeion.study.clock import Clock
from semeion.study.covariates import refuse_covariates
from semeion.study.facts import read_everything
from semeion.study.folder import SEVERAL, RunFolder, read_run_state
from semeion.study.inspect import Inspected, inspected, keep_inspected, labels, refuse_bad_images, refuse_void
from semeion.study.members.frozen import features_graph, layers_file
from semeion.study.options import RunOptions
from semeion.study.preparing import prepared_cases
from semeion.study.set_words import refuse_sets
from semeion.study.several_plans import budget_of_all, budget_share, keep_plans, share_of
from semeion.study.weighing import Audited

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Gathered:
    """All cases of several targets, and those of each.

    Attributes
    ----------
    everyone, facts
        The cases of which any target is known, and their scan; their ``y`` is the first target's, NaN where not known.
    seen
        Of each target the cases of which it is known, inspected.
    """

    everyone: Cohort
    facts: pd.DataFrame
    seen: dict[str, Inspected]


def refuse_unable(options: RunOptions, asked: Mapping[str, CohortOptions]) -> None:
    """Refuse what only one target can have.

    Raises
    ------
    InputError
        Naming the option.
    """
    for option, given in (
        ("--by", options.by),
        ("--unlabelled", options.unlabelled),
        ("--network", options.network),
        ("--cluster", options.cluster),
        ("--with-images", options.with_images),
        ("--measure", options.measure),
        ("--ship distilled", options.ship == "distilled"),
        ("--ship-neighbours", options.ship_neighbours),
    ):
        if given:
            raise InputError(
                f"{option} is of one target, and {len(asked)} are named ({', '.join(asked)})",
                fix=f"leave {option} out, or train each target in a run of its own",
            )
    if options.plan is not None and not Path(options.plan).is_dir():
        raise InputError(
            f"several targets ({', '.join(asked)}) have a plan each, and this is one file",
            where="--plan",
            fix="give the folder that `semeion plan` wrote for these targets",
        )


def asked_targets(run: RunFolder, source: Path, options: RunOptions) -> dict[str, CohortOptions]:
    """Return the options of each target of a run, as they were when it was begun; empty where it has one."""
    if (run / SEVERAL).exists():
        held = read_json(run / SEVERAL)["targets"]
        return {one["name"]: RunOptions.from_json(one["options"]).cohort for one in held}
    return targets_of(source, options.cohort)


def gather_targets(
    source: Path, options: RunOptions, asked: Mapping[str, CohortOptions], progress: Progress
) -> Gathered:
    """Gather every target, read every image once, look for copies once, and audit each target's cases.

    Raises
    ------
    InputError
        When the source cannot be understood, images cannot be read, or a result would be void.
    """
    remarks = options.remarks
    cohorts = {}
    for name, own in asked.items():
        cohort = gather(source, own)
        synthetic = cohort.synthetic or options.synthetic
        cohorts[name] = replace(cohort, synthetic=synthetic, notes=(*cohort.notes, *remarks))
    everyone = next(iter(cohorts.values()))
    facts = read_everything(everyone, jobs=options.jobs, progress=progress)
    copies = find_copies(everyone, facts, jobs=options.jobs, progress=progress)
    facts = with_copies(facts, copies.groups)
    ids = everyone.table["case_id"].astype(str)
    seen = {}
    for name, own in asked.items():
        known = with_known(cohorts[name], own.beside)
        rows = np.flatnonzero(ids.isin(known.table["case_id"].astype(str)))
        among = copies_among(copies, rows, len(ids))
        seen[name] = inspected(known, facts.iloc[rows].reset_index(drop=True), among, everyone)
        refuse_bad_images(seen[name], skip_bad=options.skip_bad)
    usable = (facts["status"] == "ok").to_numpy()
    kept = replace(everyone, table=everyone.table[usable].reset_index(drop=True))
    for name, one in seen.items():
        _named(name, lambda one=one: _refuse(one, options))
    return Gathered(kept, facts[usable].reset_index(drop=True), seen)


def _refuse(seen: Inspected, options: RunOptions) -> None:
    refuse_void(seen.audits, options.accept)
    refuse_covariates(seen.cohort, None)
    refuse_sets(seen.cohort, options)


def _named(name: str, check: Any) -> None:
    """Call a check, and say of which target it speaks."""
    try:
        check()
    except InputError as error:
        raise InputError(
            f"target {name!r}: {error.what}", where=error.where, fix=error.fix, details=error.details
        ) from error


def go_several(
    run: RunFolder,
    source: Path,
    options: RunOptions,
    asked: Mapping[str, CohortOptions],
    clock: Clock,
    progress: Progress,
) -> None:
    """Go the road of every target, one after another, and join what came of them.

    Each target has a share of the time that is left when its turn comes, as the plans share it out, which is evenly
    where they were not edited. An interrupted run goes on in the target that was under way; finished ones are left as
    they are.

    Raises
    ------
    InputError
        When the input is refused, which is before anything is learned.
    Interrupted
        When the user stopped it; where every target has a model, the results are joined before.
    """
    from semeion.study.several_join import join_targets

    runs = _keep_gathered(run, source, options, asked, progress)
    clock.budget = _planned(run, runs, options, clock, progress)
    store = _prepared(run, runs, options, progress)
    names = list(runs)
    planned = [read_plan(own / "plan.yaml").budget.seconds or 0.0 for own in runs.values()]
    stopped = None
    for number, (name, own) in enumerate(runs.items()):
        state = read_run_state(own.path)
        if state["finished"]:
            continue
        progress.say(f"target {number + 1} of {len(runs)}: {name}")
        left = clock.left()
        share = None if left is None else share_of(left, planned[number:])
        try:
            _go_one(own, state, share, store, options, progress, [runs[before] for before in names[:number]])
        except Interrupted as error:
            stopped = error
            break
    shipped = [name for name, own in runs.items() if (own / "evidence.json").exists()]
    if len(shipped) == len(runs):
        join_targets(run, runs, clock, progress)
    elif stopped is not None and shipped:
        told = f"of {len(runs)} targets these are weighed and shipped so far, in targets/: {', '.join(shipped)}"
        raise Interrupted(f"stopped by the user; {told}") from stopped
    if stopped is not None:
        raise stopped


def _go_one(
    own: RunFolder,
    state: dict[str, Any],
    share: float | None,
    store: Store,
    options: RunOptions,
    progress: Progress,
    done: list[RunFolder],
) -> None:
    """Go the road of one target within its share of the time; `done` are the targets before it."""
    from semeion.study.road import learn_images, sides_of

    used = float(state["seconds_used"])
    clock = Clock(None if share is None else used + share, used)
    with accounted(own, state, clock):
        cohort, facts = read_cohort(own / "cohort.parquet"), pd.read_parquet(own / "scan.parquet")
        plan = read_plan(own / "plan.yaml")
        if share is not None:
            plan.budget.seconds = clock.budget
        clock.budget = plan.budget.seconds
        y, parts = labels(cohort), sides_of(cohort, facts, plan)
        mine = own_store(own, store, cohort, facts, plan, options, progress)
        for before in done:
            hand_on_features(before, own)
        audited = Audited(**read_json(own / "audits.json"))
        learn_images(own, plan, mine, y, parts, None, cohort, facts, audited, options, clock, progress)
        state["finished"] = True


def _keep_gathered(
    run: RunFolder, source: Path, options: RunOptions, asked: Mapping[str, CohortOptions], progress: Progress
) -> dict[str, RunFolder]:
    """Make the runs of the targets, with their cases, scans and audits; what is there already is left."""
    folders = folder_names(list(asked))
    runs = {name: RunFolder(run / "targets" / folder) for name, folder in folders.items()}
    if (run / SEVERAL).exists():
        return runs
    shutil.rmtree(run / "targets", ignore_errors=True)
    found = gather_targets(source, options, asked, progress)
    held = []
    for name, own in runs.items():
        seen = found.seen[name]
        mine = replace(options, cohort=asked[name], plan=None, budget=None)
        own.begin(source, mine)
        own.write_state({**read_run_state(own.path), "part_of": "several targets"})
        if options.intended_use is not None:
            shutil.copy(run / "intended_use.yaml", own / "intended_use.yaml")
        keep_inspected(own.path, seen, refuse_void(seen.audits, options.accept))
        held.append({"name": name, "folder": folders[name], "options": mine.to_json()})
        for audit in (one for one in seen.audits.values() if one.verdict in ("void", "warn")):
            progress.say(f"{name}: {audit.verdict}: {audit.name}: {audit.advice}")
    write_cohort(found.everyone, run / "targets" / "cohort.parquet")
    with whole_file(run / "targets" / "scan.parquet") as temporary:
        found.facts.to_parquet(temporary, index=False)
    write_json(run / SEVERAL, {"schema": 1, "targets": held})
    return runs


def _everyone(run: RunFolder) -> tuple[Cohort, pd.DataFrame]:
    return read_cohort(run / "targets" / "cohort.parquet"), pd.read_parquet(run / "targets" / "scan.parquet")


def _planned(
    run: RunFolder,
    runs: Mapping[str, RunFolder],
    options: RunOptions,
    clock: Clock,
    progress: Progress,
) -> float | None:
    """Plan every target and draw the folds, where that is not done; return the budget in seconds."""
    if any(not (own / "plan.yaml").exists() for own in runs.values()):
        everyone, facts = _everyone(run)
        share = budget_share(everyone, options, clock.used(), len(runs))
        with budget_of_all(options, share, len(runs)):
            keep_plans(run, runs, everyone, facts, replace(options, budget=share), progress)
    plans = [read_plan(own / "plan.yaml") for own in runs.values()]
    seconds = [plan.budget.seconds for plan in plans]
    if options.budget is not None:
        return options.budget
    if options.plan is None:
        return DEFAULT_BUDGET
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None


def _prepared(run: RunFolder, runs: Mapping[str, RunFolder], options: RunOptions, progress: Progress) -> Store:
    """Return the prepared images of all cases."""
    everyone, facts = _everyone(run)
    plan = read_plan(next(iter(runs.values())) / "plan.yaml")
    return prepared_cases(run, everyone, facts, plan, options, progress)


def own_store(
    own: RunFolder,
    whole: Store,
    cohort: Cohort,
    facts: pd.DataFrame,
    plan: Plan,
    options: RunOptions,
    progress: Progress,
) -> Store:
    """Return the store of one target: links to the shards of all where it has every case, else its cases' arrays."""
    ids = pd.read_parquet(whole.folder / "index.parquet", columns=["case_id"])["case_id"].astype(str).tolist()
    mine = cohort.table["case_id"].astype(str).tolist()
    folder = own / "store"
    if mine == ids and not (folder / "index.parquet").exists():
        # Whole or not at all: an half a shard would be taken for a whole one.
        with whole_folder(folder) as temporary:
            shutil.copytree(whole.folder, temporary, copy_function=_linked, dirs_exist_ok=True)
    place = {name: row for row, name in enumerate(ids)}
    notes = whole.notes()

    def taken(row: int) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
        at = place[mine[row]]
        return whole.take(np.array([at], dtype=np.int64))[0], notes[at]

    return prepared_cases(own, cohort, facts, plan, options, progress, taken=taken)


def _linked(source: str, target: str) -> None:
    """Give a file a second name, or copy it where the file system has no such names."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def hand_on_features(done: RunFolder, own: RunFolder) -> None:
    """Give a target the frozen features that another one's cases have already, where both take the same ones."""
    from semeion.learn.frozen import hand_on

    before, plan = read_plan(done / "plan.yaml"), read_plan(own / "plan.yaml")
    for name, recipe in plan.recipes.items():
        graph = features_graph(done, name)
        same = isinstance(recipe, FrozenRecipe) and before.recipes.get(name) == recipe
        if not same or before.images != plan.images or not graph.exists() or features_graph(own, name).exists():
            continue
        features_graph(own, name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(layers_file(done, name), layers_file(own, name))
        hand_on(graph, _ids(done), features_graph(own, name), _ids(own), own / "store")


def _ids(run: RunFolder) -> list[str]:
    return [str(one) for one in read_cohort(run / "cohort.parquet").table["case_id"]]
