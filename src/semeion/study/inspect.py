"""From a source to checked cases: gather, read every image, audit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from semeion.artefacts import whole_file, write_json
from semeion.audit.audit import Audit
from semeion.audit.checks import affected_cases, is_void, run_checks
from semeion.audit.copies import find_copies, with_copies
from semeion.audit.copy_search import Copies
from semeion.audit.images import unmatched_files
from semeion.audit.patients import patient_overlap
from semeion.cohort.cohort import Cohort, Flow, write_cohort
from semeion.cohort.gather import gather
from semeion.cohort.several import with_known
from semeion.cohort.target import name_found_labels
from semeion.errors import InputError, nearest
from semeion.plan.fingerprint import learning_rows
from semeion.progress import Progress
from semeion.study.facts import read_everything
from semeion.study.options import RunOptions

UNMATCHED, OVERLAP = "unmatched-files", "patient-overlap"
VERDICTS = ("not_run", "clear", "note", "warn", "void")


@dataclass(frozen=True)
class Inspected:
    """What is known once every image was read.

    Attributes
    ----------
    cohort
        The cases that can be used.
    facts
        Their scan, one row a case in the same order.
    everyone, everything
        The same before unreadable cases were left out.
    audits
        Of the tier ``check``, by name.
    """

    cohort: Cohort
    facts: pd.DataFrame
    everyone: Cohort
    everything: pd.DataFrame
    audits: dict[str, Audit]


def inspect(source: Path, options: RunOptions, progress: Progress, *, without_test: bool = False) -> Inspected:
    """Gather, scan and audit.

    Parameters
    ----------
    source, options, progress
        Where, what is asked, and the bar.
    without_test
        Put the test cases of a given split aside before any image is read.

    Raises
    ------
    InputError
        When the source cannot be understood.
    """
    everyone = gather(source, options.cohort)
    cohort = with_known(everyone, options.cohort.beside)
    cohort = replace(cohort, synthetic=cohort.synthetic or options.synthetic, notes=(*cohort.notes, *options.remarks))
    if without_test:
        aside = set(cohort.table.loc[cohort.table["split"] == "test", "case_id"])
        cohort = cohort.without(aside, "no test cases", "put aside before any image was read") if aside else cohort
    facts = read_everything(cohort, jobs=options.jobs, progress=progress)
    cohort = with_found_labels(cohort, facts)
    copies = find_copies(cohort, facts, jobs=options.jobs, progress=progress)
    # Kept with the facts, so that whoever draws folds from them later keeps copies on one side.
    return inspected(cohort, with_copies(facts, copies.groups), copies, everyone)


def inspected(cohort: Cohort, facts: pd.DataFrame, copies: Copies, everyone: Cohort) -> Inspected:
    """Audit cases that were scanned and searched for copies, and leave out those that cannot be read.

    The images of `everyone`, who serve another target of the run, are no files that the table forgot; and a patient of
    whom another target's cases are on the other side of a given split is on two sides.
    """
    audits = run_checks(cohort, facts, copies=copies)
    if len(everyone.table) > len(cohort.table):
        audits[UNMATCHED] = unmatched_files(everyone)
        if everyone.has_split:
            whole = patient_overlap(everyone)
            if VERDICTS.index(whole.verdict) > VERDICTS.index(audits[OVERLAP].verdict):
                audits[OVERLAP] = replace(whole, affected=whole.affected & set(cohort.table["case_id"].astype(str)))
    bad = facts.loc[facts["status"] != "ok", "case_id"]
    kept, kept_facts = cohort, facts
    if len(bad):
        kept = cohort.without(set(bad), "readable images", f"{len(bad)} images are missing or unreadable")
        kept_facts = facts[facts["status"] == "ok"].reset_index(drop=True)
    else:
        flow = Flow(
            "readable images", len(cohort.table), int(cohort.table["patient_id"].nunique()), "every image was read"
        )
        kept = replace(cohort, flow=(*cohort.flow, flow))
    return Inspected(kept, kept_facts, cohort, facts, audits)


def with_found_labels(cohort: Cohort, facts: pd.DataFrame) -> Cohort:
    """Return the cohort of a segmentation with its labels named by what the masks of training cases hold.

    Labels that are named already are kept; the scan has told of masks that hold others.

    Raises
    ------
    InputError
        When nothing names the labels and no mask holds one.
    """
    if cohort.target.task != "segmentation" or cohort.target.values:
        return cohort
    rows = learning_rows(cohort).to_numpy() & (facts["status"] == "ok").to_numpy()
    found = {int(label) for text in facts.loc[rows, "mask_labels"].astype("str") for label in text.split(";") if label}
    target = name_found_labels(cohort.target, found)
    if not target.values:
        raise InputError(
            "no mask of a training case holds a label",
            where=f"column {target.name!r}",
            fix="give masks of what is sought",
        )
    return replace(cohort, target=target)


def refuse_bad_images(seen: Inspected, *, skip_bad: bool) -> None:
    """Stop with the whole list of missing and unreadable images, unless the user leaves them out.

    Raises
    ------
    InputError
        Naming every such case.
    """
    bad = seen.everything[seen.everything["status"] != "ok"]
    if bad.empty or (skip_bad and len(seen.cohort.table)):
        return
    lines = [f"case {case}: {problem}" for case, problem in zip(bad["case_id"], bad["problem"], strict=True)]
    of = f"{len(bad)} of {len(seen.everyone.table)} images cannot be read"
    fix = (
        "correct these, or leave such cases out with --skip-bad" if not skip_bad else "none is left: correct the paths"
    )
    raise InputError(of, where=seen.everyone.source, fix=fix, details=lines)


def refuse_void(audits: dict[str, Audit], accept: tuple[str, ...]) -> list[str]:
    """Stop when an audit is void and was not accepted; return the void ones that were.

    Raises
    ------
    InputError
        Naming each void audit and what to do.
    """
    for name in accept:
        if name not in audits:
            raise InputError(f"no audit is called {name!r}{nearest(name, audits)}", where="--accept")
    void = is_void(audits)
    refused = [name for name in void if name not in accept]
    if refused:
        raise InputError(
            "the result would be void",
            where="audits",
            fix="correct the table (`semeion check` shows the cases), or accept by name: "
            + " ".join(f"--accept {name}" for name in refused),
            details=[f"{name}: {audits[name].advice}" for name in refused],
        )
    return void


def keep_inspected(run: Path, seen: Inspected, accepted: list[str]) -> None:
    """Write ``cohort.parquet scan.parquet audits.json`` of inspected cases into a run folder, the last one last."""
    write_cohort(seen.cohort, run / "cohort.parquet")
    with whole_file(run / "scan.parquet") as temporary:
        seen.facts.to_parquet(temporary, index=False)
    verdicts = {name: audit.to_json() for name, audit in seen.audits.items()}
    affected = {name: sorted(cases) for name, cases in affected_cases(seen.audits).items()}
    write_json(run / "audits.json", {"audits": verdicts, "accepted": accepted, "affected": affected})


def labels(cohort: Cohort) -> Any:
    """Return the reference standard, float64 ``(cases,)`` or ``(cases, labels)``; of a segmentation ``(cases, 0)``."""
    values = cohort.table[list(cohort.target.columns)].to_numpy(dtype="float64")
    return values if cohort.target.task in ("multilabel", "segmentation") else values[:, 0]
