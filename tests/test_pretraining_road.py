"""A run that first learns from images without labels: whose images these are, and that the executed plan repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from semeion.cli.app import app
from semeion.errors import InputError, Interrupted, TrainingFailed
from semeion.learn.checkpoint import load_tensors
from semeion.plan.files import read_plan, write_plan
from semeion.plan.pretraining import NAME
from semeion.plan.schema import Plan
from semeion.prepare.store import open_store
from semeion.progress import Silent
from semeion.report.members import combination
from semeion.study import pretraining
from semeion.study.full_audits import short_plan
from semeion.study.road import resume_run
from support.tiny import Tiny, TinyRun, make_cohort, make_plan, picture, train_tiny, weights_of, write_picture

IMAGES = 12


def fixed(scheme: str) -> Plan:
    """Return a plan with a frozen number of steps, whose second member starts from pretraining."""
    fields = make_plan(scheme=scheme, steps=6).model_dump(by_alias=True)
    training = {**fields["training"], "learning_rate": 0.005}
    fields["recipes"] = {
        NAME: {"kind": "network", "start": "pretraining", "network": fields["network"], "training": training}
    }
    own = [{**member, "name": f"{NAME}-{member['name']}", "recipe": NAME} for member in fields["members"]]
    fields["members"] = [*own, *fields["members"]]
    fields["pretraining"] = {"images": IMAGES, "steps": 5, "batch": 8, "seed": 4}
    fields["combination"] = {"method": "chosen"}
    return Plan.model_validate(fields)


def images_of(folder: Path, tiny: Tiny) -> Path:
    """Write images without labels, among them copies of a test or held-out case."""
    rng = np.random.default_rng(50)
    for number in range(IMAGES):
        write_picture(folder / f"{number}.png", picture(rng, float(rng.uniform())))
    (folder / "copy.png").write_bytes(tiny.image(2).read_bytes())
    return folder


def run_of(home: Path, scheme: str, plan: Plan | None = None, name: str = "run") -> TinyRun:
    tiny = make_cohort(home / "source", split="given" if scheme == "given" else "test")
    images = images_of(home / "images", tiny)
    write_plan(plan or fixed(scheme), home / f"{name}.yaml")
    return train_tiny(tiny, home / f"{name}.yaml", home / name, unlabelled=str(images))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return run_of(tmp_path_factory.mktemp("folds"), "folds")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return run_of(tmp_path_factory.mktemp("given"), "given")


def test_with_folds_only_images_without_labels_are_seen(folds: TinyRun) -> None:
    told = folds.evidence["pretraining"]
    assert (told["unlabelled"]["used"], told["unlabelled"]["copies"], told["train_cases"]) == (IMAGES, 1, 0)
    assert (told["steps"], told["batch"]) == (5, 8)
    assert open_store(folds.path / "pretraining" / "store").n == IMAGES


def test_with_a_given_split_train_cases_are_seen_too_and_no_others(
    given: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = given.cohort.rows
    assert given.evidence["pretraining"]["train_cases"] == int((rows["split"] == "train").sum())
    seen: list[Any] = []
    real = pretraining.joined
    monkeypatch.setattr(pretraining, "joined", lambda parts: seen.append(parts) or real(parts))
    run = run_of(tmp_path, "given")
    (_, everyone), (_, cases) = seen[0]
    assert len(everyone) == IMAGES
    assert set(rows["split"][cases]) == {"train"}
    assert weights_of(run.path) == weights_of(given.path)


def test_members_begin_with_it_and_what_it_adds_is_told(folds: TinyRun) -> None:
    tensors, _ = load_tensors(folds.path / "pretraining" / "body.safetensors")
    assert "0.weight" in tensors
    told = {row["recipe"]: row for row in folds.evidence["combination"]["recipes"]}
    assert told[NAME]["members"] == 2
    assert {"gain", "low", "high", "share"} <= told[NAME].keys()
    shown = combination(folds.evidence["combination"])
    assert shown is not None
    assert "network that began with images without labels" in [row["way"] for row in shown["rows"]]
    assert not (folds.path / "pretraining" / "checkpoint.safetensors").exists()


def test_the_page_says_how_many_images_and_how_long(folds: TinyRun) -> None:
    page = (folds.path / "report.html").read_text()
    assert "12 images without labels" in page
    assert "1 have exactly the pixels of a case of the table and were left out" in page


def test_the_executed_plan_repeats_it(folds: TinyRun, tmp_path: Path) -> None:
    executed = read_plan(folds.path / "plan.executed.yaml")
    assert executed.pretraining is not None
    assert executed.pretraining.sha256 == folds.evidence["pretraining"]["sha256"]
    again = run_of(tmp_path, "folds", executed)
    assert weights_of(again.path) == weights_of(folds.path)
    assert not any("other weights" in note for note in again.evidence["notes"])
    executed.pretraining.sha256 = "0" * 64
    other = run_of(tmp_path / "other", "folds", executed)
    assert any("Pretraining gave other weights" in note for note in other.evidence["notes"])


def test_a_plan_and_its_images_belong_together(tmp_path: Path) -> None:
    tiny = make_cohort(tmp_path / "source", split="test")
    write_plan(fixed("folds"), tmp_path / "with.yaml")
    with pytest.raises(InputError, match="starts networks from images without labels, and none are given"):
        train_tiny(tiny, tmp_path / "with.yaml", tmp_path / "run")
    write_plan(make_plan(), tmp_path / "without.yaml")
    images = images_of(tmp_path / "images", tiny)
    with pytest.raises(InputError, match="the plan learns nothing from images without labels"):
        train_tiny(tiny, tmp_path / "without.yaml", tmp_path / "other", unlabelled=str(images))


def test_where_it_cannot_learn_the_others_do_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise TrainingFailed("the loss of pretraining is not a finite number at step 2")

    monkeypatch.setattr("semeion.learn.selfsup.pretrain", fails)
    run = run_of(tmp_path, "folds")
    assert "pretraining" not in run.evidence
    assert sorted(weights_of(run.path)) == ["fold0-seed0", "fold1-seed0"]
    assert any("Nothing was learned from images alone: the loss" in note for note in run.evidence["notes"])
    assert read_plan(run.path / "plan.executed.yaml").pretraining is None


def test_stopped_and_resumed_it_is_the_same(folds: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import semeion.learn.selfsup as selfsup

    real = selfsup.pretrain

    def stopped(*given: Any) -> Any:
        raise Interrupted("stopped by the user")

    monkeypatch.setattr(selfsup, "pretrain", stopped)
    with pytest.raises(Interrupted):
        run_of(tmp_path, "folds")
    monkeypatch.setattr(selfsup, "pretrain", real)
    resume_run(tmp_path / "run", Silent())
    assert weights_of(tmp_path / "run") == weights_of(folds.path)


def test_the_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    tiny = make_cohort(tmp_path / "source", n=8)
    arguments = ["train", str(tiny.table), "--target", "finding", "-o", str(tmp_path / "run"), "-q"]
    done = CliRunner().invoke(app, [*arguments, "--unlabelled", str(tmp_path / "nowhere")])
    assert done.exit_code != 0
    assert "there is no folder" in str(done.exception)


def test_without_pretraining_its_members_go_or_begin_at_random() -> None:
    plan = fixed("folds")
    less = pretraining.without_started(plan)
    assert ([member.name for member in less.members], less.recipes) == (["fold0-seed0", "fold1-seed0"], {})
    plan.members = [member for member in plan.members if member.recipe is not None]
    same = pretraining.without_started(plan)
    assert (same.members, same.recipes[NAME].start) == (plan.members, "random")
    assert Plan.model_validate(same.model_dump(by_alias=True)).pretraining is None
    assert [member.recipe for member in short_plan(fixed("given")).members] == [None]
