"""Run folders for tests of the pages: figures computed by plain numpy from random predictions."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import yaml

TEXT = ["text removed"]
MISSING = "6 images were missing; left out with --skip-bad"
HOSTILE = "<script>alert('x')</script>"


def figure(value: float | None, spread: float = 0.04, n: int = 156, reason: str | None = None) -> dict[str, Any]:
    """Return one metric as evidence.json holds it."""
    if value is None:
        return {
            "value": None,
            "low": None,
            "high": None,
            "n": n,
            "n_patients": n,
            "method": "bootstrap",
            "reason": reason,
        }
    return {
        "value": float(value),
        "low": float(value) - spread,
        "high": float(value) + 0.8 * spread if value > 2 else min(float(value) + 0.8 * spread, 1.0),
        "n": n,
        "n_patients": n,
        "method": "95 % BCa bootstrap over patients, 2000 resamples",
    }


def auc(y: np.ndarray, p: np.ndarray) -> float:
    """Return the Mann-Whitney area."""
    return float((p[y == 1][:, None] > p[y == 0]).mean())


def yes_no(y: np.ndarray, p: np.ndarray, value: float, classes: list[str]) -> dict[str, Any]:
    """Return metrics, confusion and curves of one yes-or-no question, the positive class last in `classes`."""
    thresholds = np.unique(np.r_[0.0, value, np.quantile(p, np.linspace(0, 1, 150)), 1.0])
    called = p >= thresholds[:, None]
    tp, fp = (called & (y == 1)).sum(1), (called & (y == 0)).sum(1)
    fn, tn = (y == 1).sum() - tp, (y == 0).sum() - fp
    at = p >= value
    counts = [[int((~at & (y == t)).sum()), int((at & (y == t)).sum())] for t in (0, 1)]
    hit = counts[1][1]
    recall, specificity = hit / sum(counts[1]), counts[0][0] / sum(counts[0])
    precision = hit / max(hit + counts[0][1], 1)
    n = len(y)
    edges = np.linspace(0, 1, 9)
    bins = [y[(p >= low) & (p < high)] for low, high in pairwise(edges)]
    means = [p[(p >= low) & (p < high)] for low, high in pairwise(edges)]
    kept = [(m.mean(), b.mean(), len(b)) for m, b in zip(means, bins, strict=True) if len(b) > 2]
    half = [1.96 * np.sqrt(max(o * (1 - o), 0.02) / k) for _, o, k in kept]
    with np.errstate(invalid="ignore"):
        ppv = np.where(tp + fp > 0, tp / np.maximum(tp + fp, 1), 1.0)
    order = np.argsort(-thresholds)
    return {
        "metrics": {
            "auroc": figure(auc(y, p), 0.05, n),
            "auprc": figure(float((ppv * np.gradient(-tp / (y == 1).sum())).sum().clip(0, 1)), 0.08, n),
            "accuracy": figure((counts[0][0] + hit) / n, 0.05, n),
            "balanced_accuracy": figure((recall + specificity) / 2, 0.05, n),
            "precision": figure(precision, 0.1, n),
            "recall": figure(recall, 0.1, n),
            "specificity": figure(specificity, 0.06, n),
            "f1": figure(2 * precision * recall / max(precision + recall, 1e-9), 0.08, n),
            "brier": figure(float(((p - y) ** 2).mean()), 0.02, n),
            "ece": figure(0.041, 0.02, n),
            "calibration_slope": figure(0.94, 0.2, n),
            "calibration_intercept": figure(-0.06, 0.2, n),
            **{
                f"{key}_{name}": figure(v, 0.07, n)
                for name, (r, pr) in zip(
                    classes, [(specificity, counts[0][0] / max(counts[0][0] + counts[1][0], 1)), (recall, precision)],
                    strict=True,
                )
                for key, v in (("precision", pr), ("recall", r), ("f1", 2 * pr * r / max(pr + r, 1e-9)))
            },
        },
        "confusion": {"classes": classes, "counts": counts},
        "curves": {
            "roc": {
                "x": (fp / (y == 0).sum())[order].tolist(),
                "y": (tp / (y == 1).sum())[order].tolist(),
                "threshold": thresholds[order].tolist(),
            },
            "pr": {"x": (tp / (y == 1).sum()).tolist(), "y": ppv.tolist(), "threshold": thresholds.tolist()},
            "calibration": {
                "x": [float(m) for m, _, _ in kept],
                "y": [float(o) for _, o, _ in kept],
                "low": [max(float(o - h), 0) for (_, o, _), h in zip(kept, half, strict=True)],
                "high": [min(float(o + h), 1) for (_, o, _), h in zip(kept, half, strict=True)],
                "n": [k for _, _, k in kept],
            },
            "points": {
                "threshold": thresholds.tolist(),
                "tp": tp.tolist(), "fp": fp.tolist(), "tn": tn.tolist(), "fn": fn.tolist(),
            },
        },
    }  # fmt: skip


def draw(n: int, seed: int, share: float = 0.27, skill: float = 1.9) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of a middling model."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)
    return y, 1 / (1 + np.exp(-(skill * (2 * y - 1) * 0.75 - 0.6 + rng.normal(0, 1.35, n))))


def audit(verdict: str, advice: str = "", cases: list[Any] | None = None, **figures: float) -> dict[str, Any]:
    """Return one audit."""
    return {"verdict": verdict, "tier": "check", "figures": figures, "cases": cases or [], "advice": advice}


def audits() -> dict[str, Any]:
    """Return verdicts of every kind but void."""
    copies = "3 test cases are exact copies of training cases. Figures may be a little too good."
    return {
        "unreadable-images": audit(
            "note", "6 cases were left out.", ["17", "85", "102", "233", "240", "611"], missing=6
        ),
        "blank-images": audit("clear", blank=0),
        "near-duplicates": audit("warn", copies, [["12", "644"], ["88", "701"], ["91", "702"]], copies_across_test=3),
        "patient-overlap": audit("clear", "No patient is on two sides of the split.", patients=0),
        "label-conflicts": audit("clear", conflicts=0),
        "class-counts": audit("clear", smallest_class=42),
        "target-leak": audit("not_run"),
    }


def base(task: str, classes: list[str], split: str, n: int) -> dict[str, Any]:
    """Return what every evidence.json holds."""
    return {
        "schema": 1, "semeion": "0.1.0", "target": "finding", "task": task, "positive": None, "classes": classes,
        "source": "breastmnist", "synthetic": False, "created": "2026-01-15", "has_patients": True,
        "operating_point": {"rule": "argmax"},
        "calibration": {"method": "temperature", "value": 1.31, "fitted_on": "val", "by_fold": {}},
        "metrics": {}, "confusion": {}, "curves": {}, "targets": {}, "strata": {}, "splits": {},
        "flow": [
            {"step": "in the source", "n_cases": 792, "n_patients": 640, "reason": "every row of the table"},
            {"step": "with a label", "n_cases": 786, "n_patients": 637, "reason": "the target is missing"},
            {"step": "readable", "n_cases": 780, "n_patients": 633, "reason": MISSING},
        ],
        "audits": audits(),
        "accepted": [], "without_accepted": None,
        "members": [
            {"name": f"fold{k}", "fold": k, "seed": k, "steps": 1180 - 40 * k, "epochs": 21.5, "seconds": 148.2 + 3 * k,
             "val_loss": 0.34, "val_metric": {"name": "auroc", "value": 0.91 - 0.008 * k},
             "stopped": "no improvement in 6 epochs" if k else "steps done"}
            for k in range(3)
        ],
        "cost": {"seconds": 861.0, "peak_mib": 1210.4},
        "budget": {"asked_seconds": 900, "used_seconds": 861.0, "ended": "budget"},
        "notes": ["The text encoding of the table was guessed as UTF-8."],
        "not_validated": ["No other hospital's images were read.", "No reader compared the calls with a clinician's."],
    }  # fmt: skip


PLAN: dict[str, Any] = {
    "schema": 1,
    "seed": 0,
    "task": "binary",
    "target": {"name": "finding", "positive": "malignant", "why": {"positive": "malignant is a disease word."}},
    "preparation": {
        "channels": 1, "intensity": "stored", "window": None, "size": [64, 64], "fit": "pad",
        "clean": {"borders": False, "text": True, "salt": False, "equalise": False},
        "why": {"channels": "All images are grey.", "size": "Images are 64 pixels at the median.",
                "clean": "Burned-in text was found in 31 % of the images."},
    },
    "network": {"name": "resnet", "width": 32, "depth": 3, "parameters": 812_000,
                "why": {"name": "The best that fits the budget on this machine.", "width": "546 training cases."}},
    "training": {"batch": 64, "steps": 1180, "learning_rate": 0.002, "loss": "cross entropy",
                 "augment": ["flip", "shift", "gain"],
                 "why": {"loss": "Classes are 27 to 73, mild enough for plain cross entropy.",
                         "augment": "Ultrasound: left and right may be exchanged, top and bottom may not."}},
    "operating_point": {"rule": "youden", "why": "The default: no cost was stated."},
    "members": [{"name": "fold0"}, {"name": "fold1"}, {"name": "fold2"}],
}  # fmt: skip


def binary(split: str = "test", *, negative: str = "normal or benign", positive: str = "malignant") -> dict[str, Any]:
    """Return the evidence of a binary target."""
    classes, value = [negative, positive], 0.412
    evidence = base("binary", classes, split, 156)
    for name, (n, seed) in {"val": (78, 2), split: (156, 5)}.items():
        y, p = draw(n, seed)
        found = yes_no(y, p, value, classes)
        for key in ("metrics", "confusion", "curves"):
            evidence[key][name] = found[key]
        evidence["splits"][name] = {
            "n": n, "n_patients": n - 9, "class_counts": {negative: int((y == 0).sum()), positive: int(y.sum())},
        }  # fmt: skip
    if split == "external":
        evidence["splits"].pop("val")
        for key in ("metrics", "confusion", "curves"):
            evidence[key].pop("val")
    else:
        evidence["splits"]["train"] = {"n": 546, "n_patients": 440, "class_counts": {negative: 399, positive: 147}}
    evidence["positive"] = positive
    evidence["operating_point"] = {"rule": "youden", "value": value, "chosen_on": "val", "n": 78, "by_fold": {}}
    levels = {}
    for level, seed in {"A": 11, "B": 12, "C": 13}.items():
        y, p = draw(52, seed)
        levels[level] = {"metrics": {split: yes_no(y, p, value, classes)["metrics"]}}
    evidence["strata"] = {"site": levels}
    return evidence


def multiclass(task: str = "multiclass", k: int = 5) -> dict[str, Any]:
    """Return the evidence of several classes, or of a grade."""
    classes = ["oedema", "consolidation", "atelectasis", "pleural effusion", "no finding"][:k]
    if task == "ordinal" or k > 5:
        classes = [f"grade {index}" for index in range(k)]
    rng = np.random.default_rng(3)
    n = 420
    y = rng.integers(0, k, n)
    logits = rng.normal(0, 1, (n, k))
    logits[np.arange(n), y] += 2.1
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    call = p.argmax(1)
    counts = [[int(((y == a) & (call == b)).sum()) for b in range(k)] for a in range(k)]
    evidence = base(task, classes, "test", n)
    metrics: dict[str, Any] = {"accuracy": figure((y == call).mean(), 0.05, n)}
    curves: dict[str, Any] = {}
    areas, f1s = [], []
    for index, name in enumerate(classes):
        one = (y == index).astype(int)
        curves[name] = {
            key: v for key, v in yes_no(one, p[:, index], 0.5, ["rest", name])["curves"].items() if key != "points"
        }
        hit, truth, called = counts[index][index], sum(counts[index]), sum(row[index] for row in counts)
        recall, precision = hit / truth, hit / max(called, 1)
        f1s.append(2 * recall * precision / max(recall + precision, 1e-9))
        areas.append(auc(one, p[:, index]))
        metrics |= {f"recall_{name}": figure(recall, 0.08, n), f"precision_{name}": figure(precision, 0.08, n),
                    f"f1_{name}": figure(f1s[-1], 0.07, n)}  # fmt: skip
    metrics["auroc"] = figure(float(np.mean(areas)), 0.02, n)
    metrics["f1_macro"] = figure(float(np.mean(f1s)), 0.04, n)
    metrics["balanced_accuracy"] = figure(float(np.mean([counts[i][i] / sum(counts[i]) for i in range(k)])), 0.05, n)
    if task == "ordinal":
        metrics["kappa_quadratic"] = figure(0.71, 0.06, n)
    evidence["metrics"]["test"], evidence["curves"]["test"] = metrics, curves
    evidence["confusion"]["test"] = {"classes": classes, "counts": counts}
    evidence["splits"]["test"] = {
        "n": n,
        "n_patients": 377,
        "class_counts": {c: int((y == i).sum()) for i, c in enumerate(classes)},
    }
    return evidence


def multilabel() -> dict[str, Any]:
    """Return the evidence of three labels, each present or absent, weighed out of fold."""
    labels = ["cardiomegaly", "effusion", "nodule"]
    evidence = base("multilabel", labels, "oof", 500)
    for index, name in enumerate(labels):
        y, p = draw(500, 20 + index, 0.12 + 0.1 * index, 1.3 + 0.5 * index)
        found = yes_no(y, p, 0.37, ["absent", "present"])
        evidence["targets"][name] = {
            **{key: {"oof": found[key]} for key in ("metrics", "confusion", "curves")},
            "operating_point": {"rule": "sensitivity=0.95", "value": 0.37, "by_fold": {"0": 0.35, "1": 0.4}},
        }
    for key in ("auroc", "auprc", "recall", "specificity"):
        mean = np.mean([evidence["targets"][name]["metrics"]["oof"][key]["value"] for name in labels])
        evidence["metrics"].setdefault("oof", {})[key] = figure(float(mean), 0.03, 500)
    evidence["splits"]["oof"] = {
        "n": 500,
        "n_patients": 410,
        "class_counts": {name: {"absent": 440 - 50 * i, "present": 60 + 50 * i} for i, name in enumerate(labels)},
    }
    evidence["operating_point"] = {
        "rule": "sensitivity=0.95",
        "chosen_on": "oof",
        "n": 500,
        "by_target": dict.fromkeys(labels, 0.37),
    }
    return evidence


MEASUREMENTS = {
    "lv_ef_percent": ("Left ventricular ejection fraction", "%"),
    "lv_edv_ml": ("Left ventricular end-diastolic volume", "ml"),
    "lv_mass_volume_g_per_ml": ("Myocardial mass over left ventricular end-diastolic volume", "g/ml"),
    "rv_ef_percent": ("Right ventricular ejection fraction", "%"),
    "wall_ratio": ("Thickest over mean wall <i>at end-diastole</i>", ""),
}


def measured() -> dict[str, Any]:
    """Return the evidence of a diagnosis from measurements of hearts."""
    evidence = multiclass(k=5)
    evidence["metrics"]["oof"] = evidence["metrics"].pop("test")
    for key in ("curves", "confusion", "splits"):
        evidence[key]["oof"] = evidence[key].pop("test")
    rng = np.random.default_rng(8)

    def agreement(n: int) -> dict[str, Any]:
        found = {}
        for name, (title, unit) in MEASUREMENTS.items():
            error = float(rng.uniform(1, 6))
            names = {"mae": error, "bias": -0.3 * error, "limit_low": -2.4 * error, "limit_high": 1.8 * error}
            found[name] = {"title": title, "unit": unit, **{key: figure(v, 0.8, n) for key, v in names.items()}}
        found["wall_ratio"] |= dict.fromkeys(names, figure(None, n=0, reason="no case has both values"))
        return found

    shares = [0.41, 0.27, 0.17, 0.11, 0.04]
    evidence["measured"] = {
        "kind": "heart",
        "features": list(MEASUREMENTS),
        "importance": dict(zip(MEASUREMENTS, shares, strict=True)),
        "titles": {name: title for name, (title, _) in MEASUREMENTS.items()},
        "classifiers": {
            "by_fold": ["forest", "boosting", "forest", "extra-trees", "forest"],
            "shipped": "forest",
            "losses": {"forest": 0.41, "extra-trees": 0.44, "boosting": 0.52},
        },
        "agreement": {"oof": agreement(70)},
        "masks": {
            "oof": {
                "dice": figure(0.89, 0.01, 140),
                "hd95_mm_lv": figure(4.2, 0.5, 140),
                **{
                    f"dice_{name}": figure(v, 0.012, 140)
                    for name, v in (("rv", 0.86), ("lv", 0.93), ("wall%20x", 0.85))
                },
            }
        },
        "networks": {"trained": 10, "shipped": 5},
        "unmeasured": {"oof": ["c7"]},
    }
    return evidence


def write_drivers(folder: Path, evidence: dict[str, Any], n: int = 40) -> None:
    """Write ``drivers.parquet`` and ``predictions.parquet`` of a diagnosis from measurements; every fourth is wrong."""
    classes, rng = evidence["classes"], np.random.default_rng(2)
    drivers, predictions = [], []
    for case in range(n):
        called = classes[case % len(classes)]
        truth = classes[(case + 1) % len(classes)] if case % 4 == 0 else called
        row = {"case_id": f"case {case:02d}", "patient_id": f"secret{case}", "split": "oof", "member": "ensemble"}
        predictions.append({**row, "y_true": truth})
        for rank, name in enumerate(rng.permutation(list(MEASUREMENTS))[:3], start=1):
            title, unit = MEASUREMENTS[str(name)]
            value = float("nan") if (case, rank) == (1, 2) else float(rng.uniform(5, 200))
            drivers.append(
                {
                    "case_id": row["case_id"],
                    "split": "oof",
                    "rank": rank,
                    "class": called,
                    "measurement": name,
                    "title": title,
                    "value": value,
                    "unit": unit,
                    "added": 0.4 / rank - 0.15 * (rank == 3),
                }
            )
    pd.DataFrame(drivers).to_parquet(folder / "drivers.parquet", index=False)
    pd.DataFrame(predictions).to_parquet(folder / "predictions.parquet", index=False)


def regression() -> dict[str, Any]:
    """Return the evidence of a measured value."""
    rng = np.random.default_rng(4)
    truth = rng.normal(56, 9, 220)
    pred = truth * 0.8 + 11 + rng.normal(0, 4, 220)
    evidence = base("regression", [], "test", 220)
    evidence["target"] = "ejection_fraction"
    error = pred - truth
    evidence["metrics"]["test"] = {
        "mae": figure(float(np.abs(error).mean()), 0.4, 220),
        "rmse": figure(float(np.sqrt((error**2).mean())), 0.5, 220),
        "r2": figure(float(1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum()), 0.06, 220),
    }
    evidence["curves"]["test"] = {"scatter": {"truth": truth.round(2).tolist(), "pred": pred.round(2).tolist()}}
    evidence["splits"]["test"] = {"n": 220, "n_patients": 220, "class_counts": {}}
    evidence["operating_point"], evidence["calibration"] = None, None
    return evidence


def picture(seed: int, side: int = 64) -> bytes:
    """Return a PNG: a dark lesion in speckle."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side] / side - 0.5
    lesion = (rows / (0.2 + 0.15 * rng.random())) ** 2 + (cols / (0.2 + 0.2 * rng.random())) ** 2 < 1
    speckle = cv2.GaussianBlur(rng.rayleigh(60, (side, side)).astype(np.float32), (3, 3), 0)
    pixels = np.clip(np.where(lesion, speckle * 0.35, speckle), 0, 255).astype(np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def write_run(folder: Path, evidence: dict[str, Any], *, plan: bool = True, gallery: int = 6) -> Path:
    """Write a run folder as training leaves it, as far as the report reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evidence.json").write_text(json.dumps(evidence))
    if plan:
        (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN, sort_keys=False))
        executed = {**PLAN, "training": {**PLAN["training"], "steps": 1100}}
        (folder / "plan.executed.yaml").write_text(yaml.safe_dump(executed, sort_keys=False))
        facts = {"schema": 1, "n_cases": 624, "median_size": [64, 64], "intensity": {"mean": 83.2, "p005": 2.0}}
        (folder / "fingerprint.json").write_text(json.dumps(facts))
    if gallery:
        (folder / "gallery").mkdir(exist_ok=True)
        names = evidence["classes"] or ["51.2", "63.0"]
        cases = []
        for number, kind in enumerate(("right", "wrong", "unsure")):
            for index in range(gallery):
                name = f"{kind}-{index}.png"
                (folder / "gallery" / name).write_bytes(picture(100 * number + index))
                called = {"call": names[(index + (kind == "wrong")) % len(names)], "p": round(0.9 - 0.02 * index, 3)}
                case = {
                    "case_id": f"{number}{index:03d}",
                    "file": name,
                    "truth": names[index % len(names)],
                    "split": "test",
                }
                cases.append({**case, **called, "kind": kind})
        (folder / "gallery" / "gallery.json").write_text(json.dumps({"cases": cases}))
    return folder


def check() -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the content of check.json and the pictures before and after cleaning."""
    counts = {"normal or benign": 399, "malignant": 147}
    found = {
        "schema": 1,
        "semeion": "0.1.0",
        "target": "finding",
        "task": "binary",
        "positive": "malignant",
        "classes": ["normal or benign", "malignant"],
        "why": "Two values; malignant is a disease word, so it is positive.",
        "source": "cohort.csv",
        "n_cases": 780,
        "n_patients": 633,
        "has_patients": True,
        "has_split": True,
        "splits": {name: {"n": 546, "n_patients": 440, "class_counts": counts} for name in ("train", "val", "test")},
        "images": {
            "ok": 780,
            "missing": 4,
            "unreadable": 2,
            "formats": {"png": 700, "dicom": 80},
            "photometry": {"grey": 780},
            "bits": {"8": 700, "16": 80},
            "rows": {"min": 28, "median": 64, "max": 512},
            "cols": {"min": 28, "median": 64, "max": 640},
            "intensity": {"minimum": 0, "p005": 2.1, "mean": 83.27, "p995": 251.4, "maximum": 255},
            "modality": {"US": 80, "": 700},
        },
        "unused": ["age", "operator"],
        "covariates": [],
        "notes": ["The text encoding was guessed as UTF-8."],
        "flow": base("binary", [], "test", 0)["flow"],
        "audits": audits(),
        "cleaning": {
            "borders": {"asked": False, "share": 0.0, "why": "No image has black borders."},
            "text": {"asked": True, "share": 0.31, "why": "Text was found in 31 % of the images."},
        },
        "examples": [
            {"case_id": str(i), "label": "malignant", "before": f"{i}b.png", "after": f"{i}a.png", "steps": TEXT}
            for i in range(4)
        ],
    }
    pictures = {f"{i}{when}.png": picture(50 + i, 128) for i in range(4) for when in "ba"}
    return found, pictures


BUILDERS = {
    "binary": binary,
    "multiclass": multiclass,
    "ordinal": lambda: multiclass("ordinal", 4),
    "multilabel": multilabel,
    "regression": regression,
}
