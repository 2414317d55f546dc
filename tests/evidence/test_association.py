from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from semeion.evidence.association import (
    Factor,
    associations,
    centred_ranks,
    cramers_v,
    effective_share,
    holm,
    permutation_p,
    phi_squared,
)

TABLES = st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=2, max_size=5)


def alone(n):
    return np.arange(n)


def test_phi_squared_is_that_of_scipy():
    table = np.array([[10, 3, 7], [2, 8, 9], [5, 5, 1], [1, 0, 6]], dtype=float)
    chi2 = chi2_contingency(table, correction=False).statistic
    assert phi_squared(table) == pytest.approx(chi2 / table.sum())


def test_corrected_v_is_bergsmas_formula():
    table = np.array([[10, 3, 7], [2, 8, 9], [5, 5, 1], [1, 0, 6]], dtype=float)
    n, r, k = table.sum(), 4, 3
    phi = max(0, chi2_contingency(table, correction=False).statistic / n - (r - 1) * (k - 1) / (n - 1))
    wanted = np.sqrt(phi / (min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1))
    assert float(cramers_v(table)) == pytest.approx(wanted)


def test_v_is_one_where_each_level_has_its_class_and_undefined_without_two():
    assert float(cramers_v(np.diag([7.0, 3, 20]))) == pytest.approx(1)
    assert 0.95 < float(cramers_v([[7.0, 0], [3, 0], [0, 9]])) < 1  # the correction is exact of square tables
    assert np.isnan(cramers_v([[7.0, 3.0]]))
    assert np.isnan(cramers_v([[7.0, 0.0], [3.0, 0.0]]))


@settings(deadline=None)
@given(TABLES, st.randoms(use_true_random=False))
def test_v_lies_between_0_and_1_and_names_of_levels_do_not_matter(rows, random):
    table = np.array(rows, dtype=float)
    value = float(cramers_v(table))
    assert np.isnan(value) or 0 <= value <= 1
    random.shuffle(rows)
    assert np.array_equal(cramers_v(np.array(rows, dtype=float)), cramers_v(table), equal_nan=True) or float(
        cramers_v(np.array(rows, dtype=float))
    ) == pytest.approx(value)


def test_many_tables_at_once_are_each_alone():
    tables = np.random.default_rng(0).integers(1, 9, (6, 4, 3)).astype(float)
    assert np.allclose(cramers_v(tables), [float(cramers_v(table)) for table in tables])


def test_holm_is_the_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).tolist() == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= -1e-12).all()


def test_ranks_lie_about_zero_and_missing_is_zero():
    assert centred_ranks(np.array([3.0, np.nan, 1.0, 3.0, 9.0])).tolist() == [0.0, 0.0, -0.75, 0.0, 0.75]


def test_effective_patients_are_kishs():
    assert effective_share(np.arange(9)) == 1
    assert effective_share(np.repeat(np.arange(3), 4)) == pytest.approx(1 / 4)
    assert effective_share(np.array([0, 0, 0, 1])) == pytest.approx(4 / 10)


def test_a_number_that_separates_has_auroc_1_and_a_category_v_1():
    y = np.arange(60) % 2
    number = Factor("x", numbers=y + np.linspace(0, 0.5, 60))
    turned = Factor("z", numbers=-(y + np.linspace(0, 0.5, 60)))
    category = Factor("k", codes=1 - y)
    found = associations([number, turned, category], y, alone(60), permutations=999, resamples=100)
    assert [one.value for one in found] == pytest.approx([1, 1, 1])
    assert [one.measure for one in found] == ["auroc", "auroc", "cramers_v"]
    assert all(one.low == pytest.approx(1) and one.high == pytest.approx(1) for one in found)
    assert [one.p for one in found] == [1 / 1000] * 3


def test_the_auroc_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 80)
    x = np.round(rng.normal(size=80) + y, 1)
    x[::9] = np.nan
    known = np.isfinite(x)
    one = associations([Factor("x", numbers=x)], y, alone(80), permutations=99, resamples=50)[0]
    assert one.value == pytest.approx(roc_auc_score(y[known], x[known]))
    assert one.low < one.value < one.high


def test_what_does_not_vary_is_undefined():
    y = np.arange(30) % 2
    constant = associations([Factor("k", codes=np.zeros(30, dtype=int))], y, alone(30), permutations=99)[0]
    assert np.isnan(constant.value)
    assert constant.p == 1
    one_class = associations([Factor("k", codes=y)], np.zeros(30), alone(30), permutations=99)[0]
    assert np.isnan(one_class.value)
    assert np.isnan(one_class.p)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(4)))
def test_renaming_levels_and_stretching_numbers_change_nothing(seed, names):
    rng = np.random.default_rng(seed)
    y, codes, x = rng.integers(0, 3, 40), rng.integers(0, 4, 40), rng.normal(size=40)
    first = [Factor("k", codes=codes), Factor("x", numbers=x)]
    second = [Factor("k", codes=np.array(names)[codes]), Factor("x", numbers=np.exp(3 * x))]
    a, b = (associations(factors, y, alone(40), permutations=99, resamples=20, seed=5) for factors in (first, second))
    for one, other in zip(a, b, strict=True):
        assert one.value == pytest.approx(other.value, nan_ok=True)
        assert one.low == pytest.approx(other.low, nan_ok=True)
        assert one.p == pytest.approx(other.p, nan_ok=True)


def test_chance_has_small_p_values_as_rarely_as_they_say():
    rng = np.random.default_rng(3)
    factors = [Factor(f"x{k}", numbers=rng.normal(size=60)) for k in range(200)]
    factors += [Factor(f"k{k}", codes=rng.integers(0, 3, 60)) for k in range(200)]
    p = permutation_p(factors, rng.integers(0, 2, 60), alone(60), permutations=999, seed=1)
    assert (p <= 0.05).mean() < 0.08
    assert (p <= 0.5).mean() == pytest.approx(0.5, abs=0.08)


def test_cases_of_a_patient_are_no_independent_witnesses():
    rng = np.random.default_rng(4)
    patient = np.repeat(np.arange(12), 10)
    y = rng.permuted(np.arange(12) % 2)[patient]
    factors = [Factor(f"x{k}", numbers=rng.normal(size=12)[patient] + 0.01 * rng.normal(size=120)) for k in range(100)]
    honest = permutation_p(factors, y, patient, permutations=499)
    naive = permutation_p(factors, y, np.arange(120), permutations=499)
    assert (honest <= 0.05).mean() < 0.12
    assert (naive <= 0.05).mean() > 0.4


def test_patients_of_unequal_size_are_shuffled_whole():
    rng = np.random.default_rng(5)
    found = []
    for _ in range(20):
        patient = np.repeat(np.arange(20), rng.integers(1, 12, 20))
        y = rng.integers(0, 2, 20)[patient]
        factors = [Factor(f"x{k}", numbers=rng.normal(size=20)[patient]) for k in range(5)]
        factors += [Factor(f"k{k}", codes=rng.integers(0, 2, 20)[patient]) for k in range(5)]
        found.append(permutation_p(factors, y, patient, permutations=199))
    assert (np.concatenate(found) <= 0.05).mean() < 0.09


def test_what_goes_with_the_label_from_case_to_case_of_a_patient_is_found():
    rng = np.random.default_rng(7)
    patient = np.repeat(np.arange(10), 6)
    y = np.tile([0, 0, 0, 1, 1, 1], 10)
    within = Factor("x", numbers=rng.normal(size=60) + 2 * y)
    between = Factor("k", codes=(patient % 2))
    p = permutation_p([within, between], y, patient, permutations=999)
    assert p[0] < 0.01
    assert p[1] == 1


def test_the_interval_of_v_covers_and_does_not_begin_above_chance():
    rng = np.random.default_rng(6)
    covered = from_zero = 0
    for trial in range(40):
        codes = rng.integers(0, 5, 150)
        chance = Factor("k", codes=codes)
        none = associations([chance], rng.integers(0, 2, 150), alone(150), permutations=1, resamples=100, seed=trial)[0]
        from_zero += none.low <= 0.1
        side = rng.integers(0, 2, 150)
        y = np.where(rng.random(150) < 0.75, side, 1 - side)  # V = 0.5
        some = associations([Factor("s", codes=side)], y, alone(150), permutations=1, resamples=100, seed=trial)[0]
        covered += some.low <= 0.5 <= some.high
    assert from_zero >= 36
    assert covered >= 34
