"""What another tool's truths and probabilities mean: the classes, which column is whose, which class is positive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from semeion.errors import InputError, nearest
from semeion.evidence.foreign.columns import Named, family, listed
from semeion.evidence.foreign.values import codes_of, rows_of
from semeion.naming import decode_class

_PAIRS = (
    ("0", "1"), ("-1", "1"), ("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"), ("absent", "present"),
    ("negative", "positive"), ("neg", "pos"), ("-", "+"),
)  # fmt: skip
"""Codes that say by themselves which of the two is the yes."""


@dataclass(frozen=True)
class Vocabulary:
    """Words that the caller knows; this package knows no language.

    Attributes
    ----------
    sense
        1 for the name of a disease or a yes, -1 for a healthy or benign one, 0 for neither.
    presence
        1.0 or 0.0 for a cell that says present or absent, None for neither.
    splits
        What splits are called, in lower case, to ``train``, ``val`` or ``test``.
    missing
        How people write that a value is not known, in lower case.
    """

    sense: Callable[[str], int] = lambda _: 0
    presence: Callable[[str], float | None] = lambda text: {"0": 0.0, "1": 1.0}.get(text)
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "val": "val", "test": "test"})
    missing: frozenset[str] = frozenset(("", "nan"))


@dataclass(frozen=True)
class Classes:
    """The classes in the order of the probabilities, and the truth of each row by name.

    With one column of probabilities `columns` holds it alone, and it is of `positive`. `why` says how that was known.
    """

    names: tuple[str, ...]
    truth: pd.Series[str]
    positive: str | None
    why: str


def understand_classes(
    truth: pd.Series[str], columns: Sequence[str], named: Named, vocabulary: Vocabulary, where: str
) -> Classes:
    """Match the truth of one target with its columns of probabilities.

    Parameters
    ----------
    truth
        Text, nothing missing; the index numbers the table's rows.
    columns
        One column, the probability of the positive class, or one for each class.
    named
        ``positive``, ``labels`` and ``task`` are used.
    vocabulary, where
        Words, and the table's name.

    Raises
    ------
    InputError
        When a truth matches no class, when nothing says of which class the one probability is, or when the task does
        not fit the number of classes.
    """
    codes = codes_of(truth)
    labels = {str(code): name for code, name in named.labels.items()}
    unknown = [code for code in labels if code not in set(codes)]
    if labels and len(unknown) == len(labels) and not set(codes) & set(labels.values()):
        raise InputError(
            f"--labels names {listed(map(repr, labels))}, and {truth.name} holds "
            f"{listed(map(repr, sorted(codes.unique())))}",
            where=where,
            fix="name the codes that stand in the column",
        )
    if len(columns) == 1:
        return _one_column(codes, columns[0], labels, named, vocabulary, where)
    return _several_columns(codes, columns, labels, named, vocabulary, where)


def stems(columns: Sequence[str]) -> list[list[str]]:
    """Return what columns may name, the likeliest first: what follows a known prefix, a common one, or all of it."""
    found: list[list[str]] = []
    families = [family(name) for name in columns]
    if all(families):
        found.append([_decoded(one[1]) for one in families if one is not None])
    found.append(list(columns))
    for separator in "_. -":
        parts = [name.partition(separator) for name in columns]
        if len({head for head, _, _ in parts}) == 1 and all(tail for _, _, tail in parts):
            found.append([_decoded(tail) for _, _, tail in parts])
        ends = [name.rpartition(separator) for name in columns]
        if len({tail for _, _, tail in ends}) == 1 and all(head for head, _, _ in ends):
            found.append([_decoded(head) for head, _, _ in ends])
    return [names for names in found if len(set(names)) == len(names)]


def _one_column(
    codes: pd.Series[str], column: str, labels: Mapping[str, str], named: Named, vocabulary: Vocabulary, where: str
) -> Classes:
    truth = codes.map(lambda code: labels.get(code, code)).astype("str")
    found = sorted(str(name) for name in truth.unique())
    flag = "name the class that the probability is of with --positive"
    if named.task not in (None, "binary") or len(found) > 2:
        what = f"{truth.name} holds {len(found)} classes ({listed(found)})" if len(found) > 2 else f"task {named.task}"
        raise InputError(
            f"{what}, and {column!r} is one column of probabilities",
            where=where,
            fix="name one column a class with --probability p_a,p_b,p_c, or merge classes with --labels code=name",
        )
    positive, why = _positive_of(codes, found, column, labels, named, vocabulary, where)
    if positive is None:
        raise InputError(f"{column!r} is the probability of {why}", where=where, fix=flag)
    negative = next((name for name in found if name != positive), None) or _other(positive, labels)
    return Classes((negative, positive), truth, positive, f"{column!r} is the probability of {positive!r}: {why}.")


def _positive_of(
    codes: pd.Series[str],
    found: Sequence[str],
    column: str,
    labels: Mapping[str, str],
    named: Named,
    vocabulary: Vocabulary,
    where: str,
) -> tuple[str | None, str]:
    """Return the class that one column of probabilities is of, and why; None and why it is not known."""
    known = list(dict.fromkeys([*found, *labels.values()]))
    of = family(column)
    stem = _decoded(of[1]) if of is not None else ""
    called = labels.get(stem, stem) if labels.get(stem, stem) in known else None
    if named.positive is not None:
        positive = labels.get(named.positive, named.positive)
        # Of one class alone the other may be named; a slip of the pen would turn every figure upside down.
        if positive not in known and (len(known) >= 2 or nearest(positive, known)):
            raise InputError(
                f"--positive {named.positive!r} is no class{nearest(positive, known)}",
                where=where,
                fix=f"choose {' or '.join(map(repr, known))}",
            )
        if called is not None and called != positive:
            raise InputError(
                f"--positive {named.positive!r}, and {column!r} is by its name the probability of {called!r}",
                where=where,
                fix=f"say --positive {called}, or give the other probability",
            )
        return positive, "as asked by --positive"
    if called is not None:
        return called, "as the column is called"
    senses = _senses(known, vocabulary)
    by_name = max(known, key=lambda name: senses[name]) if len(set(senses.values())) > 1 else None
    by_code = _yes_of(codes, labels)
    if by_code is not None:
        if labels and by_name is not None and by_name != by_code:
            # MedMNIST codes malignant as 0: a probability of class 1 would then be of the benign one.
            return None, f"either {by_name!r}, by its name, or {by_code!r}, by its code"
        return by_code, "by its code"
    if by_name is not None and len(known) == 2:
        return by_name, "by its name (--positive names another)"
    if len(known) == 1 and senses[known[0]]:
        return (known[0] if senses[known[0]] > 0 else f"not {known[0]}"), "by the name of the only class"
    return None, f"one class, and nothing says of which ({listed(map(repr, known))})"


def _senses(names: Sequence[str], vocabulary: Vocabulary) -> dict[str, int]:
    """Return what names say; a 1 beside a 0 is a yes, and beside a 2 it says nothing."""
    return {name: 0 if name.isdigit() and not set(names) <= {"0", "1"} else vocabulary.sense(name) for name in names}


def _yes_of(codes: pd.Series[str], labels: Mapping[str, str]) -> str | None:
    """Return the class whose code says yes, where the codes (or those of ``--labels``) are such a pair."""
    present = {str(code): str(code).lower() for code in [*codes.unique(), *labels]}
    for no, yes in _PAIRS:
        if present and set(present.values()) <= {no, yes}:
            name = next((code for code, low in present.items() if low == yes), None)
            return labels.get(name, name) if name is not None else _cased(yes, present)
    return None


def _cased(word: str, like: Mapping[str, str]) -> str:
    """Return a word in the case of its counterpart: ``Yes`` beside ``No``."""
    one = next(iter(like))
    return word.capitalize() if one[:1].isupper() and not one.isupper() else word.upper() if one.isupper() else word


def _other(positive: str, labels: Mapping[str, str]) -> str:
    """Return the name of a negative class that no case has."""
    named = [name for name in dict.fromkeys(labels.values()) if name != positive]
    if len(named) == 1:
        return named[0]
    low = positive.lower()
    counterpart = next((no for no, yes in _PAIRS if low == yes), None)
    if counterpart is not None:
        return _cased(counterpart, {positive: low})
    return positive.removeprefix("not ") if positive.startswith("not ") else f"not {positive}"


def _several_columns(
    codes: pd.Series[str],
    columns: Sequence[str],
    labels: Mapping[str, str],
    named: Named,
    vocabulary: Vocabulary,
    where: str,
) -> Classes:
    truth = codes.map(lambda code: labels.get(code, code)).astype("str")
    found = [str(name) for name in truth.unique()]
    options = [tuple(labels.get(stem, stem) for stem in names) for names in stems(columns)]
    options = [names for names in options if len(set(names)) == len(names)]
    names = next((names for names in options if set(found) <= set(names)), None)
    if names is None:
        shown = max(options, key=lambda names: len(set(names) & set(found))) if options else tuple(columns)
        lost = next(name for name in found if name not in shown)
        raise InputError(
            f"{truth.name} {lost!r} in {rows_of(truth.index, (truth == lost).to_numpy())} matches no column of "
            f"probabilities (classes {listed(map(repr, shown))}){nearest(lost, shown)}",
            where=where,
            fix=f"name the codes with --labels {lost}=CLASS, or name one column a class with --probability",
        )
    task = named.task or ("binary" if len(names) == 2 else "multiclass")
    if task == "binary" and len(names) != 2:
        raise InputError(
            f"--task binary, and there are {len(names)} columns of probabilities",
            where=where,
            fix="name one with --probability, or use --task multiclass",
        )
    if task != "binary":
        if named.positive is not None:
            raise InputError(
                f"--positive {named.positive!r} needs a binary target, and this one is {task}",
                where=where,
                fix="leave --positive out",
            )
        order = ", from lowest to highest as the columns stand" if task == "ordinal" else ""
        return Classes(names, truth, None, f"One column of probabilities a class ({listed(names)}){order}.")
    positive, why = _positive_of_two(codes, names, labels, named, vocabulary, where)
    return Classes(names, truth, positive, f"One column of probabilities a class; {positive!r} is positive: {why}.")


def _positive_of_two(
    codes: pd.Series[str],
    names: tuple[str, ...],
    labels: Mapping[str, str],
    named: Named,
    vocabulary: Vocabulary,
    where: str,
) -> tuple[str, str]:
    """Return which of two classes figures are of. Both have a column, so no figure can come out upside down."""
    if named.positive is not None:
        positive = labels.get(named.positive, named.positive)
        if positive not in names:
            raise InputError(
                f"--positive {named.positive!r} is no class{nearest(positive, names)}",
                where=where,
                fix=f"choose {' or '.join(map(repr, names))}",
            )
        return positive, "as asked by --positive"
    first, second = names
    senses = _senses(names, vocabulary)
    if senses[first] != senses[second]:
        return max(names, key=lambda name: senses[name]), "by its name (--positive names another)"
    by_code = _yes_of(codes, {})
    if by_code in names:
        return by_code, "by its code (--positive names another)"
    counts = [int((codes.map(lambda code: labels.get(code, code)) == name).sum()) for name in names]
    if counts[0] == counts[1]:
        return second, "the second of two equally frequent classes (--positive names another)"
    return names[counts.index(min(counts))], "the rarer one (--positive names another)"


def _decoded(name: str) -> str:
    """Return a class's name; one that was percent-encoded is decoded."""
    if "%" not in name:
        return name
    try:
        return decode_class(name)
    except InputError:
        return name
