"""One case of each patient, of a log that names none: alarms are for cases that do not depend on one another.

Images of one patient are alike, so that a few patients with many images each look like a change. Where a table named
the patients, all lines that one call of ``predict`` wrote of a patient have the same random number. Of such a group one
line is compared, as the training cases are one of each patient; and of a patient who is known to have been read before,
by a case that comes again, none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semeion.monitor.bins import Index
from semeion.monitor.logfile import Log

Texts = npt.NDArray[np.str_]


def first_lines(log: Log) -> Index:
    """Return the first line of each case of a log that is in the order of time: a case that comes again is no news."""
    return np.sort(np.unique(log.texts["entry"].astype(str), return_index=True)[1]).astype(np.int64)


def compared_lines(log: Log) -> Index:
    """Return the lines that are compared with the training cases.

    The choice goes by the entry, which says nothing of the image: it is the result of a keyed hash, or random. A line
    of an image that could be read goes before others. What later calls write changes nothing of what was chosen.

    Parameters
    ----------
    log
        In the order of time, with cases that come again.
    """
    entries, groups = (log.texts[name].astype(str) for name in ("entry", "group"))
    first = first_lines(log)
    plain, grouped = first[groups[first] == ""], first[groups[first] != ""]
    grouped = grouped[~np.isin(groups[grouped], _known_before(entries, groups))]
    failed = log.texts["status"][grouped] == "failed"
    order = grouped[np.lexsort((entries[grouped], failed, groups[grouped]))]
    chosen = order[np.unique(groups[order], return_index=True)[1]]
    return np.sort(np.concatenate([plain, chosen])).astype(np.int64)


def _known_before(entries: Texts, groups: Texts) -> Texts:
    """Return the groups of which a case had been read before by another call."""
    _, first, place = np.unique(entries, return_index=True, return_inverse=True)
    earlier = first[place.reshape(-1)]
    names, begins = np.unique(groups, return_index=True)
    begin = begins[np.searchsorted(names, groups)]
    # Of two calls at the same time the one that began first counts; a line without a group begins where it is.
    start = np.where(groups[earlier] == "", earlier, begin[earlier])
    return np.unique(groups[(groups != "") & (groups != groups[earlier]) & (start < begin)])
