"""Classification of one column: which classes there are, their order, and the positive one."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.problems import Problems, listed
from semeion.cohort.question import Question, codes_of, in_order, renamed
from semeion.cohort.words import near_misses, sense
from semeion.errors import nearest

MANY = 10
"""More distinct numbers than this are measurements, fewer are codes of classes."""


def classes(
    known: pd.Series[str], texts: pd.Series[str], options: CohortOptions, problems: Problems
) -> Question | None:
    """Make a binary, multi-class or ordinal target."""
    name = str(texts.name)
    codes = codes_of(known)
    named = renamed(codes, options.labels, name, problems)
    counts = {str(label): int(count) for label, count in named.value_counts().items()}
    if not _plausible(named, counts, name, options, problems):
        return None
    # With names for codes, the codes' order is the classes' order.
    order = list(dict.fromkeys(options.labels.get(code, code) for code in in_order(sorted(set(codes)))))
    if options.task == "ordinal" or (options.task is None and options.order):
        target = _ordinal(name, order, options, problems)
    elif options.task == "multiclass" or (options.task is None and len(counts) > 2):
        how = "as asked by --task" if options.task else f"column {name!r} holds {len(counts)} classes"
        target = Target(name, "multiclass", tuple(order), why=f"The task is multi-class: {how}.")
    elif len(counts) > 2:
        problems.add(
            f"--task binary, and {name} holds {len(counts)} classes ({listed(order)})",
            "merge classes with --labels code=name, or use --task multiclass",
        )
        return None
    else:
        target = _binary(name, order, counts, options, problems)
    if target is None:
        return None
    position = {label: float(index) for index, label in enumerate(target.classes)}
    truth = named.map(position).astype(np.float64).reindex(texts.index)
    return Question(target, pd.DataFrame({"y": truth}))


def _plausible(
    named: pd.Series[str], counts: dict[str, int], name: str, options: CohortOptions, problems: Problems
) -> bool:
    """Refuse one class, names in place of classes, and misspelt labels."""
    if len(counts) < 2:
        problems.add(f"every case is {next(iter(counts))!r}: {name} has one class only", "add cases of the other class")
        return False
    if options.task is None and len(counts) > max(MANY, len(named) / 2):
        problems.add(
            f"{name} holds {len(counts)} different values in {len(named)} cases, which are no classes",
            "name another --target, or say --task multiclass",
        )
        return False
    meant = (*options.labels.values(), *options.order)
    pairs = near_misses(counts, meant)
    for wrong, right in pairs:
        rows = listed(named.index[named == wrong], str(named.index.name or "row"))
        problems.add(
            f"{name} {wrong!r} in {rows} ({counts[wrong]} of {len(named)} cases) is probably {right!r} misspelt",
            f"correct it, or say what it means with --labels {wrong!r}=NAME",
        )
    return not pairs


def _ordinal(name: str, found: list[str], options: CohortOptions, problems: Problems) -> Target | None:
    """Order grades: as named, else by the number they end in."""
    if options.order:
        named = [options.labels.get(label, label) for label in options.order]
        unknown = [label for label in named if label not in found]
        lacking = [label for label in found if label not in named]
        for label in unknown:
            problems.add(f"--order names {label!r}, which no case has{nearest(label, found)}", f"order {listed(found)}")
        if lacking:
            problems.add(f"--order leaves out {listed(map(repr, lacking))}", "name every grade, from lowest to highest")
        if len(set(named)) < len(named):
            problems.add("--order names a grade twice", "name every grade once")
        if unknown or lacking or len(set(named)) < len(named):
            return None
        how = "as named by --order" if options.task else "because --order names an order"
        return Target(name, "ordinal", tuple(named), why=f"The task is ordinal, {how}: {' < '.join(named)}.")
    stems = {re.sub(r"\d+(\.\d+)?$", "", label).strip().lower() for label in found}
    if len(stems) != 1 or not all(re.search(r"\d$", label) for label in found):
        problems.add(
            f"the order of the grades {listed(map(repr, found))} cannot be known",
            f"name it from lowest to highest with --order{f' {name}=LOWEST,...' if options.beside else ''}",
        )
        return None
    return Target(
        name, "ordinal", tuple(found), why=f"The task is ordinal, as asked; grades by number: {' < '.join(found)}."
    )


def _binary(
    name: str, found: list[str], counts: dict[str, int], options: CohortOptions, problems: Problems
) -> Target | None:
    """Choose the positive class."""
    how = "as asked by --task" if options.task else f"column {name!r} holds two classes"
    if options.positive is not None:
        positive = options.labels.get(options.positive, options.positive)
        if positive not in found:
            problems.add(
                f"--positive {options.positive!r} is no class of {name}{nearest(positive, found)}",
                f"choose {' or '.join(map(repr, found))}",
            )
            return None
        why = "as asked by --positive"
    else:
        positive, why = infer_positive(found, counts)
        why += " (--positive names another)"
    negative = found[0] if positive == found[1] else found[1]
    sentence = f"The task is binary: {how}; {positive!r} is the positive class, {why}."
    return Target(name, "binary", (negative, positive), positive, sentence)


def infer_positive(found: list[str], counts: Mapping[str, int]) -> tuple[str, str]:
    """Return which of two classes is positive and why: by its name, else the rarer one."""
    # A 1 beside a 0 is a yes; a 1 beside a 2 says nothing.
    senses = {label: 0 if label.isdigit() and not {"0", "1"} >= set(found) else sense(label) for label in found}
    first, second = found
    if senses[first] != senses[second]:
        positive = max(found, key=lambda label: senses[label])
        other = second if positive == first else first
        if senses[positive] == 1:
            return positive, "because its name says a disease or a yes"
        return positive, f"because {other!r} names the healthy or negative one"
    if counts[first] == counts[second]:
        return second, "being the last by name of two equally frequent classes"
    return min(found, key=lambda label: counts[label]), "being the rarer one"
