"""Gathering: the outside world comes in here and nowhere else.

Names are imported when they are first used, so that a program that only reads images does not load pandas. The way
in is :func:`semeion.cohort.gather.gather`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semeion.cohort.cohort import Cohort, CohortOptions, Flow, Target, read_cohort, write_cohort
    from semeion.cohort.image import Image
    from semeion.cohort.limits import ReadLimits
    from semeion.cohort.reading import read_image

__all__ = [
    "Cohort",
    "CohortOptions",
    "Flow",
    "Image",
    "ReadLimits",
    "Target",
    "read_cohort",
    "read_image",
    "write_cohort",
]

_HOMES = {
    "Cohort": "cohort",
    "CohortOptions": "cohort",
    "Flow": "cohort",
    "Target": "cohort",
    "read_cohort": "cohort",
    "write_cohort": "cohort",
    "Image": "image",
    "ReadLimits": "limits",
    "read_image": "reading",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"semeion.cohort.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'semeion.cohort' has no attribute {name!r}")
