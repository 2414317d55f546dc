"""The words of the pages: names of figures, what they mean in one sentence, and numbers in sensible digits."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import unquote

NAMES: dict[str, str] = {
    "auroc": "Area under the ROC curve",
    "auprc": "Area under the precision-recall curve",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "precision": "Positive predictive value (precision)",
    "npv": "Negative predictive value",
    "recall": "Sensitivity (recall)",
    "specificity": "Specificity",
    "f1": "F1 score",
    "precision_macro": "Precision, mean of classes",
    "recall_macro": "Recall, mean of classes",
    "f1_macro": "F1 score, mean of classes",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept",
    "kappa_quadratic": "Quadratic weighted kappa",
    "grade_distance": "Mean distance of call and truth, in grades",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "r2": "R², share of variance explained",
    "bias": "Bias, mean of predicted less measured",
    "limit_low": "Lower limit of agreement",
    "limit_high": "Upper limit of agreement",
    "dice": "Dice",
}

SHORT: dict[str, str] = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "precision": "Positive predictive value",
    "npv": "Negative predictive value",
    "recall": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1 score",
    "precision_macro": "Precision",
    "recall_macro": "Recall",
    "f1_macro": "F1 score",
    "brier": "Brier score",
    "kappa_quadratic": "Quadratic kappa",
    "grade_distance": "Mean distance, grades",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "r2": "R²",
    "bias": "Bias",
}

MEANING: dict[str, str] = {
    "auroc": "The chance that a random case with the disease gets a higher score than a random case without it; "
    "0.5 is a coin, 1 is perfect.",
    "auprc": "The positive predictive value averaged over all sensitivities; a useless model scores the share of "
    "positive cases, a perfect one 1.",
    "accuracy": "The share of cases called rightly; misleading when one class is much more frequent than the others.",
    "balanced_accuracy": "The mean, over the classes, of the share of each class that was called rightly.",
    "precision": "Of the cases called positive, the share that is; it falls where the disease is rarer than here.",
    "npv": "Of the cases called negative, the share that is; it falls where the disease is more frequent than here.",
    "recall": "Of the cases with the disease, the share that was called positive.",
    "specificity": "Of the cases without the disease, the share that was called negative.",
    "f1": "The harmonic mean of precision and recall: high only when both are.",
    "brier": "The mean squared distance between the predicted probability and what was true; lower is better.",
    "ece": "How far, on average, predicted probabilities lie from observed frequencies; 0 is perfect.",
    "calibration_slope": "1 when probabilities are as spread out as they should be; below 1 they are too extreme.",
    "calibration_intercept": "0 when the mean probability equals the observed frequency; above 0 the model predicts "
    "too low.",
    "kappa_quadratic": "Agreement of grades beyond chance, where a miss by two grades weighs four times a miss by "
    "one; 1 is perfect.",
    "grade_distance": "How many grades the call lies from the true one on average, up or down; 0 is perfect.",
    "mae": "The mean distance between the predicted and the measured value, in the unit of the target.",
    "rmse": "As the mean absolute error, but large misses weigh more; in the unit of the target.",
    "bias": "Above 0 the prediction is too high on average; in the unit of the target.",
    "limit_low": "Of 100 predictions about 95 lie between both limits, as far from the measured value as these say.",
    "limit_high": "Of 100 predictions about 95 lie between both limits, as far from the measured value as these say.",
    "r2": "The share of the differences between cases that the prediction explains; 0 is no better than the mean.",
    "dice": "Twice the voxels that both masks share over the voxels of both; 1 is perfect, 0 shares nothing.",
    "hd95_mm": "95 of 100 points of either border lie at most this far from the other border, in mm.",
    "assd_mm": "The mean distance between both borders, in mm.",
    "volume_error_ml": "The mean distance between the outlined and the true volume, in ml.",
    "lesion_sensitivity": "Of all lesions of the reference, the share that the model touched.",
    "lesion_precision": "Of all lesions that the model drew, the share that touches a lesion of the reference.",
    "lesion_f1": "Found and true lesions over all lesions of both masks: high only when both shares are.",
    "lesion_count_error": "The mean distance between the outlined and the true number of lesions of a case.",
}

_OF_SEVERAL = {
    "auroc": "Mean over {these}: the chance that a random case of the one gets a higher score for it than a random "
    "other case; 0.5 is a coin, 1 is perfect.",
    "auprc": "Mean over {these} of the positive predictive value averaged over all sensitivities; a useless model "
    "scores the share of cases, a perfect one 1.",
    "recall": "Of the cases with a finding, the share that was called so; mean over {these}.",
    "specificity": "Of the cases without a finding, the share that was not called; mean over {these}.",
    "precision": "Of the calls of a finding, the share that is right; mean over {these}.",
    "f1": "The harmonic mean of precision and recall, high only when both are; mean over {these}.",
}

TERMS: dict[str, str] = {
    "95 % interval": "Were the study repeated on other patients like these, about 95 of 100 such intervals would hold "
    "the true figure.",
    "Operating point": "The probability from which on a case is called positive.",
    "ROC curve": "Sensitivity against the share of false alarms, at every possible operating point.",
    "Precision-recall curve": "Positive predictive value against sensitivity, at every possible operating point.",
    "Calibration": "Whether 30 of 100 cases given a probability of 30 % do have the disease.",
    "Confusion matrix": "How many cases of each true class received each call.",
    "Out-of-fold": "Each case is read by a model that was trained without it or any other case of its patient.",
    "Test cases": "Cases put aside before training, read once, after everything was decided.",
    "Member": "One trained network; the members' probabilities are averaged.",
    "Fold": "One of several parts of the cohort, held out in turn.",
    "Seed": "The number that starts the random generator, so that a run can be repeated.",
    "Macro": "The plain mean over classes, each counting the same however rare it is.",
    "One versus rest": "One class taken as positive and all others together as negative.",
}

SPLITS: dict[str, str] = {
    "test": "test cases",
    "external": "cases of the external validation",
    "oof": "out-of-fold cases",
    "val": "validation cases",
    "calibration": "cases set aside for sets of classes",
    "train": "training cases",
}

SPLIT_ROLE: dict[str, str] = {
    "train": "The networks learned from these cases.",
    "val": "These cases chose when to stop, the calibration and the operating point. Figures on them are optimistic.",
    "calibration": "These validation cases were set aside: they chose nothing and calibrate sets of classes alone.",
    "test": "These cases were put aside before training and read once; they chose nothing.",
    "oof": "Each of these cases was read by a model that was trained without it. Figures on them describe the "
    "procedure; the shipped operating point and calibration were refitted on all of them.",
    "external": "These are other cases than those the model was made from; the shipped model read them.",
}

ADOPTED_ROLE: dict[str, str] = {
    "train": "The network was trained elsewhere, and these cases were not read; their brightness and size say what the "
    "model expects of an image.",
    "val": "These cases chose the calibration and the operating point. Figures on them are optimistic.",
    "test": "These cases were read once and chose nothing here; whether the network learned from them is not known.",
    "oof": "Calibration and operating point of each of these cases were chosen without it; whether the network learned "
    "from it is not known. The shipped ones were chosen on all of them.",
}
"""What the splits are for where the network was trained elsewhere; the others are as :data:`SPLIT_ROLE` says."""

TASKS: dict[str, str] = {
    "binary": "two classes",
    "multiclass": "several classes",
    "multilabel": "several findings, each present or absent",
    "ordinal": "an ordered grade",
    "regression": "a measured value",
    "segmentation": "the outlines of structures",
}

VERDICTS: dict[str, str] = {
    "void": "The result cannot be trusted as it stands.",
    "warn": "Read this before using the figures.",
    "note": "Worth knowing.",
    "clear": "Looked for and not found.",
    "not_run": "Not looked for.",
}

VERDICT_ORDER = ("void", "warn", "note", "clear", "not_run")

HEADLINE: dict[str, tuple[str, ...]] = {
    "binary": ("auroc", "recall", "specificity", "precision"),
    # Not accuracy: where classes are even, balanced accuracy is the same, and elsewhere the frequent class makes it up.
    "multiclass": ("auroc", "balanced_accuracy", "f1_macro"),
    "multilabel": ("auroc", "auprc", "recall", "specificity"),
    "ordinal": ("kappa_quadratic", "grade_distance", "balanced_accuracy", "auroc"),
    "regression": ("mae", "bias", "rmse", "r2"),
    "segmentation": ("dice",),
}

_PER_CLASS = {"precision": "Precision", "recall": "Recall", "f1": "F1 score", "auroc": "AUROC", "auprc": "AUPRC"}
_OF_LABELS = {
    "dice": "Dice",
    "hd95_mm": "95 % Hausdorff distance, mm",
    "assd_mm": "Average surface distance, mm",
    "volume_error_ml": "Volume error, ml",
    "lesion_sensitivity": "Lesions found",
    "lesion_precision": "Lesions that are true",
    "lesion_f1": "F1 of lesions",
    "lesion_count_error": "Error of the number of lesions",
}
_IN_UNITS = (
    "mae",
    "rmse",
    "bias",
    "limit_low",
    "limit_high",
    "hd95_mm",
    "assd_mm",
    "volume_error_ml",
    "lesion_count_error",
)


def metric_name(key: str) -> str:
    """Return the full name of a metric, for example ``recall_benign`` as 'Recall of benign'."""
    if key in NAMES:
        return NAMES[key]
    for kind, words in _OF_LABELS.items():
        if key == kind:
            return words
        if key.startswith(f"{kind}_"):
            return f"{words}: {unquote(key.removeprefix(f'{kind}_'))}"
    if key.startswith("off_by_"):
        return f"Calls {plural(int(key.removeprefix('off_by_')), 'grade')} off"
    head, _, tail = key.partition("_")
    return f"{_PER_CLASS[head]} of {unquote(tail)}" if tail and head in _PER_CLASS else unquote(key).replace("_", " ")


def metric_meaning(key: str, task: str = "binary") -> str:
    """Return one plain sentence that explains a metric for a task, or an empty string for an unknown one."""
    if key.startswith("off_by_"):
        return "Of all cases, the share whose call is so many grades above or below the true one."
    base = key.removesuffix("_macro")
    if base in _OF_SEVERAL and task in ("multiclass", "ordinal", "multilabel"):
        return _OF_SEVERAL[base].format(these="labels" if task == "multilabel" else "classes")
    if key in MEANING:
        return MEANING[key]
    for kind in _OF_LABELS:
        if key.startswith(f"{kind}_"):
            return MEANING[kind]
    return MEANING.get(base.partition("_")[0], "") if key not in NAMES or base != key else ""


def number(value: float | None, digits: int = 3) -> str:
    """Return a decimal number with a true minus sign; '–' for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def significant(value: float | None, digits: int = 3) -> str:
    """Return `value` with about `digits` significant digits, never in exponents between 1e-4 and 1e6."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -4 or size >= 6:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    return number(value, max(digits - 1 - size, 0))


def _in_units(key: str) -> bool:
    return key in _IN_UNITS or key.startswith(tuple(f"{kind}_" for kind in _IN_UNITS))


def figure_value(key: str, figure: dict[str, Any]) -> str:
    """Return the value of one metric without its interval, or 'not defined'."""
    value = figure.get("value")
    if value is None:
        return "not defined"
    return significant(value) if _in_units(key) else number(value)


def figure_interval(key: str, figure: dict[str, Any]) -> str:
    """Return '0.85 to 0.96', with a third digit where two would hide the width; empty without an interval."""
    low, high = figure.get("low"), figure.get("high")
    if low is None or high is None:
        return ""
    if _in_units(key):
        return f"{significant(low)} to {significant(high)}"
    digits = 3 if high - low < 0.03 else 2
    return f"{number(low, digits)} to {number(high, digits)}"


def figure_text(key: str, figure: dict[str, Any]) -> str:
    """Return '0.912 (0.85 to 0.96)'."""
    interval = figure_interval(key, figure)
    return f"{figure_value(key, figure)} ({interval})" if interval else figure_value(key, figure)


def percent(part: float, whole: float) -> str:
    """Return '86 %' with a no-break space, one decimal below 10 %, and 'no cases' for an empty whole."""
    if not whole:
        return "no cases"
    share = 100 * part / whole
    return f"{share:.1f}\u00a0%" if 0 < share < 10 else f"{share:.0f}\u00a0%"


def duration(seconds: float | None) -> str:
    """Return a time a person would say: '48 s', '14 min 12 s', '3 h 05 min'."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def count(value: int | None) -> str:
    """Return an integer with thin spaces between thousands; '–' for None."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")


def plural(n: int | None, one: str, many: str | None = None) -> str:
    """Return '1 case' or '12 cases'."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def present(value: Any) -> Any:
    """Return a count; of ``{absent, present}`` the number present."""
    return value.get("present") if isinstance(value, dict) else value


def plain(value: Any) -> str:
    """Return any value of a plan or of a fact as a person would write it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value).replace("-", "−")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}".replace("-", "−")
    if isinstance(value, dict):
        return "; ".join(f"{key}: {plain(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value) or "none"
    return str(value)
