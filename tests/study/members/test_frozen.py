"""Members on frozen features: taken once for all folds, and a head that ships as JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from learn.tiny import pictures, store_of
from semeion.artefacts import read_json, write_json
from semeion.errors import InputError, Interrupted, TrainingFailed
from semeion.learn import frozen
from semeion.learn.pretrained import frozen_of
from semeion.model.engine import open_engine
from semeion.model.heads import judged
from semeion.model.linear import Linear, LinearMember
from semeion.plan.schema import Plan
from semeion.plan.splits import Sides
from semeion.study.folder import RunFolder
from semeion.study.members import frozen as members_frozen
from semeion.study.members.frozen import Banks, features_graph, frozen_outputs, learn_frozen
from support.tiny import make_plan

N = 48
ROWS = np.arange(N)


def plan_with(flips: bool = False) -> Plan:
    """Return a plan of a frozen member a fold."""
    told = make_plan().model_dump(by_alias=True)
    told["recipes"] = {"frozen": {"kind": "frozen", "side": 32, "layers": ["stride8", "stride16"], "flips": flips}}
    for member in told["members"]:
        member |= {"recipe": "frozen", "steps": 0}
    return Plan.model_validate(told)


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunFolder, Banks, np.ndarray]:
    images, y = pictures("binary", N)
    store = store_of(images, tmp_path / "store")
    write_json(store.folder / "store.json", {"key": "one"})
    folder = RunFolder(tmp_path)
    return folder, Banks(folder, plan_with(), store), y


def sides(fold: int) -> Sides:
    return Sides(fold, ROWS[:24], ROWS[24:36], ROWS[36:]) if fold == 0 else Sides(1, ROWS[12:36], ROWS[36:], ROWS[:12])


def learn(banks: Banks, y: np.ndarray, folder: Path, fold: int, seen: list[tuple[int, int]]) -> dict[str, object]:
    learn_frozen(
        banks.plan, banks.plan.members[fold], banks, y, ROWS, sides(fold), folder, lambda *told: seen.append(told)
    )
    return read_json(folder / "member.json")


def test_a_member_tells_the_classes_apart_and_folds_share_features(run, tmp_path: Path) -> None:
    folder, banks, y = run
    seen: list[tuple[int, int]] = []
    facts = learn(banks, y, tmp_path / "a", 0, seen)
    assert (facts["recipe"], facts["steps"], facts["stopped"]) == ("frozen", 0, "solved exactly")
    assert seen[-1] == (12, 12), "learning cases first, then the inner validation cases"
    assert facts["val_loss"] < np.log(2)
    said = frozen_outputs(tmp_path / "a", banks.plan.members[0], banks, ROWS[36:])
    assert said.shape == (12, 2)
    assert np.allclose(said.sum(1), 1)
    assert ((said[:, 1] > 0.5) == (y[36:] == 1)).mean() > 0.8
    # The other fold asks for cases that were all seen.
    seen.clear()
    learn(banks, y, tmp_path / "b", 1, seen)
    assert seen == []
    # So does a run that goes on, in another process.
    again = Banks(folder, banks.plan, banks.store)
    again.take("frozen", ROWS, lambda *told: seen.append(told))
    assert seen == []


def test_mirror_images_are_learned_from_beside_the_cases(run, tmp_path: Path) -> None:
    folder, banks, y = run
    plain = learn(banks, y, tmp_path / "a", 0, [])
    banks.plan = plan_with(flips=True)
    flipped = learn(banks, y, tmp_path / "b", 0, [])
    assert (tmp_path / "features" / "frozen.mirrored.npy").exists()
    assert flipped["val_loss"] != plain["val_loss"]
    bank = np.load(features_graph(folder, "frozen").with_name("frozen.mirrored.npy"))
    assert np.flatnonzero(~np.isnan(bank[:, 0])).tolist() == list(range(24)), "only learning cases are mirrored"


def test_a_stop_is_heard_while_features_are_taken(run) -> None:
    _, banks, _ = run
    banks.stop = lambda: True
    with pytest.raises(Interrupted, match="stopped by the user"):
        banks.take("frozen", ROWS)


def test_a_class_with_one_learning_patient_leaves_the_member_out_and_not_the_run(run, tmp_path: Path) -> None:
    _, banks, y = run
    patients = np.where(y == 1, 0, ROWS + 1)
    with pytest.raises(TrainingFailed, match="member fold0-seed0: class number 1 has cases of fewer than two patients"):
        learn_frozen(banks.plan, banks.plan.members[0], banks, y, patients, sides(0), tmp_path / "a", lambda *_: None)
    assert not (tmp_path / "a" / "member.json").exists()


def volumes_plan(**recipe: object) -> Plan:
    """Return a plan of a frozen member a fold that sees slices of volumes of two frames."""
    told = plan_with().model_dump(by_alias=True)
    told["images"] = {"kind": "volume", "role": "frames", "names": ["ED", "ES"]}
    told["preparation"] = {"channels": ["image"], "size": [5, 12, 12]}
    told["network"] = {"kind": "slices", "widths": [4]}
    told["recipes"]["frozen"] |= {"along": ["slices", "rows"], "slices": 3, "apart": ["images", "axes"], **recipe}
    return Plan.model_validate(told)


@pytest.fixture
def hearts(tmp_path: Path) -> tuple[Banks, np.ndarray]:
    images, y = pictures("binary", N)
    pixels = np.repeat(images[:, :, None], 5, 2)
    store = store_of(np.concatenate([pixels, pixels[..., ::-1]], 1), tmp_path / "store")
    write_json(store.folder / "store.json", {"key": "one"})
    return Banks(RunFolder(tmp_path), volumes_plan(), store), y


def test_slices_of_volumes_are_learned_from_a_few_at_a_time(hearts, tmp_path: Path, monkeypatch) -> None:
    banks, y = hearts
    monkeypatch.setattr(frozen, "TOGETHER", 24)
    seen: list[tuple[int, int]] = []
    facts = learn(banks, y, tmp_path / "a", 0, seen)
    assert facts["val_loss"] < np.log(2)
    assert seen[0] == (2, 24), "twelve pictures a case: two cases at a time"
    # What ships, read by the runtime alone, says what was said here.
    folder = tmp_path / "a"
    rows = ROWS[36:]
    engine = open_engine(features_graph(banks.run, "frozen").read_bytes(), 1)
    head = LinearMember(Linear.model_validate(read_json(folder / "head.json")))
    assert head.linear.width == engine.n_outputs == 4 * 2 * 2 * (40 + 112)
    said = judged(engine.run(banks.store.take(rows)), head, "binary")
    np.testing.assert_allclose(said, frozen_outputs(folder, banks.plan.members[0], banks, rows), atol=1e-5)
    network = frozen_of(banks.plan.recipes["frozen"], banks.store.shape, 2)
    with torch.inference_mode():
        features = network(torch.from_numpy(np.array(banks.store.take(rows)))).numpy()
    np.testing.assert_allclose(head.outputs(features), said, atol=1e-5)


def test_more_features_than_a_head_may_have_are_refused_by_name(hearts, monkeypatch) -> None:
    banks, _ = hearts
    monkeypatch.setattr(members_frozen, "MAX_FEATURES", 1000)
    with pytest.raises(InputError) as caught:
        banks.take("frozen", ROWS)
    assert str(caught.value) == (
        "recipes.frozen: the recipe gives 2432 features a case, and a head has at most 1000; leave something out of "
        "`apart`, or name fewer `layers`"
    )
