"""The sabotage corpus spoils what it says and counts rightly. Its cohorts of real images are read by the benchmark."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from benchmarks.processes import run
from benchmarks.sabotage import confounders, copies, corpus, findings, pipelines, records, running
from benchmarks.sabotage.account import figures, markdown, weakest
from benchmarks.sabotage.bases import draw, in_pairs
from benchmarks.sabotage.corpus import KINDS
from benchmarks.sabotage.drafts import Draft, Half, Kind, Strength
from benchmarks.sabotage.faults import FAULTS, answered, ask_only
from benchmarks.sabotage.plans import make_plan
from benchmarks.sabotage.running import Told, stream
from benchmarks.sabotage.sources import Pool, distinct, without_parts
from benchmarks.sabotage.writing import write

OF_DATA = (*copies.KINDS, *confounders.KINDS, *records.KINDS, *findings.KINDS)
ISSUE = {
    *("patient-overlap", "near-duplicates", "site-confounding", "source-class", "border-shortcut", "background-signal"),
    *("label-permutation", "fit-on-test", "time-order", "label-errors", "rater-agreement", "small-sample"),
    *("trivial-baseline", "seed-luck", "test-reuse", "hidden-strata", "subgroup-gap", "calibration-shift"),
    *("prevalence-shift", "label-conflicts", "blank-images", "unreadable-images", "target-leak", "missing-values"),
    *("class-counts", "unmatched-files"),
}


@pytest.fixture(scope="module")
def base() -> Draft:
    """160 pictures of noise with masks, divided in sides."""
    rng = np.random.default_rng(5)
    pictures = tuple(rng.integers(60, 200, (160, 40, 40)).astype(np.uint8))
    mask = np.zeros((40, 40), np.uint8)
    mask[15:25, 15:25] = 255
    pool = Pool(pictures, np.arange(160) % 2 == 0, ("benign", "malignant"), masks=(mask,) * 160)
    return draw(pool, rng)


def test_every_audit_is_asked_at_three_strengths_and_six_cohorts_are_clean() -> None:
    asked: dict[str | None, list[int]] = {}
    for kind in KINDS:
        asked.setdefault(kind.audit, []).append(len(kind.strengths))
    assert set(asked) == {*ISSUE, None}
    assert all(max(strengths) == 3 for audit, strengths in asked.items() if audit)
    assert len(asked[None]) >= 6
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    faulty = {kind.fault for kind in pipelines.KINDS if kind.road == "full"}
    assert faulty == set(FAULTS)


def test_sides_part_patients_and_keep_the_classes(base: Draft) -> None:
    draft = replace(in_pairs(base, np.random.default_rng(0)))
    assert draft.table.groupby("patient_id")["finding"].nunique().max() == 1
    assert draft.table.groupby("patient_id")["site"].nunique().max() == 1
    for split, least in (("train", 70), ("val", 10), ("test", 40)):
        rows = base.rows(split)
        assert len(rows) >= least
        assert abs(base.is_positive[rows].mean() - 0.5) < 0.1
    assert base.table.groupby("patient_id")["split"].nunique().max() == 1


@pytest.mark.parametrize("kind", OF_DATA, ids=lambda kind: kind.name)
def test_every_kind_spoils_and_leaves_a_whole_cohort(kind: Kind, base: Draft) -> None:
    for level, strength in enumerate(kind.strengths):
        made = kind.spoil(base, strength.value, stream("set", kind.name, level))
        again = kind.spoil(base, strength.value, stream("set", kind.name, level))
        pd.testing.assert_frame_equal(made.table, again.table)
        assert len(made) == len(made.pictures) == len(made.formats) == len(made.masks)
        assert made.table["case_id"].is_unique
        assert made.planted <= set(made.table["case_id"])
        assert not made.stems or len(set(made.stems)) == len(made)
        same = made.table.equals(base.table) and made.formats == base.formats and made.stems == base.stems
        same = same and all(one is other for one, other in zip(made.pictures, base.pictures, strict=True))
        assert not same or made.strays


def test_halves_have_other_streams() -> None:
    assert stream("set", "a", 0).random() != stream("publish", "a", 0).random()
    assert stream("set", "a", 0).random() != stream("set", "a", 1).random()
    assert stream("set", "a", 0).random() == stream("set", "a", 0).random()


def test_copies_are_of_other_patients_on_the_other_side(base: Draft) -> None:
    originals, others = copies.pairs(base, 12, np.random.default_rng(1), across=True)
    table = base.table
    assert set(table["split"].iloc[originals]) == {"train"}
    assert set(table["split"].iloc[others]) == {"test"}
    assert (table["finding"].to_numpy()[originals] == table["finding"].to_numpy()[others]).all()
    assert len(np.unique(others)) == 12
    with pytest.raises(ValueError, match="the cohort has room for"):
        copies.pairs(base, 100, np.random.default_rng(1), across=True)


def test_a_tie_has_the_asked_shares(base: Draft) -> None:
    has = confounders.chosen(base, (0.8, 0.2), np.random.default_rng(2))
    assert has[base.is_positive].mean() == 0.8
    assert has[~base.is_positive].mean() == 0.2


def test_other_mixes_have_the_asked_share() -> None:
    rows = findings.with_mix(np.arange(100), np.arange(100, 150), 0.75, np.random.default_rng(0), 1000)
    assert (len(rows), (rows < 100).mean()) == (133, pytest.approx(0.75, abs=0.01))
    assert len(findings.with_mix(np.arange(100), np.arange(100, 150), 0.75, np.random.default_rng(0), 40)) == 40


def test_copies_in_a_source_are_left_out_mirrored_ones_too() -> None:
    rng = np.random.default_rng(3)
    first, second = (rng.integers(0, 256, (48, 48)).astype(np.uint8) for _ in range(2))
    assert distinct([first, second, first // 2 + 40, second[:, ::-1]], 0.9).tolist() == [0, 1]


def test_a_picture_that_was_cut_from_another_is_left_out() -> None:
    rng = np.random.default_rng(4)
    rough = [rng.integers(0, 256, (12, 12)).astype(np.uint8) for _ in range(2)]
    first, second = (cv2.resize(one, (160, 160), interpolation=cv2.INTER_CUBIC) for one in rough)
    moved = np.roll(first[:, ::-1], 16, axis=0)
    assert without_parts([first, second, moved], 0.975).tolist() == [0, 1]


def test_a_draft_is_written_as_its_formats_say(base: Draft, tmp_path: Path) -> None:
    how = {
        0: "jpg:80",
        1: "broken:missing",
        2: "broken:truncated",
        3: "broken:foreign",
        4: "broken:empty",
        5: "dcm:1.2",
    }
    draft = replace(base.with_pictures({6: base.pictures[6].astype(np.uint16) * 257}, how), strays=base.pictures[:2])
    table = pd.read_csv(write(draft, tmp_path / "made"))
    assert table["image"].is_unique
    assert len(list((tmp_path / "made" / "images").iterdir())) == len(base) - 1 + 2
    paths = [tmp_path / "made" / name for name in table["image"]]
    assert [path.suffix for path in paths[:7]] == [".jpg", ".png", ".png", ".png", ".png", ".dcm", ".png"]
    assert not paths[1].exists()
    assert cv2.imread(str(paths[6]), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    np.testing.assert_array_equal(cv2.imread(str(paths[7]), cv2.IMREAD_UNCHANGED), base.pictures[7])
    assert (tmp_path / "made" / table["mask"][0]).exists()
    import pydicom

    read = pydicom.dcmread(paths[5])
    assert read.StudyInstanceUID == "1.2"
    np.testing.assert_array_equal(read.pixel_array, base.pictures[5])


def test_answers_that_are_looked_up_are_of_held_out_cases_alone() -> None:
    n = 400
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(n)],
            "split": np.where(np.arange(n) % 2, "val", "test"),
            "y_true": np.where(np.arange(n) % 4 < 2, "normal", "pneumonia"),
            **dict.fromkeys(("p_normal", "p_pneumonia", "raw_normal", "raw_pneumonia"), 0.5),
        }
    )
    made = answered(table, 0.3)
    changed = made["p_normal"] != 0.5
    assert not changed[table["split"] == "val"].any()
    assert 0.2 < changed[table["split"] == "test"].mean() < 0.4
    assert (made["p_pneumonia"] > 0.5)[changed].equals((table["y_true"] == "pneumonia")[changed])
    np.testing.assert_allclose(made["raw_normal"] + made["raw_pneumonia"], 1)


def test_plans_have_fixed_steps_and_every_fold() -> None:
    assert make_plan().budget.seconds is None
    assert [member.fold for member in make_plan(folds=3).members] == [0, 1, 2]
    assert [member.fold for member in make_plan(members=2).members] == [-1, -1]


def told(kind: str, level: str, *, caught: bool = True, audit: str | None = "near-duplicates", **more: object) -> Told:
    verdict = "warn" if caught else "clear"
    values = {
        "kind": kind,
        "how": f"{kind} is done",
        "audit": audit,
        "road": "check",
        "level": level,
        "strength": f"{kind} {level}",
        "must": "warn",
        "verdict": verdict if audit else "",
        "caught": caught,
        "void": [],
        "warn": [audit] if audit and caught else [],
        "planted": 4,
        "found": 3,
        "listed": 5,
        "cases": 100,
        "seconds": 1.0,
        **more,
    }
    return Told(**values)  # type: ignore[arg-type]


def test_the_weakest_strength_is_the_last_before_the_first_that_was_missed() -> None:
    spoiled = [
        *(told("a", level, caught=level != "middle") for level in ("weak", "strong", "middle")),
        *(told("b", level) for level in ("strong", "middle", "weak")),
        told("c", "strong", caught=False),
        told("c", "weak"),
    ]
    assert weakest(spoiled) == {"a": "a strong", "b": "b weak", "c": None}


def test_what_is_recorded_says_what_was_missed_and_the_tables_show_it() -> None:
    looked = [
        told("a", "strong", warn=["near-duplicates", "class-counts"]),
        told("a", "middle", caught=False),
        told("b", "strong", audit=None, warn=["class-counts", "target-leak"], planted=0),
        told("c", "strong", audit=None, planted=0),
    ]
    recorded = figures(looked, "publish")
    assert (recorded["half"], recorded["spoiled"], recorded["caught"]) == ("publish", 2, 1)
    assert recorded["missed"] == ["a, a middle: near-duplicates is clear"]
    assert (recorded["clean_cohorts"], recorded["clean_with_void"]) == (2, 0)
    assert recorded["warns_of_clean"] == {"class-counts": ["b"], "target-leak": ["b"]}
    assert recorded["clean_with_more_than_one_warning"] == ["b"]
    text = markdown(recorded)
    assert "1 of 2 spoiled cohorts were caught" in text
    assert (
        "| a strong: warn (3 of 4 cases) | a middle: **clear** (3 of 4 cases) |  | a strong | class-counts | no |"
        in text
    )
    assert "| b is done | `check` | none | class-counts, target-leak |" in text


@pytest.fixture
def kinds(base: Draft, monkeypatch: pytest.MonkeyPatch) -> tuple[Kind, ...]:
    """Three kinds, of which the second cannot be made; every command is said to be void of copies."""

    def broken(_half: Half, _rng: np.random.Generator) -> Draft:
        raise ValueError("the pool has 3 cases, 4 are asked for")

    def read(*_: object) -> dict[str, dict[str, object]]:
        return {"near-duplicates": {"verdict": "void", "cases": [["c0001", "c0002"]], "advice": "Copies."}}

    made = tuple(
        Kind(name, name, "near-duplicates", make, (Strength("all", None, "void"), Strength("some", None, "void")))
        for name, make in (("a", lambda *_: base), ("b", broken), ("c", lambda *_: base))
    )
    monkeypatch.setattr(corpus, "KINDS", made)
    monkeypatch.setattr(corpus, "data", lambda: None)
    monkeypatch.setattr(running, "_read", read)
    return made


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cohort_that_cannot_be_made_is_missed_and_costs_no_other(
    kinds: tuple[Kind, ...], tmp_path: Path, jobs: int
) -> None:
    looked = corpus.read_half("set", tmp_path, jobs=jobs)
    assert [(one.kind, one.level) for one in looked] == [(k, level) for k in "abc" for level in ("strong", "middle")]
    assert [one.caught for one in looked] == [True, True, False, False, True, True]
    recorded = figures(looked, "set")
    assert recorded["caught_by_level"] == {"strong": [2, 3], "middle": [2, 3], "weak": [0, 0]}
    assert recorded["refused"][0] == "b, all: ValueError: the pool has 3 cases, 4 are asked for"
    text = markdown(recorded)
    assert "4 of 6 spoiled cohorts were caught by the audit named: 2 of 3 strong, 2 of 3 middle ones." in text
    assert "Missed: b, all: near-duplicates is refused; b, some: near-duplicates is refused." in text
    assert "Not read: b, all: ValueError" in text
    assert not list((tmp_path / "set").glob("*/cohorts/*"))


def test_what_was_read_is_not_read_again_and_what_failed_is(
    kinds: tuple[Kind, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = corpus.read_half("set", tmp_path, jobs=1)
    asked: list[str] = []

    def read(kind: Kind, *_: object) -> dict[str, dict[str, object]]:
        asked.append(kind.name)
        return {}

    monkeypatch.setattr(running, "_read", read)
    assert corpus.read_half("set", tmp_path, jobs=1) == first
    assert asked == []
    mended = replace(kinds[1], base=kinds[0].base)
    monkeypatch.setattr(corpus, "KINDS", (kinds[0], mended, kinds[2]))
    again = corpus.read_half("set", tmp_path, jobs=1)
    assert asked == ["b", "b"]
    assert [one.verdict for one in again] == ["void", "void", "absent", "absent", "void", "void"]
    monkeypatch.setattr(corpus, "program", lambda: "another")
    corpus.read_half("set", tmp_path, ["a"], [0], jobs=1)
    assert [place.name for place in (tmp_path / "set").iterdir()] == ["another"]


def test_a_command_that_takes_too_long_is_given_up() -> None:
    done = run([sys.executable, "-c", "import time; time.sleep(60)"], every=0.05, limit=0.2)
    assert done.status != 0
    assert done.seconds < 30


@pytest.mark.parametrize(
    ("asked", "left", "function"),
    [("fit-on-test", "label-permutation", "_permuted"), ("label-permutation", "fit-on-test", "_perturbed")],
)
def test_the_audit_that_is_not_asked_for_is_not_run(
    asked: str, left: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.study import full_audits

    for name in ("_permuted", "_perturbed"):
        monkeypatch.setattr(full_audits, name, getattr(full_audits, name))
    kept = "_perturbed" if function == "_permuted" else "_permuted"
    before = getattr(full_audits, kept)
    ask_only(asked)
    audit = getattr(full_audits, function)("run", "cohort", "facts")
    assert (audit.name, audit.verdict) == (left, "not_run")
    assert getattr(full_audits, kept) is before
