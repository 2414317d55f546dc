from __future__ import annotations

import numpy as np
import pytest

from semeion.evidence.question import Question
from semeion.evidence.use.account import traded_at
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.utility import net_benefit
from semeion.evidence.weigh import weigh
from support.judged import POINTS, QUESTION, table


def test_a_finding_has_a_calibration_curve_its_utility_and_what_abstaining_costs() -> None:
    found = table(300)
    weighed = weigh(found, QUESTION, points=POINTS, resamples=200)
    y, p = (found["y_true"] == "malignant").to_numpy(), found["p_malignant"].to_numpy()
    called = p >= 0.5
    entry = weighed["utility"]["test"]["net_benefit"]
    assert entry["value"] == pytest.approx(float(net_benefit((called & y).sum(), (called & ~y).sum(), 300, 0.5)))
    assert entry["low"] < entry["value"] < entry["high"]
    figures = weighed["reliability"]["test"]["figures"]
    assert figures["brier"]["value"] == pytest.approx(weighed["metrics"]["test"]["brier"]["value"])
    everything = weighed["abstaining"]["test"]["at"][-1]
    assert everything["coverage"] == 1.0
    assert everything["error"]["value"] == pytest.approx(1 - weighed["metrics"]["test"]["accuracy"]["value"])


def test_folds_are_called_at_their_own_points() -> None:
    found = table(300, split="oof", folds=3)
    points = OperatingPoints("youden", 0.5, {0: 0.1, 1: 0.5, 2: 0.9})
    weighed = weigh(found, QUESTION, points=points, resamples=100)
    own = np.array([0.1, 0.5, 0.9])[found["fold"]]
    y, p = (found["y_true"] == "malignant").to_numpy(), found["p_malignant"].to_numpy()
    wrong = float(((p >= own) != y).mean())
    assert weighed["abstaining"]["oof"]["at"][-1]["error"]["value"] == pytest.approx(wrong)


def test_several_classes_can_abstain() -> None:
    stream = np.random.default_rng(0)
    p = stream.dirichlet([1, 1, 1], 120)
    found = table(120).drop(columns=["p_benign", "p_malignant"])
    names = ("a", "b", "c")
    found["y_true"] = [names[stream.choice(3, p=row)] for row in p]
    found = found.assign(**{f"p_{name}": p[:, k] for k, name in enumerate(names)})
    weighed = weigh(found, Question("finding", "multiclass", names), resamples=100)
    assert weighed["abstaining"]["test"]["at"][-1]["error"]["value"] == pytest.approx(
        1 - weighed["metrics"]["test"]["accuracy"]["value"]
    )
    assert weighed["reliability"] == weighed["utility"] == {}


@pytest.mark.parametrize(
    ("rule", "point", "wanted"),
    [("youden", 0.3, 0.3), ("cost=9:1", 0.3, 0.1), ("youden", 0.0, None), ("youden", None, None)],
)
def test_the_probability_at_which_harm_is_traded(rule: str, point: float | None, wanted: float | None) -> None:
    assert traded_at(OperatingPoints(rule, point)) == (wanted if wanted is None else pytest.approx(wanted))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_very_few_cases_are_no_error(n: int) -> None:
    weighed = weigh(table(n), QUESTION, points=POINTS, resamples=50)
    assert weighed["abstaining"]["test"]["at"][-1]["error"]["n"] == n


def test_one_class_and_equal_probabilities_are_no_error() -> None:
    found = table(40).assign(y_true="benign", p_benign=0.8, p_malignant=0.2)
    weighed = weigh(found, QUESTION, points=POINTS, resamples=50)
    assert len(weighed["reliability"]["test"]["curve"]["x"]) == 1
    assert weighed["utility"]["test"]["net_benefit"]["value"] == 0.0
