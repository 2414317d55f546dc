"""Comparisons of a period: known values, and p-values that are no smaller than they should be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from semeion.monitor.batch import holm, ks_test, psi, psi_test
from semeion.monitor.bins import Bins, fit_bins, one_each
from semeion.monitor.kernel import embed, fit_kernel, mmd_test
from semeion.monitor.prevalence import estimate, with_interval


def test_psi_of_two_bins_is_the_formula() -> None:
    p, q = np.array([60.5, 40.5]) / 101, np.array([20.5, 30.5]) / 51
    assert psi(np.array([60, 40]), np.array([20, 30])) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert psi(np.array([10, 10]), np.array([10, 10])) == 0


def test_ks_is_scipys_where_every_value_is_an_edge() -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 6, 200).astype(float), random.integers(1, 7, 90).astype(float)
    bins = Bins(np.arange(1, 7) - 0.5, np.zeros(8, np.int64))
    far, p = ks_test(bins.tally(a), bins.tally(b))
    own = ks_2samp(a, b, method="asymp")
    assert far == pytest.approx(own.statistic)
    assert 0.3 * own.pvalue <= p <= 3 * own.pvalue


def test_p_values_without_change_are_not_too_small() -> None:
    random = np.random.default_rng(1)
    of_psi, of_ks, of_mmd = [], [], []
    for seed in range(150):
        bins = fit_bins(random.normal(size=200))
        tally = bins.tally(random.normal(size=40))
        of_psi.append(psi_test(bins.counts, tally, random)[1])
        of_ks.append(ks_test(bins.counts, tally)[1])
        kernel = fit_kernel(random.normal(size=(200, 4)), seed)
        of_mmd.append(mmd_test(kernel, random.normal(size=(40, 4)))[1])
    for p in (of_psi, of_ks, of_mmd):
        assert np.mean(np.array(p) <= 0.05) <= 0.11
        assert np.mean(np.array(p) <= 0.01) <= 0.04
        assert np.median(p) > 0.3


@pytest.mark.parametrize("n", [50, 300])
def test_p_values_of_few_cases_with_heavy_tails_are_not_too_small(n: int) -> None:
    random = np.random.default_rng(7)
    p = []
    for seed in range(100):
        kernel = fit_kernel(random.standard_t(2, size=(n, 16)), seed)
        p += [mmd_test(kernel, random.standard_t(2, size=(20, 16)))[1] for _ in range(4)]
    assert np.mean(np.array(p) <= 0.05) <= 0.06
    assert np.mean(np.array(p) <= 0.005) <= 0.01


def test_features_of_few_values_are_alike_however_many_cases_are_taken_at_once() -> None:
    random = np.random.default_rng(9)
    p = []
    for seed in range(20):
        kernel = fit_kernel((random.random((50, 2)) < 0.3) * 1.0, seed)
        p += [mmd_test(kernel, (random.random((m, 2)) < 0.3) * 1.0)[1] for m in (20, 60, 200, 500)]
    assert min(p) > 0.001


def test_of_the_features_ship_counts_that_five_share() -> None:
    random = np.random.default_rng(8)
    features = np.concatenate([random.normal(size=(120, 3)), [[1e4, -1e4, 1e4]]])
    kernel = fit_kernel(features, 0)
    assert kernel.directions.shape == (8, 64)
    np.testing.assert_allclose(kernel.directions @ kernel.directions.T, np.eye(8), atol=1e-4)
    for part in kernel.parts:
        assert all(count == 0 or count >= 5 for count in part.counts)
        assert part.n == 121 - 121 // 3, "those that shape the kernel are not counted"


def test_what_changed_has_small_p_values() -> None:
    random = np.random.default_rng(2)
    bins = fit_bins(random.normal(size=300))
    tally = bins.tally(random.normal(1, size=80))
    assert psi_test(bins.counts, tally, random)[1] < 1e-6
    assert ks_test(bins.counts, tally)[1] < 1e-6
    kernel = fit_kernel(random.normal(size=(300, 3)), 0)
    assert mmd_test(kernel, random.normal(0.7, size=(80, 3)))[1] < 1e-6
    turned = random.normal(size=(300, 2)) @ np.array([[1, 0.95], [0, np.sqrt(1 - 0.95**2)]])
    assert mmd_test(kernel, np.column_stack([turned, random.normal(size=300)]))[1] < 0.02, (
        "margins alone do not show it"
    )


def test_cosines_are_the_gaussian_kernel() -> None:
    """Of many frequencies the product of two embeddings is exp(-|x - y|^2 / 2)."""
    random = np.random.default_rng(3)
    frequencies, phases = random.normal(size=(40_000, 2)), random.uniform(0, 2 * np.pi, 40_000)
    x, y = np.array([[0.3, -0.2]]), np.array([[1.0, 0.4]])
    product = (embed(x, frequencies, phases) @ embed(y, frequencies, phases).T).item()
    assert product == pytest.approx(np.exp(-((x - y) ** 2).sum() / 2), abs=0.02)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []


def test_prevalence_is_found_again_where_only_the_mix_changed() -> None:
    random = np.random.default_rng(4)
    trained = np.array([0.74, 0.26])
    y = random.random(4000) < 0.6
    score = random.normal(np.where(y, 1.2, -1.2))
    odds = np.exp(2.4 * score) * trained[1] / trained[0]
    p = np.stack([1 / (1 + odds), odds / (1 + odds)], axis=1)
    value, low, high = with_interval(p, trained, 0)
    assert value[1] == pytest.approx(0.6, abs=0.03)
    assert low[1] < 0.6 < high[1]
    assert estimate(p, trained).sum() == pytest.approx(1)


def test_bins_hold_five_patients_or_none_and_say_nothing_of_single_cases() -> None:
    random = np.random.default_rng(5)
    for values in (
        random.normal(size=73),
        random.integers(0, 4, 60).astype(float),
        np.full(80, 28.0),
        np.append(random.normal(size=70), 1e6),
        np.append(np.full(60, np.nan), random.normal(size=40)),
    ):
        bins = fit_bins(values)
        assert all(count == 0 or count >= 5 for count in bins.counts)
        assert (np.diff(bins.edges) > 0).all()
        for edge in bins.edges:
            assert (values == edge).sum() == 0 or (values == edge).sum() >= 5
        assert not (np.abs(bins.edges) > 1e5).any()


def test_a_value_that_all_share_is_told_from_its_neighbours() -> None:
    bins = fit_bins(np.full(80, 28.0))
    assert len({int(one) for one in bins.place([27, 28, 29])}) == 3
    assert bins.place([np.nan])[0] == 0


def test_one_case_of_every_patient() -> None:
    patients = ["a", "b", "a", "c", "b", "a"]
    rows = one_each(patients, 0)
    assert sorted(patients[row] for row in rows) == ["a", "b", "c"]
    assert list(one_each(patients, 0)) == list(rows)
