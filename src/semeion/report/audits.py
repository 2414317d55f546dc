"""The audits of a run as a page shows them: the gravest first, and the figures without the cases they affect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.audit_pictures import Seen, shown_content
from semeion.report.evidence import Evidence
from semeion.report.words import HEADLINE, VERDICT_ORDER, metric_name

_MOST_CASES = 60
"""Case ids of one audit that are listed on the page; evidence.json has all."""


def audits(evidence: Evidence, split: str | None, seen: Mapping[str, Seen]) -> dict[str, Any]:
    """Return the audits with the gravest first, those accepted, and the figures without the affected cases.

    `seen` has the cases that audits name, as far as they are known.
    """
    rows = audit_rows(evidence.audits, evidence.accepted)
    without = evidence.without_accepted
    figures: list[dict[str, Any]] = []
    if without:
        metrics = without.get("metrics", without)
        for key, figure in (metrics.get(split) or {}).items() if isinstance(metrics, Mapping) else ():
            if isinstance(figure, Mapping):
                figures.append({"key": key, "name": metric_name(key), **figure})
    wanted = HEADLINE[evidence.task]
    return {
        "rows": rows,
        "counts": {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICT_ORDER},
        "shown": shown_content(evidence.audits, seen),
        "accepted": evidence.accepted,
        "late": [row["name"] for row in rows if row["verdict"] == "void" and row["name"] not in evidence.accepted],
        "left_out": (without or {}).get("cases_left_out"),
        "without_accepted": [row for row in figures if row["key"] in wanted] or figures[:4],
    }


def audit_rows(found: Mapping[str, Mapping[str, Any]], accepted: list[str]) -> list[dict[str, Any]]:
    """Return the audits as rows, the gravest verdict first; long lists of cases are cut, with their true length."""
    rows = []
    for name, audit in found.items():
        cases = list(audit.get("cases") or [])
        verdict = str(audit.get("verdict", "not_run"))
        rows.append(
            {
                "name": name,
                "verdict": verdict if verdict in VERDICT_ORDER else "not_run",
                "accepted": name in accepted,
                "tier": audit.get("tier", ""),
                "advice": audit.get("advice", ""),
                # A list of cases is shown as such, below the table.
                "figures": {key: item for key, item in (audit.get("figures") or {}).items() if not _of_cases(item)},
                "cases": cases[:_MOST_CASES],
                "n_cases": len(cases),
            }
        )
    return sorted(rows, key=lambda row: VERDICT_ORDER.index(row["verdict"]))


def _of_cases(figure: Any) -> bool:
    return isinstance(figure, list) and any(isinstance(item, Mapping) for item in figure)
