"""The model card: what a model is for, what it was trained on and how good it is, for the person who gets the folder.

Headings follow Mitchell et al., Model cards for model reporting, FAT* 2019. It names no patient and no case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.model.card_explained import explained_lines
from semeion.model.card_gate import gate_lines
from semeion.model.card_sets import abstaining_lines
from semeion.model.manifest import Figure
from semeion.naming import decode_class

_SPLITS = {
    "test": "held-out test cases, read once",
    "oof": "out-of-fold cases (describes the procedure; the shipped model was refitted)",
    "val": "validation cases (optimistic: choices were made on them)",
    "external": "cases of another source",
    "train": "training cases",
}
_CHOSE = {"val": "validation cases", "oof": "out-of-fold cases"}
_MAPS = {
    "identity": "unchanged",
    "temperature": "a temperature",
    "platt": "Platt's slope and intercept",
    "beta": "a beta map",
    "isotonic": "isotonic regression",
}
_NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "kappa_quadratic": "Quadratic kappa",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "r2": "R2",
    "grade_distance": "Mean distance of call and truth, in grades",
    "bias": "Bias, mean of predicted less measured",
    "limit_low": "Lower limit of agreement",
    "limit_high": "Upper limit of agreement",
    "dice": "Dice, mean of the labels",
}
_OF_LABELS = {
    "dice": "Dice of {}",
    "hd95_mm": "95 % Hausdorff distance of {}, mm",
    "assd_mm": "Average surface distance of {}, mm",
    "volume_error_ml": "Volume error of {}, ml",
}
"""Figures of a segmentation that travel with the model for each label."""
HEADLINE = (
    "auroc",
    "auprc",
    "balanced_accuracy",
    "accuracy",
    "recall",
    "specificity",
    "precision",
    "f1",
    "f1_macro",
    "kappa_quadratic",
    "grade_distance",
    "brier",
    "ece",
    "calibration_slope",
    "calibration_intercept",
    "mae",
    "bias",
    "limit_low",
    "limit_high",
    "rmse",
    "r2",
    "dice",
)
"""Figures that travel with the model, in this order; after them those of each label of a segmentation."""
_MOST_LABELS = 50


def headline(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the headline figures of ``evidence.json``'s ``metrics`` for the manifest's ``evidence``.

    Parameters
    ----------
    metrics
        split -> name -> ``{value, low, high, n, n_patients, method, ...}``.

    Returns
    -------
    dict
        The same with the names of `HEADLINE`, those of each label of a segmentation, and the keys of
        :class:`~semeion.model.manifest.Figure` only.
    """
    return {
        split: {
            name: {key: figures[name][key] for key in Figure.model_fields if key in figures[name]}
            for name in [*(name for name in HEADLINE if name in figures), *_label_figures(figures)]
        }
        for split, figures in metrics.items()
    }


def _label_figures(figures: Mapping[str, Any]) -> list[str]:
    """Return the names of figures of single labels, label by label."""
    labels = [name.removeprefix("dice_") for name in figures if name.startswith("dice_")][:_MOST_LABELS]
    return [f"{kind}_{label}" for label in labels for kind in _OF_LABELS if f"{kind}_{label}" in figures]


def _title(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    for kind, words in _OF_LABELS.items():
        if name.startswith(f"{kind}_"):
            return words.format(plain(decode_class(name.removeprefix(f"{kind}_"))))
    return name.replace("_", " ").capitalize()


def render_card(parts: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    """Return the model card as Markdown.

    Parameters
    ----------
    parts
        What :func:`semeion.model.package.write_model` takes: fields of the manifest.
    evidence
        The content of ``evidence.json``. Counts, figures, notes and verdicts are taken from it, case ids are not.
    """
    sections = [
        _opening(parts, evidence),
        _use(parts),
        _training(parts, evidence),
        _figures(evidence),
        _decision(parts, evidence),
        gate_lines(evidence),
        explained_lines(evidence),
        _limits(evidence),
        _how(parts),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _opening(parts: Mapping[str, Any], evidence: Mapping[str, Any]) -> list[str]:
    kind = "segmentation" if parts["task"] == "segmentation" else "diagnosis"
    lines = [f"# {plain(parts['target'])}: a {kind} model", ""]
    if parts.get("synthetic") or evidence.get("synthetic"):
        lines += ["**Trained on synthetic images. It says nothing about any patient.**", ""]
    if evidence.get("neighbours"):
        lines += [f"**{evidence['neighbours']['sentence']}**", ""]
    if adopted := _plain_dict(parts.get("adopted")):
        lines += [f"**{plain(adopted['sentence'])}**", ""]
    lines += ["**Research use only. Not a medical device; not for decisions about patients.**"]
    return lines


def _use(parts: Mapping[str, Any]) -> list[str]:
    task = parts["task"]
    if task == "regression":
        unit = f" in {plain(parts['unit'])}" if parts.get("unit") else ""
        asked = f"It estimates {plain(parts['target'])}{unit}."
    else:
        names = ", ".join(plain(name) for name in parts.get("classes", ()))
        asked = {
            "binary": f"It tells {names} apart; the positive class is {plain(parts.get('positive') or '')}.",
            "multilabel": f"It says of each of these whether it is present: {names}.",
            "segmentation": f"It outlines in every voxel: {names}. It tells no disease from health.",
            "ordinal": f"It grades, from lowest to highest: {names}.",
        }.get(task, f"It tells these classes apart: {names}.")
    inputs = parts.get("inputs") or {}
    get = inputs.get if isinstance(inputs, Mapping) else lambda key, other=None: getattr(inputs, key, other)
    modality = " ".join(plain(name) for name in get("modality") or ())
    image = f"{_images(get)} a case"
    columns = [one["name"] if isinstance(one, Mapping) else one.name for one in get("covariates") or ()]
    known = ", ".join(plain(name) for name in columns)
    return [
        "## Intended use",
        "",
        asked,
        f"{image}{', modality ' + modality if modality else ''}.",
        *([f"The table must also say: {known}. A value may be missing."] if known else []),
        "A finding says when an image is unlike the training images, and is not called where it is far from them.",
    ]


def _images(get: Any) -> str:
    """Return what a case consists of, in words."""
    names = [plain(name) for name in get("names") or ()]
    kind = {"grey": "grey two-dimensional image", "colour": "colour two-dimensional image"}.get(
        str(get("photometry")), "volume"
    )
    if not names:
        return f"One {kind}"
    role = {"channels": "channels of one grid", "frames": "frames of one anatomy", "views": "views"}
    return f"{len(names)} {kind}s ({', '.join(names)}; {role.get(str(get('role')), 'images')})"


def _training(parts: Mapping[str, Any], evidence: Mapping[str, Any]) -> list[str]:
    adopted = _plain_dict(parts.get("adopted"))
    lines = ["## Calibration and evaluation data" if adopted else "## Training data", ""]
    if adopted:
        lines += ["The network learned nothing from these cases here: they calibrate and weigh it.", ""]
    if evidence.get("source"):
        lines += [f"Source: {plain(evidence['source'])}.", ""]
    splits = evidence.get("splits") or {}
    if splits:
        lines += ["| split | cases | patients | classes |", "|---|---|---|---|"]
    for split, facts in splits.items():
        counts = ", ".join(f"{plain(name)} {count}" for name, count in (facts.get("class_counts") or {}).items())
        patients = facts.get("n_patients")
        lines.append(
            f"| {plain(split)} | {facts.get('n', '')} | {'not known' if patients is None else patients} | {counts} |"
        )
    members = evidence.get("members") or parts.get("members") or ()
    if members and not adopted:
        lines += ["", _ensemble(members)]
    return lines


def _ensemble(members: Sequence[Any]) -> str:
    """Return how many members were learned and how those that ship become one."""
    each = [_plain_dict(one) or {} for one in members]
    n, networks = len(each), all(one.get("recipe", "network") == "network" for one in each)
    what = f"{n} {'network' if networks else 'member'}{'s' if n != 1 else ''}"
    shares = [one.get("share") for one in each]
    known = [share for share in shares if share is not None]
    if len(known) < n or max(known) - min(known) < 1e-9:
        return f"{what}; the mean of their outputs is taken."
    having = sum(share > 0 for share in known)
    if having == 1:
        students = sum(str(one.get("recipe")).startswith("student") for one in each)
        if students:
            alone = "one network" if students == 1 else f"{students} networks, one a fold"
            teachers = f"{n - students} member{'s' if n - students != 1 else ''}"
            return f"{teachers} learned and taught {alone}; one network ships alone, and figures are of what ships."
        return f"{what} learned; one of them ships alone."
    some = "" if having == n else f" of the {having} that have a share"
    return f"{what}; the mean of the outputs{some} is taken, weighted by their shares."


def _figures(evidence: Mapping[str, Any]) -> list[str]:
    lines = ["## How good it is", ""]
    metrics = evidence.get("metrics") or {}
    found = False
    for split, figures in headline(metrics).items():
        if not figures:
            continue
        found = True
        lines += [
            f"On {_SPLITS.get(split, plain(split))}:",
            "",
            "| figure | value | 95 % interval | cases |",
            "|---|---|---|---|",
        ]
        for name, figure in figures.items():
            lines.append(f"| {_title(name)} | {_value(figure)} | {_interval(figure)} | {figure.get('n') or ''} |")
        lines.append("")
    if not found:
        lines.append("No figures were measured.")
    return lines[:-1] if lines[-1] == "" else lines


def _value(figure: Mapping[str, Any]) -> str:
    value = figure.get("value")
    return _number(value) if value is not None else f"undefined ({plain(figure.get('reason') or 'no reason given')})"


def _interval(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    if low is None or high is None:
        return f"none ({plain(figure['reason'])})" if figure.get("reason") else "none"
    return f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def _decision(parts: Mapping[str, Any], evidence: Mapping[str, Any]) -> list[str]:
    if parts["task"] == "segmentation":
        return _looking(parts)
    if parts["task"] == "regression":
        return _interval_of_value(evidence)
    point = _plain_dict(parts.get("operating_point"))
    chosen = (evidence.get("operating_point") or {}).get("chosen_on")
    on = f", chosen on {_SPLITS.get(chosen, plain(chosen))}" if chosen else ""
    lines = ["## Operating point and calibration", ""]
    rule = plain(point.get("rule", ""))
    if point.get("value") is not None:
        positive = plain(parts.get("positive") or "positive")
        lines.append(f"Called {positive} when its probability is at least {point['value']:.4g} (rule {rule}{on}).")
    elif point.get("by_target"):
        limits = ", ".join(f"{plain(name)} {value:.4g}" for name, value in point["by_target"].items())
        lines.append(f"Called present when its probability is at least: {limits} (rule {rule}{on}).")
    else:
        lines.append("The class with the largest probability is called.")
    if _plain_dict(parts.get("measured")).get("images"):
        lines.append(
            "The probability is the mean, with equal weights, of that from measurements and that of networks that see "
            "the images, each calibrated for itself; measurements explain the first alone."
        )
    calibration = _plain_dict(parts.get("calibration"))
    if calibration:
        fitted = (evidence.get("calibration") or {}).get("fitted_on")
        on = f" fitted on {_CHOSE.get(fitted, plain(fitted))}" if fitted else ""
        lines.append(f"Probabilities are {_calibrated_how(calibration, on)}.")
    return [*lines, *abstaining_lines(parts, evidence)]


def _interval_of_value(evidence: Mapping[str, Any]) -> list[str]:
    """Return what the interval around a measured value promises, or why there is none."""
    found = _plain_dict(evidence.get("interval"))
    if not found:
        return []
    lines = ["## Interval around the value", ""]
    if found.get("half_width") is None:
        return [*lines, f"None ships: {plain(found.get('reason') or 'the evidence does not say why')}"]
    lines.append(
        f"`low` and `high` of a finding are the value less and plus {_number(found['half_width'])}; stated coverage "
        f"{found['coverage']:g}, from the errors of {found['n_patients']} patients."
    )
    lines.append(plain(found["promise"]))
    for split, each in (evidence.get("intervals") or {}).items():
        if held := each.get("coverage"):
            on = _SPLITS.get(split, plain(split))
            lines.append(f"Measured on {on}: they held the truth of a share of {_value(held)} ({_interval(held)}).")
    return lines


def _calibrated_how(calibration: dict[str, Any], on: str) -> str:
    """Return how the probabilities are calibrated, label by label where each has a map of its own."""
    if calibration.get("maps"):
        each = ", ".join(f"{plain(name)} {_MAPS[by['kind']]}" for name, by in calibration["maps"].items())
        return f"calibrated label by label{on}: {each}"
    if calibration.get("map"):
        return f"calibrated by {_MAPS[calibration['map']['kind']]}{on}"
    if calibration.get("value") == 1:
        return "as the networks give them: no map made them better"
    return f"scaled by a temperature{on}"


def _looking(parts: Mapping[str, Any]) -> list[str]:
    how = _plain_dict(parts.get("segmentation"))
    rules = ", ".join(plain(rule) for rule in how.get("postprocess") or ()) or "none"
    values = ", ".join(
        f"{value} {plain(name)}" for name, value in zip(parts["classes"], how.get("values") or (), strict=False)
    )
    return [
        "## How it outlines",
        "",
        (
            f"Windows overlap by {how.get('overlap', 0.5):.0%} and are averaged with Gaussian weights; the most "
            "probable label of each voxel is written."
        ),
        f"Post-processing: {rules}. Values in the mask: {values}; 0 is the background.",
    ]


def _plain_dict(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    return dict(value) if isinstance(value, Mapping) else dict(value.model_dump())


def _limits(evidence: Mapping[str, Any]) -> list[str]:
    lines = ["## What was not validated", ""]
    gaps: Sequence[str] = evidence.get("not_validated") or ()
    lines += [f"- {plain(sentence)}" for sentence in gaps]
    if "external" not in (evidence.get("metrics") or {}):
        lines.append("- It was not tried on images of another hospital or scanner (see `semeion evaluate`).")
    lines.append("- Agreement with readers, effect on care, and fairness between groups of patients were not studied.")
    audits = evidence.get("audits") or {}
    loud = [(name, audit["verdict"]) for name, audit in audits.items() if audit.get("verdict") in ("void", "warn")]
    accepted = set(evidence.get("accepted") or ())
    for name, verdict in loud:
        lines.append(f"- Audit {plain(name)}: {verdict}{' (accepted by the user)' if name in accepted else ''}.")
    return lines


def _how(parts: Mapping[str, Any]) -> list[str]:
    outlines = parts["task"] == "segmentation"
    steps = parts.get("preparation")
    volumes = isinstance(_plain_dict(steps).get("channels"), list | tuple)
    image = "image.nii.gz" if volumes else "image.png"
    call = "the call, and calibrated probabilities"
    if parts["task"] == "regression":
        ends = parts.get("interval") is not None
        call = "the measured value" + (" with the ends of its interval" if ends else "")
    row = f"One row a case with a status, {call}, and coded reasons."
    graph = "input `image` uint8 (N, C, H, W)" if not volumes else "input `image` uint8 (N, C, D, H, W)"
    if outlines:
        row = "One row a case and label with a status, the volume in ml, the mask's path, and coded reasons."
        graph = "input `image` float32 (N, C, D, H, W) or slice by slice (N, C, H, W)"
    return [
        "## How to use",
        "",
        "```",
        f"semeion predict MODEL_FOLDER {image} -o findings.csv{' --masks masks' if outlines else ''}",
        "```",
        "",
        row,
        "`model.json` lists every file with its sha256, which shows damage, not forgery.",
        f"The networks are ONNX: {graph}, prepared as `model.json` says; output `logits`.",
    ]


def plain(value: Any) -> str:
    """Return text on one line in which Markdown and HTML mean nothing; names come from tables of others."""
    text = " ".join(str(value).split())
    for letter in "\\`*[]<>|":
        text = text.replace(letter, f"\\{letter}")
    return text
