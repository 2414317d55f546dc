"""Several targets of one table: when columns are that, and what of the options belongs to which.

Several columns are the labels of one multi-label question where all of them hold 0 and 1, as they always were. They are
several targets, each a question of its own, where they are not, or where an option speaks of a target by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from semeion.cohort.cohort import Cohort, CohortOptions
from semeion.cohort.decathlon import is_dataset
from semeion.cohort.question import known_text
from semeion.cohort.table import TABLES, read_table
from semeion.cohort.words import presence
from semeion.errors import InputError, nearest

MOSTLY = 0.9
"""Columns of which at least this share of each is 0 or 1 are labels of one question; the rest are slips."""
MOST = 12
"""Targets of one run."""


def targets_of(source: Path, options: CohortOptions) -> dict[str, CohortOptions]:
    """Return the options of each target where several are asked for; empty where it is one question.

    Parameters
    ----------
    source
        What a cohort is made of; several targets are columns of a table.
    options
        As the user gave them: ``tasks`` by target, and ``TARGET=`` before the values of ``positive`` and ``order`` or
        ``TARGET:`` before the codes of ``labels``.

    Returns
    -------
    dict
        By the target's name, in the order asked for. ``beside`` of each names the others, whose cases it may lack.

    Raises
    ------
    InputError
        When an option does not say of which target it speaks, or speaks of none.
    """
    named = _columns(source, options)
    if named is None:
        return {}
    if len(named) < 2:
        if options.tasks:
            _refuse_tasks_of_one(options, named)
        return {}
    explicit = bool(options.tasks) or _speaks(options, named)
    if options.task is not None:
        if options.task != "multilabel" and len(named) > 1:
            each = ",".join(f"{name}={options.task}" for name in named)
            raise InputError(
                f"--task {options.task} does not say of which target, and {len(named)} are named",
                fix=f"write --task {each}; or --task multilabel when the columns are labels of 0 and 1",
            )
        return {}
    if not explicit and _labels_of_one(source, named):
        return {}
    if len(named) > MOST:
        raise InputError(
            f"{len(named)} targets are named, and one run has at most {MOST}",
            where="--target",
            fix="name fewer, or --task multilabel when the columns are labels of 0 and 1",
        )
    _refuse_impossible(options, named)
    positive, order, labels = _positive(options, named), _order(options, named), labels_of(options, named)
    return {
        name: replace(
            options,
            target=name,
            task=options.tasks.get(name),
            tasks={},
            positive=positive.get(name),
            order=order.get(name, ()),
            labels=labels.get(name, {}),
            beside=tuple(other for other in named if other != name),
        )
        for name in named
    }


def folder_names(names: list[str]) -> dict[str, str]:
    """Return the folder of each target below a run or model: its name, with what is not portable replaced."""
    found: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or f"target-{number}"
        taken = {one.lower() for one in found.values()}
        own = plain
        while own.lower() in taken:
            own, number = f"{plain}-{number}", number + 1
        found[name] = own
    return found


def refuse_several(source: Path, options: CohortOptions, what: str) -> None:
    """Refuse several targets where only one can be.

    Parameters
    ----------
    what
        Who refuses, for example ``a learning curve``.

    Raises
    ------
    InputError
        Naming the targets.
    """
    found = targets_of(source, options)
    if found:
        raise InputError(
            f"{what} is of one target, and {len(found)} are named ({', '.join(found)})",
            where="--target",
            fix=f"name one, for example --target {next(iter(found))}",
        )


def with_known(cohort: Cohort, beside: Iterable[str]) -> Cohort:
    """Return the cases whose target is known; those without it serve the targets `beside`, and the flow says so."""
    lacking = cohort.table[list(cohort.target.columns)].isna().all(axis=1)
    others = tuple(beside)
    if not others or not lacking.any():
        return cohort
    count, name = int(lacking.sum()), cohort.target.name
    serve = "the other target" if len(others) == 1 else "other targets"
    who = f"1 case without {name} serves" if count == 1 else f"{count} cases without {name} serve"
    reason = f"{who} {serve} alone ({', '.join(others)})"
    kept = cohort.without(set(cohort.table.loc[lacking, "case_id"]), f"with {name}", reason)
    return replace(kept, notes=(*kept.notes, f"{reason}."))


def lacked(table: pd.DataFrame, options: CohortOptions) -> pd.Series[bool]:
    """Return which rows may lack the target, since another target of the run is known of them."""
    serves = pd.Series(False, index=table.index)
    for name in options.beside:
        if name in table:
            serves |= known_text(table[name]).notna()
    return serves


def _columns(source: Path, options: CohortOptions) -> tuple[str, ...] | None:
    """Return the columns that the target names; None where a name is wrong, which is told with all else that is."""
    if options.target is None or "," not in options.target or not source.is_file() or is_dataset(source):
        return () if options.target is None else (options.target,)
    if source.suffix.lower() not in TABLES:
        return (options.target,)
    columns = [str(name) for name in read_table(source)[0].columns]
    if options.target in columns:
        return (options.target,)
    names = tuple(dict.fromkeys(name.strip() for name in options.target.split(",") if name.strip()))
    return names if all(name in columns for name in names) else None


def _labels_of_one(source: Path, named: tuple[str, ...]) -> bool:
    table = read_table(source)[0]
    shares = []
    for name in named:
        known = known_text(table[name]).dropna()
        shares.append(float(known.map(presence).notna().mean()) if len(known) else 1.0)
    return min(shares) >= MOSTLY


def _speaks(options: CohortOptions, named: tuple[str, ...]) -> bool:
    """Tell whether an option speaks of a target by its name."""
    texts = [*([] if options.positive is None else options.positive.split(",")), *options.order]
    return any(_split(text, "=", named) for text in texts) or any(_split(code, ":", named) for code in options.labels)


def _split(text: str, sign: str, named: Iterable[str]) -> tuple[str, str] | None:
    """Return target and rest of ``target=rest``; None where the text begins with no target's name."""
    for name in sorted(named, key=len, reverse=True):
        if text.strip().startswith(f"{name}{sign}"):
            return name, text.strip()[len(name) + 1 :].strip()
    return None


def _refuse_tasks_of_one(options: CohortOptions, named: tuple[str, ...]) -> None:
    told = ", ".join(f"{name}={task}" for name, task in options.tasks.items())
    only = options.tasks.get(named[0]) if named else None
    raise InputError(
        f"--task {told} speaks of targets by their names, and "
        + (f"the target is {named[0]!r} alone" if named else "--target names no columns of a table"),
        fix=f"write --task {only}" if only else "name every target with --target a,b, or write --task without names",
    )


def _refuse_impossible(options: CohortOptions, named: tuple[str, ...]) -> None:
    """Refuse tasks of what is no target, and tasks that are no part of a run of several."""
    for name, task in options.tasks.items():
        if name not in named:
            raise InputError(
                f"--task speaks of {name!r}, which is no target{nearest(name, named)}",
                fix=f"the targets are {', '.join(named)}",
            )
        if task in ("multilabel", "segmentation"):
            raise InputError(
                f"{name!r} is to be a {task} target beside others, which one run does not learn",
                where="--task",
                fix=f"train {name} in a run of its own, with --target {name} --task {task}",
            )
    masks = [name for name in named if name == "mask" or name.startswith("mask.")]
    if masks:
        raise InputError(
            f"{masks[0]!r} holds masks, and one run does not segment and diagnose",
            where="--target",
            fix=f"train {masks[0]} in a run of its own",
        )
    both = [name for name in options.covariates if name in named]
    if both:
        raise InputError(
            f"{both[0]!r} is a target and also an input (--covariates)",
            where="--covariates",
            fix="leave it out there, or do not name it a target: an answer must not be an input",
        )
    for option, given in (("--weight", options.weight), ("--raters", options.raters)):
        if given:
            raise InputError(
                f"{option} speaks of one target, and {len(named)} are named",
                fix=f"leave {option} out, or train each target in a run of its own",
            )
    if options.structures:
        raise InputError(
            f"a diagnosis from measurements is of one target, and {len(named)} are named",
            where="--structures",
            fix="leave --structures out, or train each target in a run of its own",
        )


def _no_target(option: str, text: str, named: tuple[str, ...], example: str) -> InputError:
    said = text.partition("=")[0].strip()
    hint = nearest(said, named) if "=" in text else ""
    return InputError(
        f"{option} {text!r} does not say of which target{hint}",
        fix=f"the targets are {', '.join(named)}: write for example {option} {example}",
    )


def _positive(options: CohortOptions, named: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in [] if options.positive is None else options.positive.split(","):
        split = _split(part, "=", named)
        if split is None:
            raise _no_target("--positive", part, named, f"{named[0]}={part.rpartition('=')[2].strip()}")
        if split[0] in found:
            raise InputError(f"--positive names two classes of {split[0]!r}", fix="name one of each target")
        found[split[0]] = split[1]
    return found


def _order(options: CohortOptions, named: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the grades of each target of ``grade=low,mid,high,stage=1,2,3``: a name begins a new list."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for part in options.order:
        split = _split(part, "=", named)
        if split is not None:
            if split[0] in found:
                raise InputError(f"--order orders {split[0]!r} twice", fix="order each target once")
            current = found[split[0]] = [split[1]]
        elif current is None:
            raise _no_target("--order", part, named, f"{named[-1]}={','.join(options.order)}")
        else:
            current.append(part)
    return {name: tuple(grades) for name, grades in found.items()}


def labels_of(options: CohortOptions, named: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return the names of the codes of each target of ``{"grade:1": "low", "type:0": "benign"}``.

    Raises
    ------
    InputError
        When a code does not begin with a target and ``:``.
    """
    found: dict[str, dict[str, str]] = {}
    for code, label in options.labels.items():
        split = _split(code, ":", named)
        if split is None:
            raise _no_target("--labels", f"{code}={label}", named, f"{named[0]}:{code}={label}")
        found.setdefault(split[0], {})[split[1]] = label
    return found


def given_tasks(tasks: Mapping[str, str], known: Iterable[str]) -> Mapping[str, str]:
    """Return the tasks of targets; refuse any that there is not.

    Raises
    ------
    InputError
        Naming the first, and all that there are.
    """
    every = tuple(known)
    for name, task in tasks.items():
        if task not in every:
            raise InputError(
                f"unknown task {task!r} of {name!r}{nearest(task, every)}",
                where="--task",
                fix=f"use one of {', '.join(every)}",
            )
    return tasks
