"""The figures one weighting at a time with scikit-learn and scipy: what the vectorised ones are held against."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import stats
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, logit
from sklearn import metrics as sk


def binary(y: np.ndarray, p: np.ndarray, call: np.ndarray, w: np.ndarray) -> dict[str, float]:
    """Class 1 is positive; NaN where a class weighs nothing, and for precision where nothing is called."""
    out = per_class(y, call, w, 2)
    both = all(w[y == j].sum() > 0 for j in (0, 1))
    edges = np.minimum((p * 10).astype(int), 9)
    out |= {
        "auroc": sk.roc_auc_score(y, p, sample_weight=w) if both else np.nan,
        "auprc": sk.average_precision_score(y, p, sample_weight=w) if both else np.nan,
        "accuracy": sk.accuracy_score(y, call, sample_weight=w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, call, sample_weight=w) if both else np.nan,
        "precision": out["precision_1"],
        "recall": out["recall_1"],
        "specificity": out["recall_0"],
        "f1": out["f1_1"],
        "brier": sk.brier_score_loss(y, p, sample_weight=w, pos_label=1),
        "ece": sum(abs((w * (y - p))[edges == b].sum()) for b in range(10)) / w.sum(),
    }
    return out


def several(y: np.ndarray, p: np.ndarray, call: np.ndarray, w: np.ndarray) -> dict[str, float]:
    """Multi-class figures; a class without weight makes the averages NaN."""
    k = p.shape[1]
    out = per_class(y, call, w, k)
    whole = all(w[y == j].sum() > 0 for j in range(k))
    top, right = p.max(axis=1), p.argmax(axis=1) == y
    edges = np.minimum((top * 10).astype(int), 9)
    hot = np.eye(k)[y]
    out |= {
        "auroc": np.mean([sk.roc_auc_score(y == j, p[:, j], sample_weight=w) for j in range(k)]) if whole else np.nan,
        "auprc": np.mean([sk.average_precision_score(y == j, p[:, j], sample_weight=w) for j in range(k)])
        if whole
        else np.nan,
        "accuracy": sk.accuracy_score(y, call, sample_weight=w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, call, sample_weight=w) if whole else np.nan,
        "brier": np.average(((p - hot) ** 2).sum(axis=1), weights=w),
        "ece": sum(abs((w * (right - top))[edges == b].sum()) for b in range(10)) / w.sum(),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out["kappa_quadratic"] = sk.cohen_kappa_score(y, call, weights="quadratic", sample_weight=w, labels=range(k))
    out["grade_distance"] = sk.mean_absolute_error(y, call, sample_weight=w)
    out |= {f"off_by_{d}": w[np.abs(y - call) == d].sum() / w.sum() for d in range(1, k)}
    return out


def per_class(y: np.ndarray, call: np.ndarray, w: np.ndarray, k: int) -> dict[str, float]:
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        y, call, sample_weight=w, labels=range(k), zero_division=0
    )
    out: dict[str, float] = {}
    whole = True
    for j in range(k):
        there, called = w[y == j].sum() > 0, w[call == j].sum() > 0
        whole = whole and there
        out[f"precision_{j}"] = precision[j] if called else np.nan
        out[f"recall_{j}"] = recall[j] if there else np.nan
        out[f"f1_{j}"] = f1[j] if there else np.nan
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        out[f"{name}_macro"] = values.mean() if whole else np.nan
    return out


def regression(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> dict[str, float]:
    drawn = w > 0
    bias = np.average(p - y, weights=w)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Weights count cases, and the standard deviation is that of a sample.
        sd = np.sqrt(np.average((p - y - bias) ** 2, weights=w) * w.sum() / (w.sum() - 1)) if w.sum() > 1 else np.nan
    return {
        "bias": bias,
        "limit_low": bias - 1.96 * sd,
        "limit_high": bias + 1.96 * sd,
        "mae": sk.mean_absolute_error(y, p, sample_weight=w),
        "rmse": sk.root_mean_squared_error(y, p, sample_weight=w),
        "r2": sk.r2_score(y, p, sample_weight=w) if np.ptp(y[drawn]) > 0 else np.nan,
    }


def logistic(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Slope and intercept by a general optimiser."""
    x = logit(p)

    def loss(b: np.ndarray) -> float:
        return float(w @ (np.logaddexp(0, b[0] + b[1] * x) - y * (b[0] + b[1] * x)) / w.sum())

    def gradient(b: np.ndarray) -> np.ndarray:
        error = w * (1 / (1 + np.exp(-(b[0] + b[1] * x))) - y)
        return np.array([error.sum(), error @ x]) / w.sum()

    found = minimize(loss, [0.0, 1.0], jac=gradient, method="BFGS", options={"gtol": 1e-11}).x
    return float(found[1]), float(found[0])


def multinomial(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    log_p, rows = np.log(p), np.arange(len(y))
    return float(
        minimize_scalar(
            lambda s: -w @ log_softmax(s * log_p, axis=1)[rows, y], bracket=(0.5, 1.5), options={"xtol": 1e-12}
        ).x
    )


def bca(value: float, drawn: np.ndarray, skew: float) -> tuple[float, float]:
    """Efron's interval, as the formula stands; resamples without a figure left out."""
    drawn = drawn[~np.isnan(drawn)]
    equal = np.isclose(drawn, value, rtol=1e-9, atol=1e-12)
    share = ((drawn < value) & ~equal).mean() + equal.mean() / 2
    z0 = stats.norm.ppf(np.clip(share, 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    z = z0 + stats.norm.ppf([0.025, 0.975])
    low, high = np.quantile(drawn, stats.norm.cdf(z0 + z / (1 - skew * z)))
    return float(low), float(high)


def skew_of(without: list[float], stratum: np.ndarray) -> float:
    """A sixth of the skewness of the jackknife, patients left out one by one."""
    values = np.array(without)
    away = np.concatenate(
        [
            (values[stratum == s].mean() - values[stratum == s]) * (1 - 1 / (stratum == s).sum())
            for s in np.unique(stratum)
        ]
    )
    return float((away**3).sum() / (6 * (away**2).sum() ** 1.5))
