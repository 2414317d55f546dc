"""Fits the encoding of covariates on learning cases, and refuses columns that are none."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from semeion.cohort.cohort import Cohort
from semeion.cohort.words import presence
from semeion.errors import InputError
from semeion.prepare.covariates import (
    FAR,
    FAR_FROM_ONE,
    LEAST_PATIENTS,
    MAX_COLUMNS,
    MAX_LEVELS,
    Encoding,
    Floats,
    Kind,
    Levels,
    Number,
    Values,
    YesNo,
    number_of,
    same,
    text_of,
)

FEW_CASES_A_LEVEL = 3
"""Text whose values occur fewer times than this on average is free text, where there are more than `FEW_LEVELS`."""
FEW_LEVELS = 10
LONGEST_NAME = 100
FEWEST_WITH_NUMBER = 2 * LEAST_PATIENTS
"""Patients who must have a number: its usual range has two ends, and at each of them are as many as are needed."""
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T].*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})([ T].*)?|(19|20)\d{2}(0[1-9]|1[0-2])"
    r"(0[1-9]|[12]\d|3[01])"
)
_IDENTITY = re.compile(r"(^|_|\b)(id|ids|uid|mrn|accession|number|no|nr|zip|phone|name|surname)$", re.IGNORECASE)
_LEAVE = "leave it out of --covariates"


def fit_encoding(rows: Mapping[str, Values], kinds: Mapping[str, Kind], patients: Sequence[Any]) -> Encoding:
    """Return the encoding of covariates, from learning cases alone.

    Parameters
    ----------
    rows
        The values of each column of the learning cases, as the table has them.
    kinds
        What each column holds, in the order of the features.
    patients
        Whose each case is. A level is named when at least five patients have it, and the quantiles of a number are
        those of :func:`shared_quantile`: the encoding ships, and shows nothing that fewer patients have.
    """
    made = {"number": _number, "yes-no": _yes_no, "levels": _levels}
    return Encoding(columns=[made[kind](name, rows[name], patients) for name, kind in kinds.items()])


def _number(name: str, values: Values, patients: Sequence[Any]) -> Number:
    each = _of_each_patient(values, patients)
    if len(each) < LEAST_PATIENTS:
        # Nothing can be told of so few without telling of one: the column says nothing, as if it were empty.
        return Number(name=name, fill=0.0, low=0.0, high=0.0, margin=0.0)
    low, fill, high = (shared_quantile(each, share) for share in (0.05, 0.5, 0.95))
    # Rounded to different widths they may pass one another.
    low, high = min(low, fill), max(high, fill)
    # A distance that five patients share as well: a standard deviation would tell of the one who is furthest out.
    margin = FAR * (high - low) or FAR_FROM_ONE * shared_quantile(np.sort(np.abs(each - fill)), 1.0)
    return Number(name=name, fill=fill, low=low, high=high, margin=_digits(margin))


def _of_each_patient(values: Values, patients: Sequence[Any]) -> Floats:
    """Return the mean of each patient who has a number, sorted."""
    own: dict[Any, list[float]] = defaultdict(list)
    for value, patient in zip(values, patients, strict=True):
        number = number_of(value)
        if number is not None and not math.isnan(number):
            own[patient].append(number)
    return np.sort([float(np.mean(numbers)) for numbers in own.values()])


def shared_quantile(each: Floats, share: float) -> float:
    """Return about the quantile `share` as a number that at least five patients have when theirs are rounded alike.

    It is the patient's at the quantile, or the fifth from the end where that is further inside, rounded (to half a
    width) with the finest width, 1, 2 or 5 times a power of ten from four digits on, within which five patients lie
    around the rounded number. A number that fewer patients have is never it, and up to four of them who are far out
    do not move it, so that neither their number nor its size is told.

    Parameters
    ----------
    each
        A number a patient, sorted; at least `LEAST_PATIENTS`.
    share
        From 0 to 1.
    """
    last = max(len(each) - LEAST_PATIENTS, len(each) // 2)
    value = float(each[min(max(round(share * (len(each) - 1)), min(LEAST_PATIENTS - 1, len(each) // 2)), last)])
    largest = float(np.abs(each).max())
    if largest == 0:
        return 0.0
    # No width is 0 or infinite, however small or large the numbers are.
    power = max(math.floor(math.log10(abs(value) or largest)) - 3, -300)
    while True:
        for width in (float(f"{digit}e{power}") for digit in (1, 2, 5)):
            shown = _digits(round(value / (width / 2)) * (width / 2))
            own, near = int((each == shown).sum()), int((np.abs(each - shown) <= width / 2).sum())
            if near >= LEAST_PATIENTS and (own == 0 or own >= LEAST_PATIENTS):
                return shown
        if width / 8 > largest or power > 300:
            return 0.0
        power += 1


def _digits(value: float) -> float:
    """Return four digits of a number."""
    return float(f"{value:.4g}")


def _yes_no(name: str, _: Values, __: Sequence[Any]) -> YesNo:
    return YesNo(name=name)


def _levels(name: str, values: Values, patients: Sequence[Any]) -> Levels:
    named = [text for text, count in level_counts(values, patients) if count >= LEAST_PATIENTS and len(text) <= 80]
    return Levels(name=name, levels=sorted(named[:MAX_LEVELS], key=same))


def level_counts(values: Values, patients: Sequence[Any]) -> list[tuple[str, int]]:
    """Return the levels of a column as they are most often written, each with its patients; the most common first."""
    spelled: dict[str, Counter[str]] = defaultdict(Counter)
    who: dict[str, set[Any]] = defaultdict(set)
    for value, patient in zip(values, patients, strict=True):
        text = text_of(value)
        if text is not None:
            spelled[same(text)][text] += 1
            who[same(text)].add(patient)
    order = sorted(who, key=lambda level: (-len(who[level]), level))
    return [(spelled[level].most_common(1)[0][0], len(who[level])) for level in order]


def covariate_rows(cohort: Cohort, names: Iterable[str], rows: Any = None) -> dict[str, list[Any]]:
    """Return the values of columns of a cohort, of all cases or of `rows`, as :meth:`Encoding.encode` takes them."""
    table = cohort.table if rows is None else cohort.table.iloc[rows]
    return {name: table[name].astype(object).tolist() for name in names}


def covariate_kinds(cohort: Cohort, learning: Any) -> dict[str, Kind]:
    """Return what each covariate of a cohort holds, and refuse what no model should see.

    Parameters
    ----------
    cohort
        Its ``covariates`` are the columns.
    learning
        ``(cases,)``, whether each case is one to learn from: kinds and levels come from these. Whether numbers can be
        read is looked at in every case.

    Raises
    ------
    InputError
        With every column that is a date, an identifier, the site, free text, constant, empty or of two types, and what
        to do with each.
    """
    chosen = np.flatnonzero(np.asarray(learning, dtype=bool))
    details: list[str] = []
    kinds: dict[str, Kind] = {}
    for name in cohort.covariates:
        found = _kind_of(cohort, name, chosen)
        if name in kinds:
            details.append(f"{name!r} is named twice: name it once")
        elif len(name) > LONGEST_NAME:
            details.append(f"{name[:40]!r}... has a name of more than {LONGEST_NAME} letters: shorten it")
        elif isinstance(found, _Refused):
            details.append(f"{name!r} {found.why}: {found.fix}")
        else:
            kinds[name] = found
    if len(cohort.covariates) > MAX_COLUMNS:
        details.append(f"{len(cohort.covariates)} covariates were named: choose at most {MAX_COLUMNS} beforehand")
    if details:
        raise InputError(
            f"{len(details)} of the covariates cannot be learned from"
            if len(details) > 1
            else f"the covariate {details[0].partition(': ')[0]}",
            where="--covariates",
            fix=details[0].partition(": ")[2] if len(details) == 1 else "correct these columns, or leave them out",
            details=details if len(details) > 1 else [],
        )
    return kinds


class _Refused:
    """Why a column is no covariate, and what to do."""

    def __init__(self, why: str, fix: str = _LEAVE) -> None:
        self.why, self.fix = why, fix


def _kind_of(cohort: Cohort, name: str, learning: Any) -> Kind | _Refused:
    table = cohort.table
    everyone = covariate_rows(cohort, [name])[name]
    values = [everyone[row] for row in learning]
    told = [text for text in map(text_of, values) if text is not None]
    if not told:
        return _Refused("is empty in every case to learn from")
    distinct = {same(text) for text in told}
    if len(distinct) == 1:
        return _Refused(f"has the one value {told[0]!r} in every case to learn from")
    if "datetime" in str(table[name].dtype) or sum(map(_is_date, told)) > 0.9 * len(told):
        return _Refused("holds dates", "give a number instead, such as the age at imaging in years")
    if (refused := _identity(cohort, name, everyone)) is not None:
        return refused
    if all(presence(text) is not None for text in told) and len(distinct) == 2:
        return "yes-no"
    if all(number_of(text) is not None for text in told):
        # A word in a case that nobody learns from does not make levels of numbers.
        if any(number_of(value) is None for value in everyone):
            return _mixed(cohort, everyone)
        who = cohort.table["patient_id"].to_numpy(dtype=object)[learning]
        count = len({patient for value, patient in zip(values, who, strict=True) if text_of(value) is not None})
        if count < FEWEST_WITH_NUMBER:
            return _Refused(
                f"is known of {count} patients to learn from, and a model that ships its usual range needs "
                f"{FEWEST_WITH_NUMBER}, so that no number in it is one patient's"
            )
        return "number"
    if all(presence(text) is not None for text in told):
        return "yes-no"
    return _of_words(cohort, everyone, values, learning)


def _mixed(cohort: Cohort, everyone: Values) -> _Refused:
    odd = [row for row, value in enumerate(everyone) if number_of(value) is None]
    cases = ", ".join(f"{everyone[row]!r} of case {cohort.table['case_id'].iloc[row]}" for row in odd[:3])
    more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
    return _Refused(
        f"holds numbers and words ({cases}{more})", "write numbers alone in one unit, and leave cells empty"
    )


def _of_words(cohort: Cohort, everyone: Values, values: Values, learning: Any) -> Kind | _Refused:
    """Return ``levels``, or why a column that is not all numbers is no covariate."""
    told = [text for text in map(text_of, values) if text is not None]
    numeric = {text for text in told if number_of(text) is not None}
    if len(numeric) > 2 and sum(text in numeric for text in told) > 0.5 * len(told):
        return _mixed(cohort, everyone)
    counts = level_counts(values, cohort.table["patient_id"].to_numpy(dtype=object)[learning])
    if len(counts) > FEW_LEVELS and len(told) < FEW_CASES_A_LEVEL * len(counts):
        return _Refused(f"is free text ({len(counts)} different values in {len(told)} cases)", "code it in few levels")
    named = [count for _, count in counts if count >= LEAST_PATIENTS]
    if len(named) > MAX_LEVELS:
        return _Refused(f"has {len(counts)} levels", f"join levels until there are at most {MAX_LEVELS}")
    if not named:
        return _Refused(f"has no level that {LEAST_PATIENTS} patients share", "join its levels, or leave it out")
    return "levels"


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None


def _identity(cohort: Cohort, name: str, values: Values) -> _Refused | None:
    """Return why a column tells who or where a case is rather than how the patient is."""
    table = cohort.table
    told = [same(text) if (text := text_of(value)) is not None else "" for value in values]
    # "site" is also a known column of its own, whatever it holds.
    if name == "site" or _same_parts(told, table["site"]):
        return _Refused(
            "tells the site of each case",
            "leave it out of --covariates; `--by site` holds sites out, and figures of each site are given anyway",
        )
    for column, whose in (("patient_id", "the patients"), ("case_id", "the cases")):
        own = [same(str(text_of(value))) for value in table[column]]
        if told == own:
            return _Refused(f"names {whose}")
    known = [text for text in told if text]
    everyone_apart = len(set(known)) == len(known) and len(known) > FEW_LEVELS
    numbers = [number_of(value) for value in values]
    whole = all(number is not None and (math.isnan(number) or number % 1 == 0) for number in numbers)
    if everyone_apart and (_IDENTITY.search(name) is not None or any(number is None for number in numbers)):
        return _Refused("tells every case apart, as an identifier does")
    if everyone_apart and whole and len(known) == len(numbers) and _running([float(str(text)) for text in known]):
        return _Refused("is a running number")
    return None


def _running(numbers: Sequence[float]) -> bool:
    steps = {after - before for before, after in pairwise(numbers)}
    return steps in ({1.0}, {-1.0})


def _same_parts(told: Sequence[str], site: Any) -> bool:
    """Return whether two columns part the cases alike, into two parts or more."""
    sites = ["" if missing else str(value) for value, missing in zip(site, site.isna(), strict=True)]
    if len({text for text in sites if text}) < 2:
        return False
    pairs = set(zip(told, sites, strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
