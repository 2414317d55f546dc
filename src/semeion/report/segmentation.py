"""``report.html`` and ``report.json`` of a segmentation: figures by label, outlines, volumes, choices, limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semeion.artefacts import machine_errors, write_bytes, write_json
from semeion.errors import InputError
from semeion.naming import encode_class
from semeion.report.account import account_of
from semeion.report.audit_pictures import audit_images
from semeion.report.audits import audits
from semeion.report.chai import write_card
from semeion.report.content import CONTENT_SCHEMA, budget_sentence, metric_tables, patients, software, strata
from semeion.report.crosswalk import write_crosswalk
from semeion.report.figures import forest
from semeion.report.flow_picture import flow_picture
from semeion.report.headline import headline_split, listed, split_role, split_words
from semeion.report.outside import HEADS, outside
from semeion.report.planned import facts_of, plan_sections
from semeion.report.reading import Artefacts
from semeion.report.render import LARGEST_PAGE, render, spend
from semeion.report.segmentation_figures import bland_altman, dice_spread
from semeion.report.words import TERMS, metric_meaning, metric_name

TABLE = "predictions.parquet"
KINDS = ("dice", "hd95_mm", "assd_mm", "volume_error_ml")
LESION_KINDS = ("lesion_sensitivity", "lesion_precision", "lesion_f1", "lesion_count_error")
_MOST_PICTURES = 6
"""Labels whose volumes are drawn."""
_FOR_GALLERY = 3_000_000
_TITLES = {
    "best": ("Best", "The highest mean Dice."),
    "median": ("Median", "Half of the cases are outlined better, half worse."),
    "worst": ("Worst", "The lowest mean Dice. Look here for what the model does not understand."),
}
_TERMS = {"95 % interval", "Test cases", "Out-of-fold", "Member", "Fold", "Seed"}


def segmentation_report(found: Artefacts, run: Path, name: str) -> Path:
    """Write the report of a segmentation run or of its evaluation.

    Parameters
    ----------
    found
        The artefacts, from :func:`semeion.report.reading.read_artefacts`. Of the evidence the keys ``agreement`` and
        ``choice`` are used besides those of every task; cases of the gallery have ``kind`` (best, median, worst),
        ``dice`` and ``labels``.
    run
        The folder. Its ``predictions.parquet`` has one row a case and label: ``split label dice reference_ml
        predicted_ml``.
    name
        What both files are called.

    Raises
    ------
    InputError
        When the table is missing or damaged, or the page would be too large.
    """
    split = headline_split(found.evidence.metrics)
    account = account_of(found, run)
    content = segmentation_content(found, _cases(run / TABLE, split), split) | account.content()
    write_json(run / f"{name}.json", content)
    images, left_out = spend(found.pictures, _FOR_GALLERY)
    page = render(
        "segmentation.html.j2",
        script=None,
        pictures=_pictures(content),
        images=images,
        left_out=left_out,
        audit_images=audit_images(content["audits"]["shown"], found.audited),
        budget_sentence=budget_sentence(content["budget"]),
        **content,
    )
    if len(page) >= LARGEST_PAGE:
        raise InputError(
            f"the report would be {len(page) / 1e6:.1f} MB, and {LARGEST_PAGE / 1e6:.0f} MB is the limit",
            where="evidence.json",
            fix="lessen the number of strata or labels; evidence.json has every figure",
        )
    write_bytes(run / f"{name}.html", page)
    write_crosswalk(account, f"{name}.html")
    write_card(account)
    return run / f"{name}.html"


def segmentation_content(found: Artefacts, cases: list[dict[str, Any]], split: str | None) -> dict[str, Any]:
    """Return the content model of the page, which is also ``report.json``; figures are copied from the evidence."""
    evidence = found.evidence
    metrics = evidence.metrics.get(split or "", {})
    facts = evidence.splits.get(split or "")
    mean = metrics.get("dice")
    return {
        "schema": CONTENT_SCHEMA,
        "semeion": evidence.semeion,
        "created": evidence.created,
        "synthetic": evidence.synthetic,
        "question": {
            "target": evidence.target,
            "task": evidence.task,
            "classes": evidence.classes,
            "title": f"Outlining {listed(evidence.classes)}",
            "why": evidence.why,
            "source": evidence.source,
            "external": outside(evidence) if split == "external" else None,
            "external_head": HEADS.get(outside(evidence) or "") if split == "external" else None,
        },
        "headline": {
            "split": split,
            "split_words": split_words(evidence, split or ""),
            "optimistic": split == "val",
            "role": split_role(evidence, split or ""),
            "n": facts.n if facts else None,
            "n_patients": facts.n_patients if facts else None,
            "figures": [
                {"key": key, "name": metric_name(key), "short": metric_name(key), **metrics[key].model_dump()}
                for key in ("dice", *(f"dice_{encode_class(label)}" for label in evidence.classes))
                if key in metrics
            ],
            "method": (mean.method or "").split("; ")[0] if mean is not None and mean.low is not None else "",
        },
        "labels": _labels(evidence.classes, metrics),
        "cases": cases,
        "agreement": {
            label: {key: figure for key, figure in one.model_dump().items() if key not in ("title", "unit")}
            for label, one in evidence.agreement.get(split or "", {}).items()
        },
        "choices": [choice.model_dump() for choice in evidence.choice if len(choice.options) > 1],
        "registration": [row.model_dump() for row in evidence.registration],
        "gallery": _gallery(found.gallery),
        "audits": audits(evidence, split, found.audited),
        "patients": patients(found),
        "strata": strata(evidence, split),
        "metrics": metric_tables(evidence),
        "not_validated": evidence.not_validated,
        "notes": evidence.notes,
        "plan": plan_sections({**(found.plan or {}), "choice": None} if found.plan else None, found.asked),
        "fingerprint": facts_of(found.fingerprint),
        "adopted": False,
        "distillation": None,
        "combination": None,
        "pretraining": None,
        "taught": None,
        "search": None,
        "members": evidence.members,
        "performance": {"split": split, "calibration": {}},
        "calibrated": None,
        "budget": evidence.budget or {},
        "cost": evidence.cost or {},
        "software": software(found),
        "terms": [
            *({"term": term, "meaning": meaning} for term, meaning in TERMS.items() if term in _TERMS),
            *(
                {"term": metric_name(kind), "meaning": metric_meaning(kind)}
                for kind in (*KINDS, *LESION_KINDS)
                if kind == "dice" or any(key.startswith(f"{kind}_") for key in metrics)
            ),
        ],
    }


def _labels(classes: list[str], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row a label with its figures by kind, and the kinds that any label has."""
    rows = []
    for label in classes:
        keys = {kind: f"{kind}_{encode_class(label)}" for kind in (*KINDS, *LESION_KINDS)}
        figures = {kind: metrics[key].model_dump() for kind, key in keys.items() if key in metrics}
        rows.append({"label": label, "figures": figures})
    kinds = [kind for kind in (*KINDS, *LESION_KINDS) if any(kind in row["figures"] for row in rows)]
    return {"kinds": kinds, "names": [metric_name(kind) for kind in kinds], "rows": rows}


def _gallery(cases: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "title": title, "words": words, "case": case}
        for kind, (title, words) in _TITLES.items()
        for case in cases
        if case.get("kind") == kind
    ]


def _cases(path: Path, split: str | None) -> list[dict[str, Any]]:
    """Return label, Dice and volumes of every case of a split; without ids, which the page does not list."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = ["split", "label", "dice", "reference_ml", "predicted_ml"]
    if not path.is_file():
        raise InputError("there is no table of measurements", where=str(path), fix="end the run with `semeion resume`")
    try:
        with machine_errors(path):
            table = pq.read_table(path, columns=wanted)
    except (pa.ArrowInvalid, pa.ArrowKeyError, KeyError) as error:
        raise InputError(
            "is damaged, or holds no measurements of masks", where=str(path), fix="restore it from a copy"
        ) from error
    if set(table.column_names) != set(wanted):
        raise InputError("holds no measurements of masks", where=str(path), fix="restore it from a copy")
    rows = [row for row in table.to_pylist() if row.pop("split") == split]
    return [
        {key: None if isinstance(one, float) and math.isnan(one) else one for key, one in row.items()} for row in rows
    ]


def _pictures(content: Mapping[str, Any]) -> dict[str, str]:
    cases, labels = content["cases"], content["question"]["classes"]
    of = {label: [row for row in cases if row["label"] == label] for label in labels}
    pictures = {"flow": flow_picture(content["flow_diagram"])}
    if any(row["dice"] is not None for row in cases):
        pictures["spread"] = dice_spread("spread", {name: [row["dice"] for row in rows] for name, rows in of.items()})
    for index, (name, rows) in enumerate(list(of.items())[:_MOST_PICTURES]):
        agreement = content["agreement"].get(name)
        rows = [row for row in rows if row["reference_ml"] is not None]
        if rows and agreement:
            reference, predicted = ([row[key] for row in rows] for key in ("reference_ml", "predicted_ml"))
            pictures[f"volumes-{index}"] = bland_altman(f"volumes-{index}", name, reference, predicted, agreement)
    for index, section in enumerate(content["strata"]):
        for place, key in enumerate(section["keys"][:1]):
            rows = [(row["level"], row["figures"][key]) for row in section["rows"] if key in row["figures"]]
            if len(rows) > 1:
                name = f"strata-{index}-{place}"
                pictures[name] = forest(name, rows[:20], metric_name(key), unit=True)
    return pictures
