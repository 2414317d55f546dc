"""Facts of what the model puts out and how good it is, for the reporting standards."""

from __future__ import annotations

from semeion.report.account import Account
from semeion.report.calibrated import MAPS
from semeion.report.fact import Fact, Tell, audit, cut
from semeion.report.headline import split_words
from semeion.report.practice import useful_words
from semeion.report.robustness import summary_words
from semeion.report.words import HEADLINE, SHORT, figure_text, metric_name, number, plural, significant


def _measures(account: Account) -> Fact | None:
    keys = account.found.evidence.metrics.get(account.split or "", {})
    return Fact("; ".join(metric_name(key) for key in keys), "evidence.json: metrics") if keys else None


def _figures(account: Account, keys: tuple[str, ...]) -> str:
    metrics = account.found.evidence.metrics.get(account.split or "", {})
    return "; ".join(
        f"{SHORT.get(key, metric_name(key))} {figure_text(key, metrics[key].model_dump())}"
        for key in keys
        if key in metrics
    )


def _performance(account: Account) -> Fact | None:
    told = _figures(account, HEADLINE[account.found.evidence.task])
    words = split_words(account.found.evidence, account.split or "")
    return Fact(f"On {words}: {told}", f"evidence.json: metrics.{account.split}; first page") if told else None


def _calibration(account: Account) -> Fact | None:
    told = _figures(account, ("calibration_slope", "calibration_intercept", "brier", "ece"))
    return Fact(told, f"evidence.json: metrics.{account.split}; first page") if told else None


def _calibration_method(account: Account) -> Fact | None:
    made = account.found.evidence.calibration or {}
    if not made.get("method"):
        return None
    value = f" {significant(made['value'])}" if isinstance(made.get("value"), (int, float)) else ""
    fitted = f", fitted on {made['fitted_on']} cases" if made.get("fitted_on") else ""
    how = MAPS.get(made["method"], str(made["method"]))
    return Fact(f"{how}{value}{fitted}", "evidence.json: calibration; the section on calibration")


def _uncertainty(account: Account) -> Fact | None:
    metrics = account.found.evidence.metrics.get(account.split or "", {})
    methods = list(
        dict.fromkeys((figure.method or "").split("; ")[0] for figure in metrics.values() if figure.low is not None)
    )
    return Fact("; ".join(part for part in methods if part), "evidence.json: metrics, method") if any(methods) else None


def _operating_point(account: Account) -> Fact | None:
    point = account.first["operating_point"]
    if point is None:
        return None
    chosen = f", chosen on {point['chosen_on']} cases" if point["chosen_on"] else ""
    if point["value"] is not None:
        told = f"{point['positive']} from a probability of {number(point['value'])}: {point['rule']}{chosen}"
    elif point["by_target"]:
        limits = ", ".join(f"{name} {number(value)}" for name, value in point["by_target"].items())
        told = f"Present from: {limits}; {point['rule']}{chosen}"
    else:
        told = "The class with the largest probability is called"
    return Fact(told, "evidence.json: operating_point; first page")


def _output(account: Account) -> Fact:
    task = account.found.evidence.task
    told = {"regression": "A measured value", "segmentation": "A mask and volumes in ml"}.get(
        task, "A probability of each class or label, and a call"
    )
    return Fact(told, "evidence.json: task")


def _calculation(account: Account) -> Fact | None:
    model = account.found.evidence.model
    told = f"By the exported graphs of the model folder, with `semeion predict`; sha256 of model.json {model}"
    return Fact(told, "model/model.json") if model else None


def _model(account: Account) -> Fact | None:
    model = account.found.evidence.model
    return Fact(f"sha256 of model.json {model}", "model/model.sha256") if model else None


def _subgroups(account: Account) -> Fact | None:
    key = HEADLINE[account.found.evidence.task][0]
    told = []
    for column, levels in account.found.evidence.strata.items():
        rows = [
            f"{level} {figure_text(key, figure.model_dump())}"
            for level, part in levels.items()
            if (figure := part.metrics.get(account.split or "", {}).get(key)) is not None
        ]
        if rows:
            told.append(f"{SHORT.get(key, metric_name(key))} by {column}: {', '.join(rows)}")
    return Fact(cut("; ".join(told)), "evidence.json: strata; report, In subgroups") if told else None


def _heterogeneity(account: Account) -> Fact | None:
    if "site" in account.found.evidence.strata:
        return _subgroups(account)
    return audit("calibration-shift")(account)


def _internal(account: Account) -> Fact | None:
    if account.found.evidence.weighed is not None or account.split in (None, "external"):
        return None
    metrics = account.found.evidence.metrics
    key = HEADLINE[account.found.evidence.task][0]
    name = SHORT.get(key, metric_name(key))
    told = [
        f"{split_words(account.found.evidence, split)}: {name} {figure_text(key, rows[key].model_dump())}"
        for split, rows in metrics.items()
        if key in rows
    ]
    return Fact("; ".join(told), "evidence.json: metrics; report, All figures") if told else None


def _external(account: Account) -> Fact | None:
    told = account.first["external"]
    return None if told["value"] is None else Fact(told["sentence"], "first page", bool(told["value"]))


def _robustness(account: Account) -> Fact | None:
    told = summary_words(account.found.evidence)
    return Fact(cut(told), "evidence.json: robustness; report, If images were worse") if told else None


def _utility(account: Account) -> Fact | None:
    utility = account.found.evidence.utility.get(account.split or "", {})
    told = useful_words(utility.get("useful", [])) if utility else ""
    return Fact(told, f"evidence.json: utility.{account.split}; report, How good it is") if told else None


def _crosstab(account: Account) -> Fact | None:
    matrix = account.found.evidence.confusion.get(account.split or "")
    if matrix is None:
        return None
    rows = [
        f"of {sum(row)} {name}: "
        + ", ".join(f"{n} called {called}" for called, n in zip(matrix.classes, row, strict=False))
        for name, row in zip(matrix.classes, matrix.counts, strict=False)
    ]
    return Fact(cut("; ".join(rows)), f"evidence.json: confusion.{account.split}; report, How good it is")


def _gallery(account: Account) -> Fact | None:
    wrong = sum(case.get("kind") in ("wrong", "worst") for case in account.found.gallery)
    return Fact(f"{plural(wrong, 'wrong case')} shown", "report, Cases") if wrong else None


def _failures(account: Account) -> Fact | None:
    told = " ".join(f"{row['name']}: {row['text']}" for row in account.first["failures"])
    return Fact(cut(told), "first page") if told else None


def _explanation(account: Account) -> Fact | None:
    if account.found.evidence.measured is None:
        return None
    return Fact(
        "The measurements that drove each finding, with what each added", "drivers.parquet; report, Measurements", False
    )


RESULTS: dict[str, Tell] = {
    "baseline": audit("trivial-baseline"),
    "calculation": _calculation,
    "calibration": _calibration,
    "calibration_method": _calibration_method,
    "crosstab": _crosstab,
    "explanation": _explanation,
    "external": _external,
    "failures": _failures,
    "fairness_audit": audit("subgroup-gap", "hidden-strata"),
    "gallery": _gallery,
    "heterogeneity": _heterogeneity,
    "internal": _internal,
    "measures": _measures,
    "model": _model,
    "operating_point": _operating_point,
    "output": _output,
    "performance": _performance,
    "robustness": _robustness,
    "subgroups": _subgroups,
    "uncertainty": _uncertainty,
    "utility": _utility,
}
