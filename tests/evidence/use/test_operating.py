from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.evidence.use.operating import OperatingPoints, choose_point, parse_rule

CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=40)


def scores(y: np.ndarray, p: np.ndarray, point: float) -> dict[str, float]:
    call = p >= point
    tp, fp = int((call & y).sum()), int((call & ~y).sum())
    sensitivity, specificity = tp / y.sum(), 1 - fp / (~y).sum()
    return {
        "youden": sensitivity + specificity,
        "accuracy": (call == y).mean(),
        "cost=5:1": -(5 * (y.sum() - tp) + fp),
        "sensitivity=0.8": specificity if sensitivity >= 0.8 else -1,
        "specificity=0.7": sensitivity if specificity >= 0.7 else -1,
    }


@given(CASES, st.sampled_from(["youden", "accuracy", "cost=5:1", "sensitivity=0.8", "specificity=0.7"]))
def test_no_threshold_beats_the_chosen_one(cases: list[tuple[bool, int]], rule: str) -> None:
    y, p = np.array([c[0] for c in cases]), np.array([c[1] for c in cases]) / 20
    assume(0 < y.sum() < len(y))
    others = [*np.unique(p), *(np.unique(p)[:-1] + np.diff(np.unique(p)) / 2), *([] if p.max() == 1 else [1.0])]
    best = max(scores(y, p, t)[rule] for t in others)
    try:
        point = choose_point(y, p, rule)
    except InputError:
        assert "=0." in rule
        assert best <= 0
        return
    assert scores(y, p, point)[rule] == pytest.approx(best, abs=1e-12)
    values = np.concatenate([[0], np.unique(p), [1]])
    assert np.abs((values[:-1] + values[1:]) / 2 - point).min() < 1e-12 or point in (0, 1)


def test_the_point_lies_in_the_middle_of_the_gap() -> None:
    y, p = [0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]
    for rule in ("youden", "accuracy", "sensitivity=0.95", "specificity=0.95", "cost=10:1"):
        assert choose_point(y, p, rule) == pytest.approx(0.5)


def test_a_row_of_equally_good_points_gives_its_middle() -> None:
    # Each pair at 0.3, 0.4, 0.5 and 0.6 holds one case of either class: passing it changes nothing.
    y = [0] + [0, 1] * 4 + [1]
    p = [0.1, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5, 0.6, 0.6, 0.9]
    point = choose_point(y, p, "youden")
    assert point in (pytest.approx(0.45), pytest.approx(0.55))


def test_the_outermost_points_have_0_and_1_as_neighbours() -> None:
    assert choose_point([1, 0, 1, 1], [0.4, 0.5, 0.6, 0.7], "cost=100:1") == pytest.approx(0.2)
    assert choose_point([0, 1, 0, 0], [0.4, 0.5, 0.6, 0.7], "cost=1:100") == pytest.approx(0.85)
    assert choose_point([1, 0, 1, 1], [0.0, 0.5, 0.6, 0.7], "cost=100:1") == 0.0


def test_neighbouring_floats_do_not_round_the_point_onto_the_lower_one() -> None:
    low = 0.5
    high = np.nextafter(low, 1)
    assert choose_point([0, 1], [low, high], "youden") == high


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("yuden", "--operating-point yuden: unknown rule 'yuden', did you mean 'youden'?; use youden, accuracy, "),
        ("youden=1", "--operating-point youden=1: the rule 'youden' takes no value; write --operating-point youden"),
        (
            "sensitivity",
            "--operating-point sensitivity: '' is not a number above 0 and up to 1; write for example sensitivity=0.95",
        ),
        ("specificity=95", "'95' is not a number above 0 and up to 1; write for example specificity=0.95"),
        ("sensitivity=nan", "'nan' is not a number above 0 and up to 1"),
        ("cost=10", "'10' is not two costs above 0; write cost=FN:FP, for example cost=10:1"),
        ("cost=-1:2", "'-1:2' is not two costs above 0"),
        ("cost=a:b", "'a:b' is not two costs above 0"),
    ],
)
def test_a_rule_that_cannot_be_read_names_the_option(rule: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_rule(rule)
    assert message in str(caught.value)
    assert str(caught.value).startswith("--operating-point ")


@pytest.mark.parametrize(
    ("y", "p", "rule", "message"),
    [
        ([1, 1], [0.1, 0.2], "youden", "--operating-point youden: no negative case among the 2 cases that choose the "),
        ([0, 0], [0.1, 0.2], "youden", "no positive case among the 2 cases"),
        ([], [], "youden", "no positive case among the 0 cases"),
        ([0, 1], [0.1], "youden", "(2,) labels for (1,) probabilities"),
        ([0, 2], [0.1, 0.2], "youden", "a label is neither 0 nor 1"),
        ([0, 1], [0.1, np.nan], "youden", "a probability is not between 0 and 1"),
        (
            [1, 1, 0, 0],
            [0.1, 0.6, 0.5, 0.7],
            "specificity=0.9",
            "would leave a sensitivity of 0 on the 4 cases that choose the point; at most 0.500 is reached",
        ),
        ([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5], "sensitivity=0.9", "a sensitivity of 0.9 would leave a specificity of 0"),
    ],
)
def test_what_cannot_choose_a_point_is_refused(y: list[float], p: list[float], rule: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_point(y, p, rule)
    assert message in str(caught.value)


def test_out_of_fold_cases_use_their_own_fold_and_others_the_shipped_point() -> None:
    points = OperatingPoints("youden", 0.5, {0: 0.3, 1: 0.4})
    fold = np.array([1, 0, 1])
    np.testing.assert_array_equal(points.thresholds("oof", fold), [0.4, 0.3, 0.4])
    np.testing.assert_array_equal(points.thresholds("test", fold), [0.5, 0.5, 0.5])
    with pytest.raises(InputError, match="no operating point for fold 2; give each fold's own point"):
        points.thresholds("oof", np.array([0, 2]))
    with pytest.raises(InputError, match="no operating point for the split 'test'; give the shipped one"):
        OperatingPoints().thresholds("test", fold)
    with pytest.raises(InputError, match="no operating point for the label 'mass'"):
        points.of("mass")
