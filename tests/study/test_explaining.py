"""Explanations of a small run put to their trials: who reads whom, what passes, what fails and is not shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest

import semeion
from semeion.artefacts import read_json
from semeion.cohort.image import Image
from semeion.errors import InputError
from semeion.explain.asking import How
from semeion.explain.run import explained_findings
from semeion.explain.trial.pointing import highest
from semeion.explain.trial.rules import RULES
from semeion.plan.schema import TrialsPlan
from semeion.prepare.back import placement
from semeion.prepare.borders import Box
from semeion.prepare.spec import Preparation
from semeion.study import explained_trials, road
from semeion.study import explaining as module
from semeion.study import lesions as lesions_module
from semeion.study.clock import Clock
from semeion.study.explained_figures import figure
from semeion.study.explained_reading import TooLittleTime, Trial
from semeion.study.explained_run import OpenedRun, opened_run
from semeion.study.explained_trials import try_maps
from semeion.study.explaining import (
    explain_within_budget,
    explained_part,
    held_out_sides,
    not_run,
    tried_again,
)
from semeion.study.lesions import Lesion, on_input
from semeion.study.sight import Sight
from support.tiny import TinyRun, make_cohort, save_plan, train_tiny

Told = dict[str, Any]


@pytest.fixture(scope="module")
def opened(tiny_run: TinyRun) -> OpenedRun:
    return opened_run(tiny_run.path)


def tried(opened: OpenedRun, **choices: Any) -> Told:
    return opened.trials(**{"seed": 0, "most": 40, **choices})


@pytest.fixture(scope="module")
def told(opened: OpenedRun) -> Told:
    return tried(opened)["activation"]


def edges(self: Sight, pictures: np.ndarray, *_: Any, **__: Any) -> np.ndarray:
    """A map that knows no network: how steep the picture is."""
    plane = pictures[:, :1].astype(np.float32)
    return np.abs(np.diff(plane, axis=-1, prepend=plane[..., :1]))


def test_every_figure_has_an_interval_and_says_on_which_cases(told: Told) -> None:
    assert {"randomised", "noise", "mirrored", "members", "removal_gain"} <= set(told["figures"])
    for name, one in told["figures"].items():
        assert one["low"] <= one["value"] <= one["high"], name
        assert (one["n"], one["n_patients"]) == (40, 20)
        assert "held-out cases of each fold" in one["cases"]
        assert "bootstrap over patients" in one["method"]
    assert told["verdict"] in ("passed", "failed")
    assert {rule["figure"] for rule in told["rules"]} <= {rule.figure for rule in RULES}
    assert [point["share"] for point in told["cascade"]] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert told["figures"]["noise"]["value"] > 0.9
    assert told["figures"]["randomised"]["value"] < 0.3
    assert len(told["curves"]["deletion"]) == len(told["curves"]["shares"])
    assert "of another fold, which did" in told["members"]
    assert "would have to be trained once more" in told["labels"]


def test_it_repeats_and_another_seed_takes_other_cases(opened: OpenedRun, told: Told) -> None:
    again = tried(opened)["activation"]
    assert again["figures"] == told["figures"]
    assert again["curves"] == told["curves"]
    assert tried(opened, seed=1)["activation"]["figures"] != told["figures"]


def test_nobody_reads_what_it_learned_from_and_test_cases_are_not_read(opened: OpenedRun) -> None:
    test = np.flatnonzero((opened.cohort.table["split"] == "test").to_numpy())
    sides = held_out_sides(opened.run, opened.trained, opened.parts)
    assert len(sides) == 2
    for side in sides:
        assert len(side.rows)
        assert not set(side.rows) & (set(side.learned_from) | set(test))
        assert not set(opened.groups[side.rows]) & set(opened.groups[side.learned_from])


def test_a_map_that_knows_no_weights_fails(opened: OpenedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sight, "maps", edges)
    found = tried(opened)["activation"]
    assert found["figures"]["randomised"]["value"] == pytest.approx(1.0)
    assert found["verdict"] == "failed"
    assert "hardly depends on what the network learned" in found["reason"]


def test_a_random_map_fails(opened: OpenedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        Sight, "maps", lambda _self, pictures, *_, **__: rng.normal(size=pictures[:, :1].shape).astype(np.float32)
    )
    found = tried(opened)["activation"]
    kept = {rule["figure"]: rule["kept"] for rule in found["rules"]}
    assert kept["randomised"]
    assert not kept["noise"]
    assert not kept["removal_gain"]
    assert found["verdict"] == "failed"


def test_too_little_time_is_said_and_kept_to(opened: OpenedRun) -> None:
    found = tried(opened, seconds=0.0)["activation"]
    assert (found["verdict"], found["reason"]) == ("not_run", "nothing was left of the budget")
    found = tried(opened, seconds=1e-3)["activation"]
    assert found["verdict"] == "not_run"
    assert "take about" in found["reason"]


def test_a_reading_that_takes_longer_than_seen_is_ended(opened: OpenedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained_trials, "affordable", lambda *_: 40)
    monkeypatch.setattr(explained_trials, "seconds_a_case", lambda *_: 0.0)

    def ends(trial: Trial, sides: Any, *_: Any) -> Any:
        return try_maps(trial, sides, 1e-6)

    monkeypatch.setattr(module, "try_maps", ends)
    assert "longer than it was seen to" in tried(opened)["activation"]["reason"]
    assert issubclass(TooLittleTime, Exception)


def test_a_slow_network_is_left_before_many_readings(opened: OpenedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    look = Sight.look

    def slow(self: Sight, pictures: np.ndarray, **choices: Any) -> Any:
        read.append(len(pictures))
        sleep(0.05 * len(pictures))
        return look(self, pictures, **choices)

    monkeypatch.setattr(Sight, "look", slow)
    monkeypatch.setattr(module, "_method", lambda *_: "occlusion")
    found = tried(opened, seconds=30.0)["occlusion"]
    assert (found["verdict"], read) == ("not_run", [1, 1])
    assert "cases take about" in found["reason"]


def test_masks_are_not_read_once_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(lesions_module, "image_references", lambda _: [(str(row),) for row in range(3)])
    monkeypatch.setattr(lesions_module, "mask_references", lambda _: [(str(row),) for row in range(3)])
    monkeypatch.setattr(lesions_module, "read_image", lambda named: read.append(int(named)))
    assert lesions_module.lesions(None, Preparation(), [0, 1, 2], 1, until=0.0) == {}  # type: ignore[arg-type]
    assert read == []


def test_an_executed_plan_tries_as_much_again(opened: OpenedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained_trials, "affordable", lambda *_: 21)
    arguments = (opened.run, opened.cohort, opened.groups, opened.trained, opened.store, opened.y, opened.parts)
    first = explain_within_budget(*arguments, Clock(100_000.0))
    plan = tried_again(opened.trained.plan, first)
    assert plan.explanations is not None and plan.explanations.cases == 21
    trained = replace(opened.trained, plan=plan)
    again = explain_within_budget(*arguments[:3], trained, *arguments[4:], Clock())
    assert first["activation"]["n"] in (21, 22)
    assert explained_part(again) == explained_part(first)
    none = plan.model_copy(update={"explanations": TrialsPlan(cases=0)})
    left = explain_within_budget(*arguments[:3], replace(trained, plan=none), *arguments[4:], Clock())
    assert (left["activation"]["verdict"], left["activation"]["reason"]) == ("not_run", "the plan tries none")


def test_a_run_without_a_budget_says_so_everywhere(tiny_run: TinyRun) -> None:
    (found,) = tiny_run.evidence["explanations"].values()
    assert found["verdict"] == "not_run"
    manifest = semeion.load_model(tiny_run.model).manifest
    assert manifest.explained is not None
    assert manifest.explained["activation"].verdict == "not_run"
    assert "no budget" in str(manifest.explained["activation"].reason)
    card = (tiny_run.model / "CARD.md").read_text()
    assert "Activation maps were not tested (the run had no budget" in card
    assert "Explanations, tested before they are shown" in (tiny_run.path / "report.html").read_text()
    (shown,) = read_json(tiny_run.path / "report.json")["explained"]
    assert shown["verdict_words"] == "not tested"


def test_a_method_that_failed_is_told_and_not_shown(
    opened: OpenedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Sight, "maps", edges)
        failed = tried(opened)
    monkeypatch.setattr(road, "explain_within_budget", lambda *_: failed)
    cohort = make_cohort(tmp_path / "source", split="given")
    run = train_tiny(cohort, save_plan(tmp_path, scheme="given"), tmp_path / "run")
    assert run.evidence["explanations"]["activation"]["verdict"] == "failed"
    page = (run.path / "report.html").read_text()
    assert "<b>Not shown.</b>" in page
    assert 'id="explained-activation-cascade-title"' in page
    assert 'id="explained-activation-removal-title"' in page
    assert "Activation maps are not shown, since they failed a test" in (run.model / "CARD.md").read_text()
    model = semeion.load_model(run.model)
    assert model.manifest.explained is not None
    assert model.manifest.explained["activation"].figures["randomised"].value == pytest.approx(1.0)
    picture = str(next((tmp_path / "source").rglob("*.png")))
    with pytest.raises(InputError, match="failed the trials on this model"):
        list(explained_findings(model, [picture], tmp_path / "why", How(method="activation")))


def test_the_manifest_states_figures_and_nothing_else() -> None:
    assert explained_part({}) is None
    assert explained_part({"activation": not_run("no time")}) == {
        "activation": {"verdict": "not_run", "reason": "no time", "figures": {}}
    }


def test_figures_are_means_over_cases_with_intervals_over_patients() -> None:
    rng = np.random.default_rng(0)
    values, patient = rng.normal(0.5, 0.2, 60), np.repeat(np.arange(30), 2)
    one = figure(values, patient, "cases", 0)
    assert one["value"] == pytest.approx(values.mean())
    error = values.reshape(30, 2).mean(axis=1).std(ddof=1) / np.sqrt(30)
    assert (one["high"] - one["low"]) / 2 == pytest.approx(1.96 * error, rel=0.15)
    some = figure(np.where(np.arange(60) < 10, values, np.nan), patient, "cases", 0)
    assert (some["n"], some["n_patients"]) == (10, 5)
    few = figure(np.array([1.0] * 19 + [0.0]), np.arange(20), "cases", 0)
    assert "Wilson" in few["method"]
    assert 0.7 < few["low"] < 0.95 < few["high"]
    none = figure(np.full(4, np.nan), np.arange(4), "cases", 0)
    assert (none["value"], none["n"]) == (None, 0)


def test_a_mask_lies_on_the_input_as_its_picture_does() -> None:
    pixels = np.zeros((20, 40, 1), np.uint8)
    pixels[5:15, 10:30] = 200
    spec = Preparation(size=(32, 32))
    mask = (pixels > 0).astype(np.uint8)
    where = placement(picture_of(pixels), spec)
    found = on_input(mask, where, spec.size)
    # 40 columns become 32, so 20 rows become 16 and stand in the middle of 32.
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    assert (rows[0], rows[-1]) == (8 + 4, 8 + 11)
    assert (columns[0], columns[-1]) == (8, 23)
    with pytest.raises(InputError, match="a mask of 3 x 3 pixels lies on an image of 20 x 40"):
        on_input(np.ones((3, 3, 1), np.uint8), where, spec.size)


def picture_of(pixels: np.ndarray) -> Image:
    from semeion.cohort.arrays import image_of

    return image_of(pixels[..., 0], "array", "npy")


def test_lesions_are_measured_where_there_are_masks(opened: OpenedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = opened.store.shape[1:]
    lesion = np.zeros(sides, np.bool_)
    lesion[2 : sides[0] // 2, 2 : sides[1] // 2] = True
    monkeypatch.setattr(module, "_masks", lambda *_: dict.fromkeys(range(len(opened.cohort.table)), Lesion(lesion)))
    figures = tried(opened)["activation"]["figures"]
    assert {"pointing", "energy", "covered", "dice", "fixed_point", "fixed_point_of_these"} <= set(figures)
    # One and the same lesion everywhere: a fixed point cannot miss, and no map can do better.
    assert figures["fixed_point"]["value"] == figures["fixed_point_of_these"]["value"] == 1.0
    assert figures["pointing_over_fixed"]["value"] <= 0
    assert figures["covered"]["value"] == pytest.approx(lesion.mean())


def test_the_padding_around_a_picture_is_never_the_highest_place() -> None:
    values = np.array([[9.0, 9.0, 9.0], [-3.0, -1.0, -2.0], [9.0, 9.0, 9.0]], np.float32)
    lesion = Lesion(np.zeros((3, 3), np.bool_), Box(1, 2, 0, 3))
    shown = lesion.shown(values)
    assert highest(shown) == (1, 1)
    assert shown[[0, 2]].max() == -3.0  # nothing of it counts as evidence
    assert lesion.shown(np.abs(values))[[0, 2]].max() == 0.0
    assert Lesion(lesion.mask).shown(values) is values


def test_patients_are_drawn_whole(opened: OpenedRun) -> None:
    sides = held_out_sides(opened.run, opened.trained, opened.parts)
    drawn = np.concatenate([side.rows for side in module._drawn(sides, opened.groups, 3, 11)])
    assert 0 < len(drawn) <= 11
    every = np.concatenate([side.rows for side in sides])
    counts, taken = Counter(opened.groups[every].tolist()), Counter(opened.groups[drawn].tolist())
    assert taken == {group: counts[group] for group in taken}
