"""What every external evaluation has in common, whatever the model's task."""

from __future__ import annotations

from typing import Any

from semeion.audit.checks import NAMES as AUDITS
from semeion.cohort.cohort import Cohort, Flow
from semeion.errors import InputError
from semeion.model.codes import effect_of
from semeion.model.findings import Finding
from semeion.model.runtime import Model
from semeion.study.statements import NO_PATIENTS, made

_WORDS = {"not_applicable": "reason not to apply the model", "unsure": "reason to be unsure"}
NOT_RUN = {
    "verdict": "not_run",
    "tier": "check",
    "figures": {},
    "cases": [],
    "advice": "Run `semeion check` on the table.",
}


def without_unread(cohort: Cohort, unread: dict[str, str], skip_bad: bool) -> Cohort:
    """Return the cohort without the cases that cannot be read, where that is asked for.

    Parameters
    ----------
    cohort
        The cases.
    unread
        Why, by case id.
    skip_bad
        Whether they may be left out.

    Raises
    ------
    InputError
        Naming every such case.
    """
    if not unread:
        return cohort
    if not skip_bad or len(unread) == len(cohort.table):
        raise InputError(
            f"{len(unread)} of {len(cohort.table)} images cannot be read",
            where=cohort.source,
            fix="correct these, or leave such cases out with --skip-bad",
            details=[f"case {case}: {why}" for case, why in unread.items()],
        )
    return cohort.without(set(unread), "readable images", f"{len(unread)} images are missing or unreadable")


def failures(findings: dict[str, list[Finding]]) -> dict[str, str]:
    """Return why cases failed, by case id."""
    return {case: "; ".join(found[0].reasons) for case, found in findings.items() if found[0].status == "failed"}


def external_evidence(
    cohort: Cohort,
    model: Model,
    weighed: dict[str, Any],
    findings: dict[str, list[Finding]],
    *,
    last: str,
    not_validated: list[str],
    **own: Any,
) -> dict[str, Any]:
    """Return ``evidence.json`` of an external evaluation.

    Parameters
    ----------
    cohort, model
        Who was weighed with what.
    weighed
        Figures, with ``notes``.
    findings
        Of each case.
    last
        Why no case was lost in the last step of the flow.
    not_validated
        What no figure speaks for, besides other sites.
    own
        Fields of the task.
    """
    manifest = model.manifest
    notes = [*cohort.notes, *weighed["notes"], *_warned(cohort, findings)]
    if not cohort.has_patients:
        notes.append(NO_PATIENTS)
    flow = Flow("weighed", len(cohort.table), int(cohort.table["patient_id"].nunique()), last)
    return {
        **made(),
        "target": cohort.target.name,
        "task": manifest.task,
        "positive": manifest.positive,
        "classes": list(manifest.classes),
        "why": cohort.target.why,
        "source": cohort.source,
        "synthetic": manifest.synthetic or cohort.synthetic,
        "has_patients": cohort.has_patients,
        "model": model.hash,
        **({} if manifest.adopted is None else {"adopted": manifest.adopted.model_dump()}),
        "operating_point": None,
        "calibration": None if manifest.calibration is None else manifest.calibration.model_dump(exclude_none=True),
        **{key: value for key, value in weighed.items() if key != "notes"},
        "audits": dict.fromkeys(AUDITS, NOT_RUN),
        **own,
        "flow": [vars(step) for step in (*cohort.flow, flow)],
        "accepted": [],
        "members": [],
        "notes": notes,
        "not_validated": ["Other sites than those of this table.", *not_validated],
    }


def _warned(cohort: Cohort, findings: dict[str, list[Finding]]) -> list[str]:
    """Return a sentence for each reason of the input gate: how many cases of this table it concerns."""
    counts: dict[str, int] = {}
    for case in cohort.table["case_id"]:
        for text in {reason.split(":")[0] for reason in findings[case][0].reasons}:
            counts[text] = counts.get(text, 0) + 1
    return [
        f"{count} of {len(cohort.table)} cases carry the {_WORDS.get(effect_of(code), effect_of(code))} {code}."
        for code, count in sorted(counts.items())
    ]
