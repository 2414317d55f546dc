"""Which column of another tool's table of predictions is what: as named, or guessed when there is one candidate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from semeion.errors import InputError, nearest

OWN = ("case_id", "split", "member", "target", "y_true")
"""Columns that only Semeion's own predictions have together; INTERFACES.md has all of them."""

SHOWN = 12
"""How many columns, rows or values a message lists before it only counts."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names without case and punctuation. What several of them name in one table is not guessed.
_TRUTH = _words(
    "ytrue y truth true truelabel truelabels label labels target targets gt groundtruth reference referencestandard "
    "outcome outcomes diagnosis finding class actual"
)
_PROBABILITY = _words(
    "p prob proba probability probabilities yprob yproba yscore score scores predprob predproba ypredprob ypredproba "
    "predictedprobability predictedprob predictedrisk risk"
)
_MEASURED = _words("ypred pred preds prediction predictions predicted predictedvalue yhat")
_CASE = _words("case image imageid imagename filename file path study studyid exam examid accession accessionnumber id")
_PATIENT = _words("patient patientid patients subject subjectid participant participantid pid mrn")
_SITE = _words("hospital hospitalid centre center institution siteid")
_SPLIT = _words("set subset partition datasetsplit datasplit")
_FOLD = _words("cvfold foldid foldnumber")
_WEIGHTS = _words("weight weights sampleweight sampleweights caseweight caseweights")
_FAMILY = re.compile(
    r"(?P<prefix>p|probs?|proba|probability|y_?prob|y_?proba|y_?score|pred_prob|pred_proba|score)[_. -](?P<rest>.+)",
    re.IGNORECASE,
)
_NO_CLASS = frozenset(("value", "val", "id"))
"""``p_value`` is of a test and ``p_id`` of a patient, not of a class."""


@dataclass(frozen=True)
class Named:
    """What the user said of a table of predictions; everything may be left out.

    Attributes
    ----------
    truth
        Column of the reference standard; for a multi-label target one a label.
    probability
        Column of the probability of the positive class, or one a class (or label); of a measured value, the column of
        the predicted value.
    patient, case, split, fold, site
        Columns.
    no_split
        Ignore a column of splits.
    strata
        Columns whose levels are weighed one by one.
    weights
        Column of case weights: refused.
    target
        What the target is called; of Semeion's own predictions, which of several is weighed.
    task, positive, labels
        As everywhere; `labels` maps codes to the names of classes.
    """

    truth: tuple[str, ...] = ()
    probability: tuple[str, ...] = ()
    patient: str | None = None
    case: str | None = None
    split: str | None = None
    fold: str | None = None
    site: str | None = None
    no_split: bool = False
    strata: tuple[str, ...] = ()
    weights: str | None = None
    target: str | None = None
    task: str | None = None
    positive: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Columns that were named, by the flag that names them."""
        single = {"--patient": self.patient, "--case": self.case, "--split": self.split, "--fold": self.fold}
        single |= {"--site": self.site}
        several = {"--truth": self.truth, "--probability": self.probability}
        return {flag: names for flag, names in several.items() if names} | {
            flag: (name,) for flag, name in single.items() if name is not None
        }


@dataclass(frozen=True)
class Columns:
    """Which column has which role. `guessed` are the roles that nobody named; `unused` have none."""

    truth: tuple[str, ...]
    values: tuple[str, ...]
    case: str | None
    patient: str | None
    split: str | None
    fold: str | None
    site: str | None
    guessed: Mapping[str, str]
    unused: tuple[str, ...]


def is_own(columns: Sequence[str], named: Named) -> bool:
    """Tell whether a table is Semeion's own: it has its key and its truth, and no column was named otherwise."""
    return set(OWN) <= set(columns) and not named.columns and not named.no_split


def find_columns(columns: Sequence[str], named: Named, where: str) -> Columns:
    """Return the role of each column.

    A role that nobody named is guessed only where one column has a name that says it.

    Raises
    ------
    InputError
        When a named column does not exist or has two roles, when truth or probability is not named and not sure, when
        several columns may be the case, the patient, the site or the split, and when weights are asked for.
    """
    refuse_weights(columns, named, where)
    need_columns(columns, named, where)
    taken = {name for names in named.columns.values() for name in names}
    left = [name for name in columns if name not in taken]
    guessed: dict[str, str] = {}

    def guess(role: str, flag: str, exact: str, words: frozenset[str]) -> str | None:
        if exact in left:
            found = [exact]
        else:
            found = [name for name in left if _plain(name) in words or _plain(name) == _plain(exact)]
        if len(found) > 1:
            raise InputError(
                f"{listed(map(repr, found))} may each be the {role}", where=where, fix=f"name one with {flag}"
            )
        if found:
            left.remove(found[0])
            guessed[role] = found[0]
        return found[0] if found else None

    values = named.probability or _guess_values(left, named, where, columns)
    if not named.probability:
        guessed["prediction"] = ", ".join(values)
        left = [name for name in left if name not in values]
    truth = named.truth
    if not truth:
        found = guess("truth", "--truth", "y_true", _TRUTH)
        if found is None:
            raise InputError(
                f"no column is called as a reference standard is (columns: {listed(columns)})",
                where=where,
                fix="name it with --truth",
            )
        truth = (found,)
    patient = named.patient or guess("patient", "--patient", "patient_id", _PATIENT)
    case = named.case or guess("case", "--case", "case_id", _CASE)
    site = named.site or guess("site", "--site", "site", _SITE)
    split = named.split
    if split is None and not named.no_split:
        split = guess("split", "--split (or --no-split ignores them)", "split", _SPLIT)
    fold = named.fold
    if fold is None and split is not None:
        fold = guess("fold", "--fold", "fold", _FOLD)
    strata = set(named.strata)
    return Columns(
        truth, values, case, patient, split, fold, site, guessed, tuple(name for name in left if name not in strata)
    )


def family(column: str) -> tuple[str, str] | None:
    """Return prefix and class of a column such as ``p_malignant`` or ``prob.1``, None where it is not such a one."""
    match = _FAMILY.fullmatch(column)
    if match is None or match["rest"].lower() in _NO_CLASS:
        return None
    return match["prefix"].lower(), match["rest"]


def _guess_values(left: list[str], named: Named, where: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the prediction: one, or a family such as ``p_a p_b p_c``."""
    free = [name for name in left if name not in named.truth and name not in named.strata]
    candidates: list[tuple[str, ...]]
    if named.task == "regression":
        candidates = [(name,) for name in free if _plain(name) in _MEASURED]
    else:
        candidates = [(name,) for name in free if _plain(name) in _PROBABILITY]
        families: dict[str, list[str]] = {}
        for name in free:
            if (found := family(name)) is not None and _plain(name) not in _PROBABILITY:
                families.setdefault(found[0], []).append(name)
        candidates += [tuple(names) for names in families.values()]
    if len(candidates) == 1:
        return candidates[0]
    what = "predicted value" if named.task == "regression" else "probability"
    if candidates:
        shown = listed(" with ".join(map(repr, names)) for names in candidates)
        raise InputError(
            f"the {what} may be {shown}",
            where=where,
            fix="name the column of the positive class, or one a class as p_a,p_b, with --probability",
        )
    hint = "" if named.task == "regression" else "; a column of calls is not enough, since a call cannot be ranked"
    raise InputError(
        f"no column is called as a {what} is (columns: {listed(columns)}){hint}",
        where=where,
        fix="name it with --probability",
    )


def refuse_weights(columns: Sequence[str], named: Named, where: str) -> None:
    """Refuse case weights, which no figure takes."""
    if named.weights is None:
        return
    about = "" if named.weights in columns else f" (and there is no such column{nearest(named.weights, columns)})"
    raise InputError(
        f"case weights are not supported{about}: areas, calibration and their intervals would have to be of the "
        "weighted population together, and are of the cases as they stand",
        where=f"{where}: --weights {named.weights}",
        fix="weigh the cases as they are and give the levels with --strata, or draw the cases anew by their weights",
    )


def weight_notes(columns: Sequence[str]) -> list[str]:
    """Return a sentence where a column is called as case weights are, which nobody asked for and no figure takes."""
    found = [name for name in columns if re.sub(r"[^a-z]", "", name.lower()) in _WEIGHTS]
    return [f"Case weights are not supported: every case counts once, whatever {listed(found)} says."] if found else []


def need_columns(columns: Sequence[str], named: Named, where: str) -> None:
    """Refuse named columns that do not exist, and a column with two roles."""
    seen: dict[str, str] = {}
    for flag, names in [*named.columns.items(), ("--strata", named.strata)]:
        for name in names:
            if name not in columns:
                raise InputError(
                    f"no column {name!r} ({flag}){nearest(name, columns)}",
                    where=where,
                    fix=f"choose one of {listed(columns)}",
                )
            if flag == "--strata":
                continue
            # A patient with one case may be named by the same id, so these two may share a column.
            if name in seen and {flag, seen[name]} != {"--case", "--patient"}:
                what = f"{flag} names {name!r} twice" if seen[name] == flag else f"{name!r} is {seen[name]} and {flag}"
                raise InputError(what, where=where, fix="give every role a column of its own")
            seen[name] = flag


def _plain(name: str) -> str:
    """Return a name without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name.lower())


def listed(items: Iterable[object]) -> str:
    """Return the first items with commas, and how many there are when that is not all."""
    names = [str(item) for item in items]
    more = f" and {len(names) - SHOWN} more ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
