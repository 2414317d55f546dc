"""Weeks and months of times in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

By = Literal["week", "month"]


def labels_of(time: npt.NDArray[np.datetime64], by: By) -> npt.NDArray[np.object_]:
    """Return ``2026-W07`` (ISO 8601) or ``2026-02`` of each time, object ``(cases,)``."""
    days, place = np.unique(time.astype("datetime64[D]"), return_inverse=True)
    names = []
    for day in days:
        at = datetime.fromtimestamp(int(day.astype("datetime64[s]").astype(np.int64)), UTC)
        year, week, _ = at.isocalendar()
        names.append(f"{year}-W{week:02d}" if by == "week" else f"{at.year}-{at.month:02d}")
    return np.array(names, dtype=object)[place] if len(names) else np.array([], dtype=object)
