"""What a value did to a finding, in a sentence: what it is, where it lies among the training cases, how it pushed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from semeion.model.manifest import Manifest
from semeion.model.values import ALL, Place, ValueColumn, ValueReference, place_of

Scale = Literal["logit", "probability", "value", "grades"]
"""What a contribution adds to: a logit of the class (of two classes and of labels the log odds), its probability, the
measured value, or the place on the scale of ordered grades."""

SHOWN = 5
"""Values that get a sentence of their own; the others are added up."""
REST, IMAGES, OTHERS = "(rest)", "(images)", "(others)"
"""Names of what is no single value: the values that are not shown, the images, members that know no value."""
HEALTHY = frozenset({"normal", "healthy", "control", "controls", "nor", "healthy control", "healthy controls"})
"""Names of classes, without case, whose cases a sentence may call healthy."""
MISSING = "the training cases' median stands in"
_LEAST: Mapping[str, float] = {"logit": 0.05, "probability": 0.005, "grades": 0.05}
"""A contribution below this is said to matter little."""
_NOTHING = 1e-9
"""What is added to a value below this is left over from rounding."""
_ON = {"logit": "on the logit", "probability": "on the probability", "grades": "on the scale of grades"}


@dataclass(frozen=True)
class Value:
    """One value of a case and what it did to a finding.

    Attributes
    ----------
    name, title, unit
        Column or measurement, and what a person reads; :data:`REST` for all that are not shown, :data:`IMAGES` for what
        came from the images, :data:`OTHERS` for members that know no value.
    value
        As it was given; None when it is missing, and of what is no single value.
    contribution
        How it pushed the class (label, value) that is explained, in units of `scale`; None of :data:`OTHERS`.
    scale
        What the contribution adds to.
    sentence
        All of it in words.
    """

    name: str
    title: str
    value: float | str | None
    unit: str
    contribution: float | None
    scale: Scale
    sentence: str


@dataclass(frozen=True)
class Given:
    """A value before words are found for it; `missing` says in words that it is, and is empty when it is not."""

    name: str
    title: str
    unit: str
    value: float | str | None
    contribution: float
    missing: str = ""


@dataclass(frozen=True)
class About:
    """What is explained: the class (of a multi-label model the label; None of a value), on which scale, in which unit.

    And the groups that values are compared with, each with its words.
    """

    target: str | None
    scale: Scale
    unit: str
    groups: Sequence[tuple[str, str]]


def about(manifest: Manifest, target: str | None, scale: Scale, reference: ValueReference | None) -> About:
    """Say what values are compared with.

    Of two classes both are, the negative one first; of several the reference class (one whose name says that its cases
    are healthy, else the most frequent in training) and the one that is explained; of a label the cases without and
    with it; of a measured value all.
    """
    return About(target, scale, manifest.unit or "", _groups(manifest, target, reference))


def _groups(manifest: Manifest, target: str | None, reference: ValueReference | None) -> list[tuple[str, str]]:
    task, classes = manifest.task, list(manifest.classes)
    if task == "multilabel":
        return [(f"{target}=0", f"cases without {target}"), (f"{target}=1", f"cases with {target}")]
    if not classes:
        return [(ALL, "the training cases")]
    if task == "binary":
        negative = next(name for name in classes if name != manifest.positive)
        chosen = [negative, str(manifest.positive)]
    else:
        count = _patients(reference)
        by_size = sorted(classes, key=lambda name: -count.get(name, 0))
        first = next((name for name in classes if name.casefold() in HEALTHY), by_size[0])
        second = target if target not in (None, first) else next(name for name in by_size if name != first)
        chosen = [first, str(second)]
    return [(name, "healthy cases" if name.casefold() in HEALTHY else f"{name} cases") for name in chosen]


def _patients(reference: ValueReference | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for column in reference.columns if reference is not None else ():
        counts = [(group, one.n) for group, one in column.numbers.items()]
        counts += [(group, one.n) for group, one in column.shares.items()]
        for group, n in counts:
            found[group] = max(found.get(group, 0), n)
    return found


def tell(
    given: Sequence[Given], on: About, reference: ValueReference | None, *, images: float | None = None
) -> list[Value]:
    """Return the values of a case, what pushed most first; all after :data:`SHOWN` in one, and last the images.

    Parameters
    ----------
    given
        Every value with what it contributed.
    on
        What is explained.
    reference
        What the training cases have; None: the model does not hold it, and sentences do without.
    images
        What the images contributed to a member that knows them together with values; None: there is none such.
    """
    order = sorted(given, key=lambda one: (-abs(one.contribution), one.name))
    found = [_value(one, on, None if reference is None else reference.column(one.name)) for one in order[:SHOWN]]
    rest = order[SHOWN:]
    if rest:
        added = sum(one.contribution for one in rest)
        what = f"{len(rest)} further value{'s' * (len(rest) > 1)} together"
        found.append(Value(REST, what, None, "", added, on.scale, _sentence(what, pushed(added, on))))
    if images is not None:
        what = "What others say of the images"
        found.append(Value(IMAGES, "images", None, "", images, on.scale, _sentence(what, pushed(images, on))))
    return found


def _sentence(what: str, push: str) -> str:
    return f"{what}: {push}."


def _value(one: Given, on: About, column: ValueColumn | None) -> Value:
    if one.missing:
        what = f"{one.title} {one.missing}"
    elif isinstance(one.value, float | int):
        unit = f" {one.unit}" if one.unit else ""
        place = where_it_lies(float(one.value), on.groups, column)
        what = f"{one.title} {number(float(one.value))}{unit}{f', {place}' if place else ''}"
    else:
        shares = who_has_it(str(one.value), on.groups, column)
        what = f"{one.title} {one.value}{f', {shares}' if shares else ''}"
    value = None if one.missing else one.value
    push = pushed(one.contribution, on)
    return Value(one.name, one.title, value, one.unit, one.contribution, on.scale, _sentence(what, push))


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many digits, large ones whole and without a power of ten."""
    told = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in told and abs(value) < 1e7 else told


def where_it_lies(value: float, groups: Sequence[tuple[str, str]], column: ValueColumn | None) -> str:
    """Return where a number lies in each group that has a reference range; nothing where none has."""
    known = [(words, name, column.numbers[name]) for name, words in groups if column and name in column.numbers]
    placed = [(words, name, place_of(value, numbers)) for words, name, numbers in known]
    if len(placed) == 2 and all(place.side == "usual" for _, _, place in placed):
        return "usual for both " + " and ".join(_cases(words, name, place.n) for words, name, place in placed)
    return ", ".join(_place(words, name, place) for words, name, place in placed)


def _place(words: str, name: str, place: Place) -> str:
    cases = _cases(words, name, place.n)
    return f"usual for {cases}" if place.side == "usual" else f"{place.side} {place.share:.3g} % of {cases}"


def _cases(words: str, name: str, n: int) -> str:
    """Return a group and how many patients it has; of cases that are called healthy also what the class is called."""
    called = f"{name}, " if words == "healthy cases" and name.casefold() != "healthy" else ""
    return f"{words} ({called}n = {n})"


def who_has_it(level: str, groups: Sequence[tuple[str, str]], column: ValueColumn | None) -> str:
    """Return the share of each group that has a level, where at least five patients of it do and do not."""
    found = []
    for name, words in groups:
        shares = column.shares[name] if column and name in column.shares else None
        own = None if shares is None else {key.casefold(): one for key, one in shares.shares.items()}
        if shares is not None and own is not None and level.casefold() in own:
            found.append(f"{_per_cent(own[level.casefold()])} of {_cases(words, name, shares.n)}")
    return ", ".join(found)


def _per_cent(share: float) -> str:
    """Return a share in whole per cent; what is not none and not all never reads as if it were."""
    if 0 <= share < 0.005:
        return "less than 1 %"
    return "more than 99 %" if 0.995 < share < 1 else f"{100 * share:.0f} %"


def pushed(contribution: float, on: About) -> str:
    """Return how a contribution pushed, with the number."""
    if on.scale == "value":
        unit = f" {on.unit}" if on.unit else ""
        if abs(contribution) < _NOTHING:
            return "changes nothing"
        return f"{'raises' if contribution > 0 else 'lowers'} the value by {number(abs(contribution), 2)}{unit}"
    told = f"({contribution:+.2f} {_ON[on.scale]})"
    if abs(contribution) < _LEAST[on.scale]:
        return f"matters little {told}"
    side = "for" if contribution > 0 else "against"
    return f"speaks {side} {'higher grades' if on.scale == 'grades' else on.target} {told}"
