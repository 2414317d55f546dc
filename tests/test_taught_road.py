"""A run whose network is taught by frozen features about images without labels, and that the executed plan repeats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from semeion.errors import InputError, Interrupted
from semeion.plan.files import read_plan, write_plan
from semeion.plan.schema import Plan
from semeion.prepare.store import open_store
from semeion.progress import Silent
from semeion.report.members import combination
from semeion.study.folder import RunFolder
from semeion.study.full_audits import short_plan
from semeion.study.options import RunOptions
from semeion.study.pretraining import refuse_plan_without
from semeion.study.road import resume_run
from semeion.study.taught import OTHER_IMAGES, TaughtOf, images_to_teach, without_taught
from semeion.study.unlabelled import Unlabelled
from support.tiny import Tiny, TinyRun, make_cohort, make_plan, picture, train_tiny, weights_of, write_picture

IMAGES = 12


def fixed(*, alone: bool = False) -> Plan:
    """Return a plan with a frozen number of steps: in each fold a head and whom it teaches, or a network besides."""
    fields = make_plan(steps=6).model_dump(by_alias=True)
    taught = {"teacher": "frozen", "images": IMAGES, "share": 0.25, "weight": 0.75}
    fields["recipes"] = {
        "frozen": {"kind": "frozen", "side": 32, "layers": ["stride16"]},
        "taught": {"kind": "network", "taught": taught, "network": fields["network"], "training": fields["training"]},
    }
    heads = [{**one, "name": f"frozen-{one['name']}", "recipe": "frozen", "steps": 0} for one in fields["members"]]
    own = [{**one, "name": f"taught-{one['name']}", "recipe": "taught"} for one in fields["members"]]
    fields["members"] = [*heads, *own, *(fields["members"] if alone else [])]
    fields["combination"] = {"method": "chosen"}
    return Plan.model_validate(fields)


def images_of(folder: Path, tiny: Tiny) -> Path:
    """Write images without labels, among them a copy of a test case."""
    rng = np.random.default_rng(50)
    for number in range(IMAGES):
        write_picture(folder / f"{number}.png", picture(rng, float(rng.uniform())))
    (folder / "copy.png").write_bytes(tiny.image(2).read_bytes())
    return folder


def run_of(home: Path, plan: Plan | None = None) -> TinyRun:
    tiny = make_cohort(home / "source", split="test")
    images = images_of(home / "images", tiny)
    write_plan(plan or fixed(), home / "run.yaml")
    return train_tiny(tiny, home / "run.yaml", home / "run", unlabelled=str(images))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return run_of(tmp_path_factory.mktemp("taught"))


def test_who_teaches_what_and_of_which_images_is_told(run: TinyRun) -> None:
    told = run.evidence["taught"]
    assert (told["unlabelled"]["used"], told["unlabelled"]["copies"]) == (IMAGES, 1)
    assert (told["teacher"], told["share"], told["weight"]) == ("frozen", 0.25, 0.75)
    assert "pretraining" not in run.evidence
    shown = combination(run.evidence["combination"])
    assert shown is not None
    assert "network taught by pretrained features about images without labels" in [row["way"] for row in shown["rows"]]
    page = (run.path / "report.html").read_text()
    assert "A network also learned from 12 images without labels" in page
    assert "1 have exactly the pixels of a case of the table and were left out" in page
    facts = read_json(run.path / "members" / "taught-fold0-seed0" / "member.json")
    assert facts["recipe"] == "taught" and facts["steps"] == 6


def test_a_copy_of_a_test_case_is_not_among_the_images(run: TinyRun) -> None:
    features = np.load(run.path / "features" / "frozen.unlabelled.npy")
    assert len(features) == IMAGES and not np.isnan(features).any()
    said = [np.load(run.path / "features" / f"frozen.unlabelled.fold{fold}.npy") for fold in (0, 1)]
    assert [one.shape for one in said] == [(IMAGES, 2)] * 2


def test_nothing_of_the_images_ships(run: TinyRun) -> None:
    assert not [file for file in run.model.rglob("*") if "unlabelled" in file.name]


def test_the_executed_plan_repeats_it_and_other_images_are_told(run: TinyRun, tmp_path: Path) -> None:
    executed = read_plan(run.path / "plan.executed.yaml")
    assert {one.sha256 for one in executed.taught.values()} == {run.evidence["taught"]["sha256"]}
    again = run_of(tmp_path, executed)
    assert weights_of(again.path) == weights_of(run.path)
    assert OTHER_IMAGES not in again.evidence["notes"]


def test_other_images_than_a_plan_was_executed_with_are_told(run: TinyRun) -> None:
    kept, images = RunFolder(run.path), open_store(run.path / "pretraining" / "store")
    table = pd.read_parquet(run.path / "pretraining" / "images.parquet")
    counts = {name: value for name, value in run.evidence["taught"]["unlabelled"].items() if name != "used"}
    seen = Unlabelled(tuple(table["image"]), tuple(table["pixel_hash"]), **counts)
    asked = (images, seen, RunOptions(jobs=1), Silent())
    executed = read_plan(run.path / "plan.executed.yaml")
    same, told = images_to_teach(kept, executed, *asked)
    assert (same, told.notes, told.facts) == (executed, [], run.evidence["taught"])
    executed.taught["taught"].sha256 = "0" * 64
    assert images_to_teach(kept, executed, *asked)[1].notes == [OTHER_IMAGES]
    with pytest.raises(InputError, match=r"a case is prepared as \(1, 9, 9\), and an image without labels as"):
        images_to_teach(kept, executed, replace(images, shape=(1, 9, 9)), *asked[1:])
    assert images_to_teach(kept, make_plan(), *asked) == (make_plan(), TaughtOf())


def test_stopped_and_resumed_it_is_the_same(run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import semeion.study.members.rounds as rounds

    real = rounds.teach

    def stopped(*given: Any) -> Any:
        real(*given)
        if given[1].recipe == "taught":
            raise Interrupted("stopped by the user")

    monkeypatch.setattr(rounds, "teach", stopped)
    with pytest.raises(Interrupted):
        run_of(tmp_path)
    monkeypatch.setattr(rounds, "teach", real)
    resume_run(tmp_path / "run", Silent())
    assert weights_of(tmp_path / "run") == weights_of(run.path)


def test_a_plan_and_its_images_belong_together(tmp_path: Path) -> None:
    tiny = make_cohort(tmp_path / "source", split="test")
    write_plan(fixed(), tmp_path / "plan.yaml")
    with pytest.raises(
        InputError, match="teaches networks what frozen features say of images without labels, and none"
    ):
        train_tiny(tiny, tmp_path / "plan.yaml", tmp_path / "run")


def test_audits_that_train_again_leave_the_images_out() -> None:
    plan = fixed(alone=True)
    assert [one.recipe for one in without_taught(plan).members] == ["frozen", "frozen", None, None]
    assert short_plan(plan).taught == {}
    alone = without_taught(fixed())
    assert [one.recipe for one in alone.members] == ["frozen", "frozen", "taught", "taught"] and alone.taught == {}
    assert [one.recipe for one in short_plan(fixed()).members] == ["taught", "taught"]
    Plan.model_validate(alone.model_dump(by_alias=True))


def test_where_nobody_was_taught_in_the_end_it_is_not_told_that_somebody_was(tmp_path: Path) -> None:
    told = TaughtOf({"unlabelled": {"used": 1200}, "teacher": "frozen"}, [OTHER_IMAGES])
    plan = fixed(alone=True)
    assert told.of(plan) is told
    assert TaughtOf().of(make_plan()) == TaughtOf()
    plan.members[:] = [one for one in plan.members if one.recipe != "taught"]
    assert told.of(plan) == TaughtOf(
        None, ["1,200 images without labels were given, and no network that they taught became a member."]
    )
    # Such an executed plan can be repeated without the images.
    refuse_plan_without(plan, None, "plan.executed.yaml")
    with pytest.raises(InputError, match="learns nothing from images without labels"):
        refuse_plan_without(plan, str(tmp_path), "plan.executed.yaml")
