"""Measured values that carry their unit, such as ``12 ml``: one unit is read, several are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from semeion.cohort.problems import Problems, listed
from semeion.cohort.question import numbers_of, place

_USUAL = (
    "% ‰ ° nm um µm μm mm cm dm m mm2 cm2 m2 mm² cm² m² mm3 cm3 m3 mm³ cm³ m³ cc ul µl μl ml mL cl dl dL l L",
    "ng ug µg μg mg g kg HU ms s min h d mmHg kPa Pa bpm Hz kHz MHz mSv Gy SUV kg/m2 kg/m² mg/dl mg/dL g/dl g/dL",
    "g/l g/L ng/ml ng/mL mmol/l mmol/L U/l U/L ml/min mL/min cm/s m/s ml/m2 mL/m2 ml/m² mL/m²",
)
USUAL = frozenset(" ".join(_USUAL).split())
"""Units that are known as such when they stand right behind a number; any other needs a space before it."""

_WITH_UNIT = re.compile(r"(?P<number>[+-]?[\d.,]+(?:[eE][+-]?\d+)?)(?P<space>\s*)(?P<unit>[^\s\d.,;+-][^\s;,]*)")
NO_UNIT = ""


@dataclass(frozen=True)
class Carried:
    """A column of values with what stands behind each.

    Attributes
    ----------
    text
        The values without their units; as they were where there is none.
    unit
        The unit of each value, `NO_UNIT` where it has none.
    """

    text: pd.Series[str]
    unit: pd.Series[str]

    @property
    def units(self) -> tuple[str, ...]:
        """The different units, the most frequent first."""
        found = self.unit[self.unit != NO_UNIT]
        return tuple(str(name) for name in found.value_counts().index)


def carried_units(known: pd.Series[str]) -> Carried:
    """Take the units off the values of a column.

    ``ml`` and ``mL`` are one unit: the litre has two symbols (SI Brochure, 9th edition, 2019, table 8). All else is
    told apart as it is written: ``mg`` is no ``Mg``.
    """
    found = known.str.extract(_WITH_UNIT.pattern + r"\Z")
    with_unit = known.str.fullmatch(_WITH_UNIT) & ((found["space"] != "") | found["unit"].isin(USUAL))
    text = known.where(~with_unit, found["number"])
    unit = found["unit"].where(with_unit, NO_UNIT).map(_one_spelling)
    return Carried(text, unit)


def refuse_conflict(name: str, values: Carried, problems: Problems) -> bool:
    """Report values of several units, or with a unit and without one; return whether there were any.

    What is no number is reported elsewhere, and counts as neither.
    """
    numbers, _ = numbers_of(values.text)
    unit = values.unit[np.isfinite(numbers.to_numpy(dtype=np.float64))]
    if not values.units or unit.nunique() < 2:
        return False
    said = []
    for one in unit.value_counts().index:
        rows = listed(unit.index[unit == one], place(values.text))
        said.append(f"{'no unit' if one == NO_UNIT else repr(str(one))} in {rows}")
    problems.add(
        f"the values of {name} carry units that conflict: {'; '.join(said)}",
        "write every value in one unit, with the unit behind each or behind none",
    )
    return True


def _one_spelling(unit: str) -> str:
    parts = (
        "l" if part == "L" else part[:-1] + "l" if part in ("mL", "dL", "cL", "uL", "µL", "μL") else part
        for part in unit.split("/")
    )
    return "/".join(parts).replace("μ", "µ")
