"""What a run reads first, and what it refuses then: before a plan is made or a minute is spent."""

from __future__ import annotations

from pathlib import Path

from semeion.progress import Progress
from semeion.study.by_site import refuse_by
from semeion.study.clusters import refuse_cluster
from semeion.study.covariates import refuse_covariates
from semeion.study.distilled import refuse_distilling
from semeion.study.inspect import Inspected, inspect, refuse_bad_images, refuse_void
from semeion.study.neighbours import refuse_neighbours
from semeion.study.options import RunOptions
from semeion.study.own_network import refuse_own
from semeion.study.set_words import refuse_sets
from semeion.study.teaching import refuse_teaching
from semeion.study.unlabelled import refuse_unlabelled


def admitted(source: Path, options: RunOptions, progress: Progress) -> tuple[Inspected, list[str]]:
    """Inspect the cases of a source, and refuse those that no run of these options can learn from.

    Returns
    -------
    tuple
        The inspected cases, and the audits that are void and were accepted.

    Raises
    ------
    InputError
        Saying what keeps the run from being made.
    """
    seen = inspect(source, options, progress)
    refuse_bad_images(seen, skip_bad=options.skip_bad)
    accepted = refuse_void(seen.audits, options.accept)
    refuse_covariates(seen.cohort, options.by)
    refuse_teaching(seen.cohort)
    refuse_by(seen.cohort, options.by)
    refuse_sets(seen.cohort, options)
    refuse_own(seen.cohort, options.network)
    refuse_cluster(seen.cohort, options.cluster)
    refuse_unlabelled(seen.cohort, options)
    refuse_distilling(seen.cohort, options)
    refuse_neighbours(seen.cohort, options)
    return seen, accepted
