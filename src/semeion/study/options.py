"""What a user may ask of a run, and how it is remembered for a resume."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError, nearest

MEASURED = ("intensity", "texture")
"""What may be measured in a region besides its size and shape."""
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class RunOptions:
    """Everything that decides a run besides the data, by the names of the command line."""

    cohort: CohortOptions = field(default_factory=CohortOptions)
    budget: float | None = None
    """Seconds; None: the plan's, or 15 minutes."""
    seed: int = 0
    operating_point: str = "youden"
    skip_bad: bool = False
    accept: tuple[str, ...] = ()
    """Audits whose void verdict the user accepts."""
    plan: str | None = None
    """A plan to train from instead of planning."""
    jobs: int | None = None
    synthetic: bool = False
    """The images were generated (only the demonstration says so)."""
    remarks: tuple[str, ...] = ()
    """Sentences that the report must show."""
    with_images: bool = False
    """Of a diagnosis from measurements: average it with networks that see the images themselves."""
    measure: tuple[str, ...] = ()
    """What is measured besides size and shape: some of :data:`MEASURED`."""
    intended_use: str | None = None
    """A file of what only a person can say of the study; a copy is kept in the run."""
    by: str | None = None
    """A column, usually ``site``, whose values are held out one after another."""
    sets: float | None = None
    """Share of patients whose sets of classes are to hold the truth; 0 makes none, None leaves it to the plan."""
    ship: Literal["ensemble", "single", "distilled"] = "ensemble"
    """Whether all members ship, or one that is small, or one network that learned from all."""
    unlabelled: str | None = None
    """A folder of images without labels that networks first learn from."""
    network: str | None = None
    """``package.module:Factory`` of a network of the user's, in the place of the plan's own."""
    cluster: str | None = None
    """Address of a running Ray cluster whose nodes learn members, or ``auto``; None: this machine."""
    ship_neighbours: bool = False
    """Whether features, ids and reference standard of training cases ship, so that the nearest can be shown."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what is new only where it is asked, so that earlier versions read the rest."""
        values = asdict(self)
        rest = ("with_images", "measure", "intended_use", "by", "network", "unlabelled", "cluster", "ship_neighbours")
        for name in rest:
            if not values[name]:
                del values[name]
        for name in ("weight", "raters", "tasks", "beside"):
            if not values["cohort"][name]:
                del values["cohort"][name]
        if self.sets is None:
            del values["sets"]
        if self.ship == "ensemble":
            del values["ship"]
        return values

    @staticmethod
    def from_json(raw: dict[str, Any]) -> RunOptions:
        """Return what :meth:`to_json` gave."""
        cohort = {**raw["cohort"]}
        for name in ("order", "covariates", "channels", "frames", "views", "raters", "beside"):
            cohort[name] = tuple(cohort.get(name, ()))
        rest = {**raw, "cohort": CohortOptions(**cohort)}
        for name in ("accept", "remarks", "measure"):
            rest[name] = tuple(rest.get(name, ()))
        return RunOptions(**rest)


def refuse_without_structures(options: RunOptions) -> None:
    """Refuse image networks beside measurements, or more to measure, where nothing is measured.

    Raises
    ------
    InputError
        Saying what to leave out or to add.
    """
    if options.with_images and not options.cohort.structures:
        raise InputError(
            "networks that see the images are averaged with measurements, and nothing is to be measured",
            where="--with-images",
            fix="name the structures with --structures, or leave --with-images out: images alone are then classified",
        )
    if options.measure and not options.cohort.structures:
        raise InputError(
            f"{' and '.join(options.measure)} of structures is to be measured, and no structure is named",
            where="--measure",
            fix="name the structures with --structures, or leave --measure out",
        )


def parse_measured(text: str | None, *, where: str = "--measure") -> tuple[str, ...]:
    """Return what is to be measured besides size and shape of ``intensity`` or ``intensity,texture``.

    Raises
    ------
    InputError
        When a part is not known.
    """
    parts = [part.strip().lower() for part in (text or "").split(",") if part.strip()]
    for part in parts:
        if part not in (*MEASURED, "size"):
            raise InputError(
                f"{part!r} cannot be measured{nearest(part, MEASURED)}",
                where=where,
                fix="write intensity, or intensity,texture; size and shape are always measured",
            )
    return tuple(name for name in MEASURED if name in parts)


def parse_duration(text: str | float | None, *, where: str = "--budget") -> float | None:
    """Return seconds of ``90s``, ``15m``, ``1.5h``, ``2d`` or ``1h30m``; a number is seconds.

    Raises
    ------
    InputError
        When the text is no duration, or is not positive.
    """
    if text is None:
        return None
    if isinstance(text, int | float):
        seconds = float(text)
    elif re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text.strip().lower()):
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text.strip().lower())
        seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    elif re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        raise InputError(
            f"{text!r} has no unit",
            where=where,
            fix=f"write {text.strip()}m for minutes or {text.strip()}s for seconds",
        )
    else:
        raise InputError(f"{text!r} is no duration", where=where, fix="write for example 90s, 15m or 1h30m")
    if not 0 < seconds < float("inf"):
        raise InputError(f"{text!r} is not a positive duration", where=where, fix="write for example 15m")
    return seconds


def source_path(source: str | Path, base: Path | None = None) -> Path:
    """Return the absolute path of a table, tree or npz.

    Raises
    ------
    InputError
        When nothing is there.
    """
    path = (base or Path.cwd()) / Path(source).expanduser()
    if not path.exists():
        raise InputError("no such file or folder", where=str(source), fix="correct the path")
    return path.absolute()


def refuse_beside_plan(options: RunOptions, seed: int, rule: str) -> None:
    """Refuse a seed or an operating point that is not that of the plan given beside it.

    Parameters
    ----------
    options
        As the user gave them; what is left at its default asks for nothing.
    seed, rule
        Those of the plan.

    Raises
    ------
    InputError
        When one differs.
    """
    default = RunOptions()
    if options.seed not in (default.seed, seed) or options.operating_point not in (default.operating_point, rule):
        raise InputError(
            "the plan holds another seed or operating point than the ones given beside it",
            where="--plan",
            fix="leave --seed and --operating-point out, or edit them in the plan",
        )
