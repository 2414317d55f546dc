"""A model in service is watched: its logs against its baseline, and labels that came later against its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from semeion import __version__
from semeion.errors import InputError
from semeion.model.manifest import Manifest
from semeion.model.opening import Opened, place, read_listed
from semeion.model.several_targets import is_several, open_whole
from semeion.model.signature import check_signature
from semeion.monitor.baseline import Baseline, read_baseline
from semeion.monitor.key import read_key
from semeion.monitor.logfile import check_model, read_log, refuse_inside
from semeion.monitor.periods import By
from semeion.monitor.watch import FEWEST, PARTS, Asked, joined, watch, when
from semeion.report.monitor_page import write_monitor
from semeion.study.monitoring_labels import label_evidence

SCHEMA = 1


def monitor_model(
    model: Path,
    logs: Sequence[Path],
    output: Path,
    *,
    labels: Path | None = None,
    by: By = "week",
    rate: float = 0.05,
    seed: int = 0,
    require_signature: Path | None = None,
) -> dict[str, Any]:
    """Write ``monitor.json`` and ``monitor.html``, and return the content of the first.

    Parameters
    ----------
    model
        The model folder or file.
    logs
        Folders that ``predict --log`` was given, or their files ``log.parquet``.
    output
        A folder; made when absent.
    labels
        A table with ``case_id`` and the model's target, of cases in the logs.
    by
        Periods.
    rate
        The false-alarm rate, for as long as the model is in service.
    seed
        Of ties, deals and resamples.
    require_signature
        The public key (PEM) that the model must be signed with.

    Raises
    ------
    ModelRefused
        When the model cannot be trusted.
    InputError
        When it ships no baseline, or a log or the labels do not belong to it.
    """
    refuse_inside(output, model, "--output")
    manifest, digest, baseline = open_watched(model, require_signature)
    read = []
    for path in logs:
        log = read_log(path)
        check_model(path, log.model, digest)
        read.append(log)
    logs_of = joined(read)
    whole, again, n = logs_of.whole, logs_of.again, len(logs_of.compared)
    found = watch(logs_of.compared, baseline, manifest, Asked(by, rate, seed))
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "semeion": __version__,
        "created": datetime.now(UTC).date().isoformat(),
        "synthetic": manifest.synthetic,
        "model": digest,
        "target": manifest.target,
        "task": manifest.task,
        "classes": list(manifest.classes),
        "positive": manifest.positive,
        "by": by,
        "n": len(whole),
        "compared": n,
        "again": again,
        "from": when(whole.time[0]),
        "to": when(whole.time[-1]),
        "fewest": FEWEST,
        "false_alarms": {"rate": rate, **{name: share * rate for name, share in PARTS.items()}},
        "baseline": _told(baseline),
        **found,
        "labels": None,
        "notes": _notes(baseline, manifest, n, again, len(whole) - n),
    }
    if labels is not None:
        keys = [read_key(path if path.is_dir() else path.parent) for path in logs]
        result["labels"] = label_evidence(labels, keys, whole, manifest, by, seed)
    write_monitor(output, result)
    return result


def open_watched(model: Path, require_signature: Path | None = None) -> tuple[Manifest, str, Baseline]:
    """Open a model of one target, and what it is watched by; see :func:`monitor_model` for what is raised."""
    if is_several(model):
        raise InputError(
            "a model of several targets is watched target by target",
            where=str(model),
            fix="give the model of one of them, below its folder `targets`",
        )
    opened = open_whole(model)
    if require_signature is not None:
        check_signature(opened, require_signature)
    if not isinstance(opened.manifest, Manifest):
        raise TypeError("a manifest of one target")
    return opened.manifest, opened.hash, _baseline(opened, opened.manifest)


def _baseline(opened: Opened[Any], manifest: Manifest) -> Baseline:
    if manifest.monitor is None:
        why = (
            "it was trained elsewhere and adopted"
            if manifest.adopted is not None
            else ("it was made by an earlier version, by a road that makes none, or of fewer than 50 patients")
        )
        raise InputError(
            f"the model ships no baseline to compare with: {why}",
            where=str(opened.path),
            fix="train it again with this version, on 50 patients or more",
        )
    data = read_listed(opened.path, manifest.monitor, manifest.files[manifest.monitor])
    return read_baseline(data, where=place(opened.path, manifest.monitor))


def _told(baseline: Baseline) -> dict[str, Any]:
    return {
        "cases": baseline.cases,
        "statistics": {one.name: sum(one.counts) for one in baseline.statistics},
        "features": 0 if baseline.embedding is None else baseline.embedding.n,
    }


def _notes(baseline: Baseline, manifest: Manifest, n: int, again: int, further: int) -> list[str]:
    """Return what a reader should know; `further` cases are of patients of whom another is compared."""
    families = {one.family for one in baseline.statistics}
    notes = []
    if n < FEWEST:
        notes.append(f"{n} cases are too few to say anything: at least {FEWEST} are needed, {FEWEST - n} more.")
    if again:
        notes.append(f"{again} lines were left out: their cases had been read before.")
    if further:
        notes.append(
            f"{further} further cases of patients of whom one is compared already were left out of all but the labels: "
            "images of one patient are alike, and would look like a change."
        )
    if "features" not in families:
        notes.append("Features are not watched: the model ships no reference of them.")
    if "probabilities" not in families and manifest.task == "regression":
        notes.append(
            "The measured value is not compared: those of cases held out come from a part of the members each, and the "
            "mean of all members varies less."
        )
    elif "probabilities" not in families:
        notes.append(
            "Probabilities are not compared one by one: those of cases held out come from a part of the members each, "
            "and the mean of all members is less extreme. What would be called is."
        )
    if "abstained" not in families:
        notes.append(
            "How often cases held out are set aside is not known: the share not called is shown, and raises no alarm."
        )
    return notes
