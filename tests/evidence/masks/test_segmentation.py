from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from evidence import naive
from semeion.artefacts import finite
from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import multiplicities
from semeion.evidence.masks.segmentation import weigh_segmentation

LABELS = ["left part", "b"]


def table(dice, *, split="test", patients=None, **columns):
    """One row a case and label from an array of Dice (cases, 2)."""
    rows = []
    for case, pair in enumerate(dice):
        for label, value in zip(LABELS, pair, strict=True):
            rows.append(
                {
                    "case_id": f"c{case}",
                    "patient_id": f"p{case if patients is None else patients[case]}",
                    "site": "x",
                    "split": split,
                    "label": label,
                    "dice": value,
                    "hd95_mm": math.inf if value == 0 else (math.nan if math.isnan(value) else 2.0 + case),
                    "assd_mm": math.inf if value == 0 else (math.nan if math.isnan(value) else 1.0),
                    "reference_ml": 10.0,
                    "predicted_ml": 10.0 + (-1) ** case * 2,
                }
            )
    return pd.DataFrame(rows).assign(**columns)


def weigh(rows, **options):
    return weigh_segmentation(rows, LABELS, **({"resamples": 200} | options))


def test_figures_by_hand():
    found = weigh(table([[0.8, 0.6], [1.0, 0.0], [0.9, math.nan], [math.nan, math.nan]]))
    metrics = found["metrics"]["test"]
    dice = metrics["dice"]
    assert dice["value"] == pytest.approx((0.7 + 0.5 + 0.9) / 3)
    assert (dice["n"], dice["n_patients"]) == (3, 3)
    assert dice["reason"].startswith("3 label(s) absent in reference and prediction left out")
    assert dice["low"] <= dice["value"] <= dice["high"]
    assert metrics["dice_left%20part"]["value"] == pytest.approx(0.9)
    assert metrics["dice_b"]["value"] == pytest.approx(0.3)
    distance = metrics["hd95_mm_b"]
    assert (distance["value"], distance["n"], distance["infinite"]) == (2.0, 1, 1)
    assert "infinite in 1 case(s), left out of the mean" in distance["reason"]
    assert distance["low"] is None
    assert metrics["volume_error_ml_b"]["value"] == pytest.approx(2.0)
    assert metrics["volume_error_ml_b"]["n"] == 4
    assert found["splits"]["test"] == {"n": 4, "n_patients": 4, "class_counts": {"left part": 4, "b": 4}}


def test_agreement_is_bias_and_limits_with_intervals_over_patients():
    rows = table([[0.5, 0.5]] * 24)
    found = weigh(rows)["agreement"]["test"]["b"]
    sd = np.std([2, -2] * 12, ddof=1)
    values = {name: figure["value"] for name, figure in found.items()}
    assert values == pytest.approx({"mae": 2, "bias": 0, "limit_low": -1.96 * sd, "limit_high": 1.96 * sd})
    assert all(figure["n"] == 24 and "over patients" in figure["method"] for figure in found.values())
    bias = found["bias"]
    assert bias["low"] < 0 < bias["high"]
    paired = weigh(table([[0.5, 0.5]] * 24, patients=np.arange(24) // 2))["agreement"]["test"]["b"]["bias"]
    assert (paired["low"], paired["high"]) == pytest.approx((0, 0))  # each patient has one of either sign


def test_what_is_in_mm_or_ml_needs_a_known_voxel():
    rows = table([[0.5, 0.7]] * 3 + [[0.9, math.nan]]).assign(reference_voxels=5.0)
    unknown = ["hd95_mm", "assd_mm", "reference_ml", "predicted_ml"]
    lost = rows["case_id"].isin(["c0", "c3"])
    rows.loc[lost, unknown] = math.nan
    found = weigh(rows)
    metrics = found["metrics"]["test"]
    assert metrics["dice_left%20part"]["n"] == 4
    for name in ("hd95_mm_left%20part", "volume_error_ml_left%20part"):
        assert metrics[name]["n"] == 2
        assert "the size of a voxel is not known in 2 case(s), left out" in metrics[name]["reason"]
    assert found["agreement"]["test"]["b"]["bias"]["n"] == 2
    assert found["splits"]["test"]["class_counts"]["b"] == 4
    assert found["notes"] == [
        "2 case(s) do not say how large a voxel is: they count for Dice, and for no figure in mm or ml."
    ]
    rows[unknown] = math.nan
    none = weigh(rows)
    assert none["metrics"]["test"]["volume_error_ml_b"]["value"] is None
    assert none["agreement"]["test"]["b"]["mae"]["reason"] == "no case has both values"
    with pytest.raises(InputError, match="row 1 has neither volumes nor reference_voxels"):
        weigh(rows.drop(columns="reference_voxels"))
    with pytest.raises(InputError, match="row 2 has a distance in mm and no volume"):
        weigh(rows.assign(hd95_mm=[math.nan] + [1.0] * 7))


def test_patients_are_drawn_whole():
    random = np.random.default_rng(0)
    one = np.repeat(random.uniform(0.5, 1, (20, 1)), 2, axis=1)
    alone = weigh(table(one), resamples=1000)["metrics"]["test"]["dice"]
    copied = weigh(table(np.repeat(one, 2, axis=0), patients=np.repeat(range(20), 2)), resamples=1000)
    copied = copied["metrics"]["test"]["dice"]
    assert copied["n"] == 40
    assert copied["n_patients"] == 20
    for key in ("value", "low", "high"):
        assert copied[key] == pytest.approx(alone[key])


def test_intervals_are_bca_over_patients():
    random = np.random.default_rng(4)
    patients = np.arange(60) // 2
    dice = random.beta(9, 1.5, (60, 2))
    found = weigh(table(dice, patients=patients), resamples=300, seed=3)["metrics"]["test"]
    for name, values in (("dice", dice.mean(axis=1)), ("dice_b", dice[:, 1])):
        # The room numbers patients by the order of their ids as text.
        code = np.unique([f"p{patient}" for patient in patients], return_inverse=True)[1]
        drawn = [np.average(values, weights=row[code]) for row in multiplicities(30, 0, 300, 3)]
        without = [values[code != patient].mean() for patient in range(30)]
        ends = naive.bca(values.mean(), np.array(drawn), naive.skew_of(without, np.zeros(30)))
        assert (found[name]["low"], found[name]["high"]) == pytest.approx(ends, abs=1e-9), name
        assert found[name]["method"].startswith(
            "95 % BCa bootstrap over patients, 300 resamples; patients drawn from all"
        )


def test_lesions_found_nearly_always_have_a_score_interval():
    rows = table([[0.5, 0.5]] * 24).assign(
        lesions_reference=3.0, lesions_found=3.0, lesions_predicted=4.0, lesions_true=2.0
    )
    rows.loc[rows["case_id"] == "c3", "lesions_found"] = 1.0
    metrics = weigh(rows)["metrics"]["test"]
    found, true = metrics["lesion_sensitivity_b"], metrics["lesion_precision_b"]
    assert found["value"] == pytest.approx(70 / 72)
    assert found["low"] < found["value"] < found["high"] < 1
    assert found["method"].startswith("95 % Wilson score interval, 72 lesions counting as")
    assert "BCa" in true["method"], "every patient has a hit and a miss"
    with pytest.raises(InputError, match="row 1 has more lesions found than the reference has"):
        weigh(rows.assign(lesions_found=9.0))


def test_the_interval_covers_the_truth():
    random = np.random.default_rng(1)
    covered = 0
    for trial in range(60):
        values = random.beta(8, 2, (40, 1))
        entry = weigh(table(np.repeat(values, 2, axis=1)), seed=trial)["metrics"]["test"]["dice"]
        covered += entry["low"] <= 0.8 <= entry["high"]
    assert covered >= 51


def test_the_same_seed_gives_the_same_figures():
    rows = table(np.random.default_rng(2).uniform(0, 1, (9, 2)))
    assert json.dumps(finite(weigh(rows, jobs=1))) == json.dumps(finite(weigh(rows, jobs=2)))


def test_training_cases_are_counted_and_not_weighed():
    rows = pd.concat([table([[0.9, 0.9]], split="train"), table([[0.5, 0.5], [0.7, 0.7]], split="val")])
    found = weigh(rows)
    assert set(found["metrics"]) == {"val"}
    assert found["splits"]["train"]["n"] == 1
    assert "No case" in weigh(table([[0.9, 0.9]], split="train"))["notes"][0]


def test_ranking_names_best_median_and_worst():
    found = weigh(table([[0.5, 0.5], [0.9, 0.9], [0.1, 0.1], [math.nan, math.nan]]))["ranking"]["test"]
    assert found == {"best": "c1", "median": "c0", "worst": "c2"}


def test_lesions_are_pooled_over_the_split():
    rows = table([[0.5, 0.5], [0.6, 0.6], [0.7, 0.7]]).assign(
        lesions_reference=4.0, lesions_found=3.0, lesions_predicted=6.0, lesions_true=3.0
    )
    metrics = weigh(rows)["metrics"]["test"]
    assert metrics["lesion_sensitivity_b"]["value"] == pytest.approx(0.75)
    assert metrics["lesion_precision_b"]["value"] == pytest.approx(0.5)
    assert metrics["lesion_f1_b"]["value"] == pytest.approx(0.6)
    assert metrics["lesion_count_error_b"]["value"] == pytest.approx(2)
    none = rows.assign(lesions_predicted=0.0, lesions_true=0.0)
    assert weigh(none)["metrics"]["test"]["lesion_precision_b"]["reason"] == "no lesion was predicted"


def test_strata_are_weighed_where_there_are_enough_cases():
    rows = table(np.random.default_rng(3).uniform(0.2, 1, (24, 2)))
    strata = pd.DataFrame({"case_id": [f"c{k}" for k in range(24)], "scanner": ["A"] * 20 + ["B"] * 4})
    found = weigh(rows, strata=strata)["strata"]["scanner"]
    wanted = rows[rows["case_id"].isin(strata["case_id"][:20])].groupby("case_id")["dice"].mean().mean()
    assert found["A"]["metrics"]["test"]["dice"]["value"] == pytest.approx(wanted)
    small = found["B"]["metrics"]["test"]["dice"]
    assert small["value"] is None
    assert small["reason"] == "4 cases, fewer than 10"


def test_one_patient_has_no_interval():
    entry = weigh(table([[0.5, 0.5], [0.7, 0.7]], patients=[0, 0]))["metrics"]["test"]["dice"]
    assert entry["value"] == pytest.approx(0.6)
    assert entry["low"] is None
    assert "fewer than 2 patients" in entry["reason"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[:0], "the table has no rows"),
        (lambda t: t.rename(columns={"dice": "dise"}), "no column 'dice', did you mean 'dise'?"),
        (lambda t: t.assign(split="exam"), "row 1 has an unknown split"),
        (lambda t: t.assign(label="liver"), "row 1 has a label that is not asked for"),
        (lambda t: t.assign(dice=1.5), "row 1 has a Dice outside 0 to 1"),
        (lambda t: t.assign(predicted_ml=math.nan), "row 1 has a volume that is no number"),
        (lambda t: t.assign(patient_id=None), "row 1 has no patient_id"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "the same case and label as in an earlier row"),
        (lambda t: t.iloc[:-1], "case 'c1' has not one row for each label"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(change, message):
    with pytest.raises(InputError) as caught:
        weigh(change(table([[0.5, 0.5], [0.7, 0.7]])))
    assert message in str(caught.value)
