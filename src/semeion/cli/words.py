"""What commands print on standard output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semeion.model.findings import Tally
    from semeion.plan.measure_schema import MeasuredPlan
    from semeion.plan.schema import Plan
    from semeion.plan.segment_schema import SegmentationPlan
    from semeion.study import Run

HEADLINE = (
    "auroc",
    "auprc",
    "balanced_accuracy",
    "accuracy",
    "recall",
    "specificity",
    "precision",
    "f1_macro",
    "kappa_quadratic",
    "grade_distance",
    "mae",
    "bias",
    "limit_low",
    "limit_high",
    "rmse",
    "r2",
)
SHOWN_AS = {
    "recall": "sensitivity (recall)",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R2",
    "grade_distance": "mean grades off",
    "limit_low": "lower limit",
    "limit_high": "upper limit",
}
SPLITS = {
    "test": "test cases",
    "oof": "held-out cases of every fold",
    "external": "external cases",
    "val": "validation cases (optimistic)",
}


STATUSES = {"not_applicable": "not applicable"}
"""Statuses of findings in words, where the word is another."""


def print_run(run: Run) -> None:
    """Print a finished run: figures, then where things are."""
    evidence = run.evidence
    if evidence["synthetic"]:
        print("The data are synthetic: generated phantoms, no patient.\n")
    print_metrics(evidence)
    for further in evidence["targets"].values() if "several" in evidence else ():
        print()
        print_metrics(further)
    if "measured" in evidence:
        print_measured(evidence["measured"])
    if "neighbours" in evidence:
        print(f"\n{evidence['neighbours']['sentence']}")
    budget = evidence["budget"]
    asked = f" of {budget['asked_seconds']:.0f} s" if budget["asked_seconds"] else ""
    print(f"\nUsed {budget['used_seconds']:.0f} s{asked}; learning ended: {budget['ended']}.")
    print(f"Report: {_short(run.path / 'report.html')}\nModel:  {_short(run.path / 'model')}")


def print_metrics(evidence: Mapping[str, Any]) -> None:
    """Print the headline figures of the most honest split there is."""
    split = next((name for name in SPLITS if name in evidence["metrics"]), None)
    if split is None:
        print("There are no figures: no labelled case outside the training split.")
        return
    metrics = evidence["metrics"][split]
    some = next(iter(metrics.values()))
    positive = f", positive class {evidence['positive']!r}" if evidence["positive"] else ""
    # Of an evaluation its evidence says whether the cases are external; only then they are called so.
    shown = (evidence.get("external") or {}).get("status", "external") == "external" or split != "external"
    cases = f"{some['n']} {SPLITS[split] if shown else 'cases'}, {some['n_patients']} patients"
    print(f"{evidence['target']} ({evidence['task']}{positive}) on {cases}:")
    for name in HEADLINE if evidence["task"] != "segmentation" else _mask_figures(metrics):
        if name in metrics:
            print(f"  {SHOWN_AS.get(name, name.replace('_', ' ')):22} {figure(metrics[name])}")
    point = evidence.get("operating_point") or {}
    if point.get("value") is not None:
        print(f"  called {evidence['positive']!r} from a probability of {point['value']:.3f} on ({point['rule']})")
    print("Research use only. Intervals are 95 %, over patients.")


def _mask_figures(metrics: Mapping[str, Any]) -> list[str]:
    """Return the figures of masks that are printed: Dice and 95 % Hausdorff distance, then lesions."""
    return [name for part in ("dice", "hd95_mm", "lesion") for name in metrics if name.startswith(part)]


def print_measured(measured: Mapping[str, Any]) -> None:
    """Print how measurements of predicted masks agree with those of reference masks, the first ones of each split."""
    for split, found in measured["agreement"].items():
        print(f"measured in predicted masks against reference masks, {SPLITS[split]}:")
        for name, entry in list(found.items())[:4]:
            unit = f" {entry['unit']}" if entry["unit"] else ""
            print(f"  {name:22} mean absolute error {figure(entry['mae'])}{unit}")


def figure(entry: Mapping[str, Any]) -> str:
    """Return ``0.912 (0.850 to 0.960)``, or why there is none."""
    if entry["value"] is None:
        return f"undefined: {entry.get('reason', '')}"
    value = f"{entry['value']:.3f}"
    if entry["low"] is None:
        return f"{value} (no interval: {entry.get('reason', '')})"
    return f"{value} ({entry['low']:.3f} to {entry['high']:.3f})"


def print_check(check: Mapping[str, Any], output: Path | None) -> None:
    """Print what ``check`` found."""
    patients = f"{check['n_patients']} patients" if check["has_patients"] else "no patient ids"
    print(f"{check['source']}: {check['n_cases']} cases, {patients}")
    print(f"target {check['target']!r}: {check['task']}. {check['why']}")
    for name, split in check["splits"].items():
        counts = ", ".join(f"{label} {count}" for label, count in split.get("class_counts", {}).items())
        print(f"  {name}: {split['n']} cases{': ' + counts if counts else ''}")
    images = check["images"]
    if check.get("kind") == "volume" and images["ok"]:
        print(f"volumes: {_volumes(images)}")
    if check.get("role", "single") != "single":
        print(f"images of a case: {check['role']} {', '.join(check['image_names'])}")
    print(f"images: {images['ok']} read, {images['missing']} missing, {images['unreadable']} unreadable")
    for note in check["notes"]:
        print(f"note: {note}")
    if check["unused"]:
        print(f"columns not used: {', '.join(check['unused'])}")
    print()
    print_audits(check["audits"])
    if output is not None:
        print(f"\nPage: {_short(output / 'check.html')}")


def print_audits(audits: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the verdict of each audit, with advice where there is something to do."""
    for name, audit in audits.items():
        advice = "" if audit["verdict"] == "clear" else f"  {audit['advice']}"
        print(f"  {audit['verdict']:8} {name}{advice}")
        if audit["verdict"] in ("void", "warn") and audit["cases"]:
            print(f"           cases: {_first(audit['cases'])}")


def _volumes(images: Mapping[str, Any]) -> str:
    """Return ``35 x 50 x 36 voxels of 1 x 1 x 1 mm (medians), PSR, HU``."""
    size = " x ".join(f"{images[name]['median']:.0f}" for name in ("cols", "rows", "slices"))
    spacing = " x ".join(f"{images['spacing_mm'][axis]['median']:.3g}" for axis in "ijk")
    turned = ", ".join(f"{name} {count}" for name, count in images["orientation"].items())
    units = ", ".join(f"{name} {count}" for name, count in images["unit"].items()) or "no unit"
    return f"{size} voxels of {spacing} mm (medians); orientation {turned}; {units}"


def print_plan(plan: Plan | SegmentationPlan | MeasuredPlan, output: Path) -> None:
    """Print the main decisions with their reasons."""
    from semeion.plan.measure_schema import MeasuredPlan
    from semeion.plan.schema import Plan

    if isinstance(plan, Plan):
        _print_networks(plan)
    elif isinstance(plan, MeasuredPlan):
        take = plan.measurements.take
        print(f"target {plan.target.name!r}: {plan.target.task}, {len(plan.target.classes)} classes, from measurements")
        print(
            f"  measured: {take.kind}, {', '.join(take.structures)}; {len(plan.measurements.features)} are classified"
        )
        print(f"  {plan.validation.why.get('folds', '')}")
        _print_outlines(plan.segmentation)
        if plan.images is not None:
            share = f"{plan.images.share:.0%} of the time"
            print(f"averaged, with equal weights, with networks that see the images ({share}):")
            _print_networks(plan.images.networks)
    else:
        print(f"target {plan.target.name!r}: segmentation of {', '.join(plan.target.classes)}")
        _print_outlines(plan)
    print(f"expected: {plan.budget.expected_seconds / 60:.1f} minutes, {plan.budget.expected_gib:.1f} GiB")
    print(f"\nPlan: {_short(output)} (every decision has its reason; edit it, then `semeion train --plan`)")


def _print_outlines(plan: SegmentationPlan) -> None:
    for arm in plan.arms:
        network = arm.network
        sides = " x ".join(map(str, network.patch))
        print(f"arm {arm.name}: U-Net {network.widths}, windows {sides}, batches of {arm.batch}, {arm.precision}")
        for reason in arm.why.values():
            print(f"  {reason}")
    print(f"{len(plan.members)} networks, {sum(member.steps for member in plan.members)} steps")
    print(f"  {plan.validation.why.get('scheme', '')}; {plan.choice.why.get('arm', '')}")
    if "supervision_tried" in plan.choice.why:
        print(f"  deep supervision: {plan.choice.why['supervision_tried']}")


def _print_networks(plan: Plan) -> None:
    print(f"target {plan.target.name!r}: {plan.target.task}, {len(plan.target.classes)} classes")
    shape = plan.shape
    if plan.images.role != "single":
        print(f"images of a case: {plan.images.role} {', '.join(plan.images.names)}")
    size = f"input {' x '.join(map(str, shape[1:]))} x {shape[0]}"
    if all(member.recipe is not None for member in plan.members):
        print(f"{size}; {', '.join(plan.recipes)}")
        for name in ("frozen", "tuned", "network"):
            if name in plan.combination.why:
                print(f"  {name}: {plan.combination.why[name]}")
    else:
        _print_own(plan, size)
    steps = sum(member.steps for member in plan.members)
    print(f"{len(plan.members)} members, {steps} steps of {plan.training.batch} images in {plan.training.precision}")
    print(f"  {plan.validation.why.get('scheme', '')}; {plan.validation.why.get('members', '')}")


def _print_own(plan: Plan, size: str) -> None:
    kinds = {"residual": "residual network", "residual3d": "residual network in three dimensions"}
    if plan.network.kind == "own":
        network = f"your network {plan.network.factory}"
    else:
        kind = kinds.get(plan.network.kind, f"residual network of slices, {plan.network.pooling} over them")
        network = f"{kind} {plan.network.widths}"
    print(f"{size}; {network}")
    for name in ("kind", "pooling", "group_pooling", "shared"):
        if name in plan.network.why:
            print(f"  {name.replace('_', ' ')}: {plan.network.why[name]}")
    print(f"  {plan.network.why.get('widths', plan.network.why.get('factory', ''))}")


def print_findings(counts: Mapping[str, int], output: Path, tally: Tally | None = None) -> None:
    """Print how many findings of each status were written, and of those without a call the most frequent reasons."""
    from semeion.model.codes import CODES, effect_of, meaning_of

    said = ", ".join(f"{count} {STATUSES.get(status, status)}" for status, count in counts.items())
    print(f"{said or 'no case'}: {output}")
    reasons = [] if tally is None else sorted(tally.reasons.items(), key=lambda one: (-one[1], one[0]))
    for (status, code), count in reasons:
        # What made the status, and not what else was remarked.
        if code in CODES and effect_of(code) == status:
            print(f"  {count} {STATUSES.get(status, status)}: {meaning_of(code)} ({code})")


def _first(cases: list[Any], most: int = 8) -> str:
    shown = ["=".join(map(str, case)) if isinstance(case, list) else str(case) for case in cases[:most]]
    return ", ".join(shown) + (f" and {len(cases) - most} more" if len(cases) > most else "")


def _short(path: Path) -> Path:
    """Return the path relative to the working folder when it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
