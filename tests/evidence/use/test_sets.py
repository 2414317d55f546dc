"""Who calibrates the sets of a split, what is promised, what was measured; and the reason where there are none."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.errors import InputError
from semeion.evidence.measuring import Drawing
from semeion.evidence.question import Question
from semeion.evidence.use.conformal import cross_sets, expected_coverage, fit_sets
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.sets import NOBODY, SetsAsked, weigh_all_sets
from semeion.evidence.weigh import weigh

CLASSES = ("cyst", "mass", "scar")
QUESTION = Question("kind", "multiclass", CLASSES)
DRAWING = Drawing(60, 0, 1)


def cases_of(n: int, split: str, seed: int, *, each: int = 1, fold: Any = -1, member: str = "ensemble") -> pd.DataFrame:
    """Return `n` predictions that are calibrated, `each` of a patient of the split."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), n)
    y = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=2)
    table = pd.DataFrame(
        {
            "case_id": [f"{split}{row}" for row in range(n)],
            "patient_id": [f"{split}-{row // each}" for row in range(n)],
            "split": split,
            "fold": fold,
            "member": member,
            "target": "kind",
            "y_true": np.array(CLASSES)[y],
        }
    )
    for k, name in enumerate(CLASSES):
        table[f"p_{name}"] = table[f"raw_{name}"] = p[:, k]
    return table


def arrays(table: pd.DataFrame, prefix: str = "p") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = table["y_true"].map({name: k for k, name in enumerate(CLASSES)}).to_numpy()
    return y, table[[f"{prefix}_{name}" for name in CLASSES]].to_numpy(), table["patient_id"].to_numpy()


def weighed(*tables: pd.DataFrame, asked: SetsAsked | None = None, strata: pd.DataFrame | None = None) -> Any:
    table = pd.concat(tables, ignore_index=True)
    found = weigh_all_sets(table, QUESTION, asked or SetsAsked(), DRAWING, strata)
    json.dumps(found)
    return found["kind"]


def folded(n: int = 150, seed: int = 0, members: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return out-of-fold and test predictions of three folds with `members` networks each, and their ensembles."""
    truth, test = cases_of(n, "oof", seed, each=2, fold=(np.arange(n) // 2) % 3), cases_of(90, "test", seed + 1)
    names = [f"raw_{name}" for name in CLASSES]
    frames: dict[str, list[pd.DataFrame]] = {"oof": [], "test": []}
    for fold in range(3):
        for repeat in range(members):
            rng = np.random.default_rng([seed, fold, repeat])
            for split, plain in (("oof", truth[truth["fold"] == fold]), ("test", test)):
                noisy = 0.8 * plain[names].to_numpy() + 0.2 * rng.dirichlet(np.ones(3), len(plain))
                frames[split].append(
                    plain.assign(member=f"fold{fold}-seed{repeat}", **dict(zip(names, noisy.T, strict=True)))
                )
    out = []
    for split, each in frames.items():
        rows = pd.concat(each, ignore_index=True)
        mean = rows.groupby("case_id")[names].mean()
        plain = (truth if split == "oof" else test).set_index("case_id")
        plain[names] = mean.loc[plain.index]
        out.append(pd.concat([plain.reset_index(), rows], ignore_index=True))
    return out[0], out[1]


def test_calibration_cases_set_the_thresholds_and_test_cases_are_measured() -> None:
    calibrating, test = cases_of(200, "calibration", 1, each=2), cases_of(300, "test", 2)
    site = pd.DataFrame({"case_id": test["case_id"], "site": ["north", "south", None] * 100})
    told = weighed(calibrating, test, strata=site)["test"]
    assert told["stated"] == 0.9
    assert told["scored"] == "p"
    assert told["calibration"]["split"] == "calibration"
    assert (told["calibration"]["n"], told["calibration"]["n_patients"]) == (200, 100)
    y, p, _ = arrays(test)
    for name, per_class in (("marginal", False), ("per_class", True)):
        rule = fit_sets(*arrays(calibrating), per_class=per_class)
        sets, one = rule.sets(p), told[name]
        assert one["thresholds"] == list(rule.thresholds)
        assert one["coverage"]["value"] == pytest.approx(sets[np.arange(300), y].mean())
        assert one["size"]["value"] == pytest.approx(sets.sum(axis=1).mean())
        assert [row["n"] for row in one["sizes"]] == np.bincount(sets.sum(axis=1), minlength=4).tolist()
        north = (site["site"] == "north").to_numpy()
        assert one["groups"]["site"]["north"]["coverage"]["value"] == pytest.approx(
            sets[np.arange(300), y][north].mean()
        )
        assert one["by_class"]["mass"]["coverage"]["value"] == pytest.approx(sets[np.arange(300), y][y == 1].mean())
        assert one["promise"].startswith("The set holds the truth of every case of a new patient with a probability of")
    low, high = expected_coverage(100, 300, 0.9)
    assert told["marginal"]["expected"] == {"low": low, "high": high}
    assert low <= told["marginal"]["patient_coverage"]["value"]
    of_scar = expected_coverage(told["calibration"]["patients_of_class"]["scar"], int((y == 2).sum()), 0.9)
    assert told["per_class"]["by_class"]["scar"]["expected"] == dict(zip(("low", "high"), of_scar, strict=True))


def test_calibration_cases_are_in_no_other_figure() -> None:
    tables = [cases_of(90, "val", 3), cases_of(120, "test", 4)]
    plain = weigh(pd.concat(tables), QUESTION, resamples=40, jobs=1)
    more = weigh(pd.concat([*tables, cases_of(80, "calibration", 5)]), QUESTION, resamples=40, jobs=1, sets=SetsAsked())
    assert set(more["metrics"]) == {"val", "test"}
    assert more["splits"]["calibration"]["n"] == 80
    assert plain["sets"] == {}
    for key in ("metrics", "confusion", "abstaining"):
        assert more[key] == plain[key]
    assert set(more["sets"]) == {"val", "test"}


def test_coverage_is_not_measured_on_validation_cases() -> None:
    told = weighed(cases_of(100, "calibration", 6), cases_of(60, "val", 7))["val"]
    assert "choose" in told["reason"]
    assert told["reason"].endswith("There are no test cases to measure it on.")
    assert len(told["marginal"]["thresholds"]) == 3
    assert "coverage" not in told["marginal"]


def test_out_of_fold_cases_are_covered_by_the_other_folds() -> None:
    oof, _ = folded(members=1)
    told = weighed(oof)["oof"]
    mine = oof[oof["member"] == "ensemble"]
    y, p, patient = arrays(mine, "raw")
    fold = mine["fold"].to_numpy()
    for name, per_class in (("marginal", False), ("per_class", True)):
        covered = np.zeros(len(mine), dtype=bool)
        for number in range(3):
            rest = fold != number
            rule = fit_sets(y[rest], p[rest], patient[rest], per_class=per_class)
            held = rule.sets(p[~rest])
            covered[~rest] = held[np.arange(len(held)), y[~rest]]
            assert told[name]["thresholds"][str(number)] == list(rule.thresholds)
        assert told[name]["coverage"]["value"] == pytest.approx(covered.mean())
        assert told[name]["promise"].startswith("None for this measurement")
        assert "expected" not in told[name]
    assert told["scored"] == "raw"


def test_new_cases_are_compared_by_the_models_of_the_folds() -> None:
    oof, test = folded()
    told = weighed(oof, test)["test"]
    mine, seen = oof[oof["member"] == "ensemble"], test[test["member"] != "ensemble"]
    y, p, patient = arrays(mine, "raw")
    ids = test.loc[test["member"] == "ensemble", "case_id"]
    names = [f"raw_{name}" for name in CLASSES]
    new = {
        fold: seen[seen["member"].str.startswith(f"fold{fold}")].groupby("case_id")[names].mean().loc[ids].to_numpy()
        for fold in range(3)
    }
    truth = arrays(test[test["member"] == "ensemble"])[0]
    for name, per_class in (("marginal", False), ("per_class", True)):
        made = cross_sets(y, p, patient, mine["fold"].to_numpy(), new, per_class=per_class)
        assert told[name]["coverage"]["value"] == pytest.approx(made.sets[np.arange(90), truth].mean())
        assert told[name]["worst"] == made.promised
    assert "cross-conformal" in told["method"]


def test_nothing_depends_on_the_order_of_the_rows() -> None:
    tables = [*folded()]
    shuffled = pd.concat(tables, ignore_index=True).sample(frac=1, random_state=1)
    assert weighed(*tables) == weighed(shuffled)


def test_a_class_of_few_patients_gets_no_promise_of_its_own() -> None:
    calibrating = cases_of(120, "calibration", 8)
    scars = calibrating["y_true"] == "scar"
    told = weighed(calibrating[~scars | (scars.cumsum() <= 5)], cases_of(50, "test", 9))["test"]
    assert told["per_class"] == {"reason": "5 patients with scar calibrate, and promising 0.9 for each class takes 9."}
    assert told["marginal"]["coverage"]["value"] is not None


def reasons() -> dict[str, tuple[list[pd.DataFrame], SetsAsked, str]]:
    oof, test = folded()
    few = cases_of(8, "calibration", 1)
    both = cases_of(60, "calibration", 1).assign(patient_id=[f"test-{k}" for k in range(60)])
    plain = cases_of(40, "test", 2)
    mine = oof["member"] == "ensemble"
    torn = oof.assign(patient_id=np.where(mine, [f"oof-{k % 7}" for k in range(len(oof))], oof["patient_id"]))
    raw = [f"raw_{name}" for name in CLASSES]
    return {
        "nobody": ([plain], SetsAsked(), NOBODY),
        "told": ([plain], SetsAsked(reason="Because."), "Because."),
        "few": ([few, plain], SetsAsked(), "8 patients calibrate, and a stated coverage of 0.9 takes 9."),
        "more": ([cases_of(18, "calibration", 1), plain], SetsAsked(0.95), "18 patients calibrate"),
        "shared": ([both, plain], SetsAsked(), "40 patients calibrate sets and are among these."),
        "torn": ([torn, test], SetsAsked(), "A patient is in two folds"),
        "one fold": ([oof.assign(fold=-1), test], SetsAsked(), "All out-of-fold cases are of one fold"),
        "sites": ([oof, test], SetsAsked(folds="Each fold is a site."), "Each fold is a site."),
        "no raw": ([oof.drop(columns=raw), test.drop(columns=raw)], SetsAsked(), "no probabilities before calibration"),
        "no members": ([oof[mine], test], SetsAsked(), "does not tell which members left out which fold"),
        "one name": ([oof.assign(member=np.where(mine, "ensemble", "images")).drop_duplicates(["case_id", "member"]),
                      test], SetsAsked(), "does not tell which members"),
        "other mean": ([oof[oof["member"] != "fold1-seed1"], test], SetsAsked(), "is not the mean of the members"),
        "unread": ([oof, test[test["member"] != "fold2-seed0"]], SetsAsked(), "not every member has read these cases"),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(reasons()))
def test_where_there_are_no_sets_the_reason_is_told(name: str) -> None:
    tables, asked, reason = reasons()[name]
    told = weighed(*tables, asked=asked)["test"]
    assert reason in told["reason"]
    assert "marginal" not in told


def test_a_measured_value_has_no_sets_and_a_coverage_of_one_is_refused() -> None:
    assert weigh_all_sets(pd.DataFrame(), Question("age", "regression", ()), SetsAsked(), DRAWING) == {}
    with pytest.raises(InputError, match=r"sets: a coverage of 1.0; give a number below 1, such as 0.9"):
        weighed(cases_of(20, "test", 1), asked=SetsAsked(1.0))


def test_each_label_of_several_has_sets_of_its_own() -> None:
    rng = np.random.default_rng(0)
    question = Question("signs", "multilabel", ("edema", "nodule"))
    frames = []
    for label in question.classes:
        p = rng.random(260)
        frames.append(
            pd.DataFrame(
                {
                    "case_id": np.arange(260).astype(str),
                    "patient_id": np.arange(260).astype(str),
                    "split": np.where(np.arange(260) < 160, "calibration", "test"),
                    "fold": -1,
                    "member": "ensemble",
                    "target": label,
                    "y_true": pd.Series(np.where(rng.random(260) < p, "present", "absent")).mask(rng.random(260) < 0.1),
                    "p_absent": 1 - p,
                    "p_present": p,
                }
            )
        )
    points = OperatingPoints("given", by_target={label: OperatingPoints("given", 0.5) for label in question.classes})
    found = weigh(pd.concat(frames), question, points=points, resamples=30, jobs=1, sets=SetsAsked(0.8))
    assert found["sets"] == {}
    for label in question.classes:
        told = found["targets"][label]["sets"]["test"]
        assert set(told["per_class"]["by_class"]) == {"absent", "present"}
        assert told["marginal"]["patient_coverage"]["value"] == pytest.approx(0.8, abs=0.15)


def shared(one: float, other: float) -> list[pd.DataFrame]:
    """Return :func:`folded` with shares of the two networks of a fold, which its ensemble is the mean by."""
    names = [f"raw_{name}" for name in CLASSES]
    found = []
    for table in folded():
        table["share"] = table["member"].map(lambda name: one if name.endswith("seed0") else other)
        table.loc[table["member"] == "ensemble", "share"] = np.nan
        rows = table[table["member"] != "ensemble"]
        mean = rows[names].mul(rows["share"], axis=0).groupby(rows["case_id"]).sum()
        mean = mean.div(mean.sum(axis=1), axis=0)
        ours = table["member"] == "ensemble"
        table.loc[ours, names] = mean.loc[table.loc[ours, "case_id"]].to_numpy()
        found.append(table)
    return found


def test_shares_are_those_of_their_rows_whatever_the_rows_are_numbered() -> None:
    table = pd.concat(shared(0.9, 0.1), ignore_index=True)
    told = weigh_all_sets(table, QUESTION, SetsAsked(), DRAWING)["kind"]["test"]
    assert told["marginal"]["coverage"]["value"] is not None
    numbered = table.set_index(np.arange(len(table))[::-1] + 5)
    assert weigh_all_sets(numbered, QUESTION, SetsAsked(), DRAWING)["kind"]["test"] == told


def test_where_one_fold_ships_alone_that_is_the_reason() -> None:
    oof, test = shared(1.0, 0.0)
    test["share"] = (test["member"] == "fold0-seed0").astype(float)
    told = weighed(oof, test)["test"]
    assert told["reason"] == (
        "The models of the folds would be needed one by one to make sets for these cases, and no member of one of them "
        "has a share in the ensemble."
    )
