"""``semeion explain`` and ``predict --explain``: the same files, a page of all cases, refusals that write nothing."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from semeion.model.package import write_model
from semeion.model.several_targets import write_several
from support.pictured import pictured_model, spotted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictured_model(tmp_path_factory.mktemp("binary") / "model")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    shown = [spotted(tmp_path / "in" / f"{k}.png", spot, bright=200) for k, spot in enumerate([(24, 70), (40, 20)])]
    broken = tmp_path / "in" / "broken <b>.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    return [*shown, broken]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_explain_and_predict_with_explain_write_the_same(
    command: Callable[..., object], model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    done = command("explain", model, *pictures, "-o", tmp_path / "a", "-q")
    assert done.status == 1, "one case failed"  # type: ignore[attr-defined]
    assert f"Explanations: {tmp_path / 'a' / 'explain.html'}" in done.out  # type: ignore[attr-defined]
    out = tmp_path / "out.csv"
    assert command("predict", model, *pictures, "-o", out, "--explain", tmp_path / "b", "-q").status == 1  # type: ignore[attr-defined]
    assert command("predict", model, *pictures, "-o", tmp_path / "plain.csv", "-q").status == 1  # type: ignore[attr-defined]
    first, second = files(tmp_path / "a"), files(tmp_path / "b")
    assert set(first) == {
        "1.json",
        "1.png",
        "2.json",
        "2.png",
        "3.json",
        "explain.json",
        "explain.html",
        "findings.csv",
    }
    del first["findings.csv"]
    assert first == second
    plain = rows(tmp_path / "plain.csv")
    assert all(row["explanation"] == "" for row in plain)
    for folder, found in (("a", rows(tmp_path / "a" / "findings.csv")), ("b", rows(out))):
        names = [Path(row["explanation"]) for row in found]
        assert names == [tmp_path / folder / name for name in ("1.png", "2.png", "3.json")]
        assert [row | {"explanation": ""} for row in found] == plain


def test_the_page_shows_every_case_and_asks_nobody_for_anything(
    command: Callable[..., object], model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    command("explain", model, *pictures, "-o", tmp_path / "a", "-q", "--class", "malignant", "--method", "occlusion")
    page = (tmp_path / "a" / "explain.html").read_text(encoding="utf-8")
    assert page.count('<article class="why">') == 3
    assert page.count("data:image/jpeg;base64,") == 2
    assert "Research use only. Not a medical device." in page
    assert "Occlusion: how much the logit of &#39;malignant&#39;" in page
    assert "unreadable" in page
    assert "broken &lt;b&gt;.png" in page
    assert "broken <b>.png" not in page
    assert 'href="1.png"' in page
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    assert "default-src &#39;none&#39;" in page


def test_what_is_refused_writes_nothing(
    refuse: Callable[..., str], model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    out = ("-o", tmp_path / "why", "-q")
    assert "no class 'cancer'" in refuse("explain", model, *pictures, *out, "--class", "cancer")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for arguments in (("-o", tmp_path / "full"), ("-o", tmp_path / "f.csv", "--explain", tmp_path / "full")):
        name = "predict" if "--explain" in arguments else "explain"
        said = refuse(name, model, *pictures, *arguments, "-q")
        assert "the folder holds other things already; give a new or empty folder" in said
    old = pictured_model(tmp_path / "old", maps=False)
    said = refuse("explain", old, *pictures, *out, "--method", "activation")
    assert "no network of the model gives activation maps; explain by occlusion" in said


def test_a_segmentation_has_no_explanation(
    refuse: Callable[..., str], segmenter: Path, pictures: list[Path], tmp_path: Path
) -> None:
    for arguments in (("explain",), ("predict", "--explain", tmp_path / "why")):
        name, *rest = arguments
        output = ("-o", tmp_path / ("why" if name == "explain" else "f.csv"))
        said = refuse(name, segmenter, *pictures, *output, "-q", *rest)
        assert "a segmentation model has no explanation: the masks it draws say where" in said
        assert "write them with predict --masks DIR" in said


@pytest.fixture
def segmenter(tmp_path: Path) -> Path:
    """Return a network of single voxels: the background, or what is bright."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2, 8, 8, 8])
    weights = numpy_helper.from_array(np.array([0, 1], np.float32).reshape(2, 1, 1, 1, 1), "w")
    node = helper.make_node("Conv", ["image", "w"], ["logits"])
    graph = helper.make_graph([node], "voxels", [image], [logits], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    parts = {
        "task": "segmentation",
        "target": "mask",
        "classes": ["core"],
        "inputs": {"modality": []},
        "preparation": {"channels": ["image"]},
        "segmentation": {"values": [1]},
    }
    write_model(tmp_path / "segmenter", parts, {"m0": bytes(made.SerializeToString())}, "# card\n")
    return tmp_path / "segmenter"


def test_a_damaged_folder_is_no_page(tmp_path: Path) -> None:
    from semeion.errors import InputError
    from semeion.report.explain_page import write_explain_page

    with pytest.raises(InputError, match="the file of explanations is absent or damaged; explain the cases again"):
        write_explain_page(tmp_path)
    (tmp_path / "explain.json").write_text("[]")
    with pytest.raises(InputError, match="not a file of explanations"):
        write_explain_page(tmp_path)
    account = {"cases": ["1.json"]}
    (tmp_path / "explain.json").write_text(json.dumps(account))
    (tmp_path / "1.json").write_text(json.dumps({"explained": [{"pictures": ["1.png"]}]}))
    (tmp_path / "1.png").write_bytes(b"none")
    with pytest.raises(InputError, match="the picture cannot be read"):
        write_explain_page(tmp_path)


def test_each_of_several_targets_has_a_page(command: Callable[..., object], model: Path, tmp_path: Path) -> None:
    age = pictured_model(tmp_path / "age", "regression", target="age")
    write_several(tmp_path / "several", {"finding": ("finding", model), "age": ("age", age)})
    picture = spotted(tmp_path / "a.png")
    done = command("explain", tmp_path / "several", picture, "-o", tmp_path / "why", "-q")
    assert done.status == 0  # type: ignore[attr-defined]
    for target in ("finding", "age"):
        assert f"Explanations: {tmp_path / 'why' / target / 'explain.html'}" in done.out  # type: ignore[attr-defined]
        page = (tmp_path / "why" / target / "explain.html").read_text(encoding="utf-8")
        assert f"Why: {target}" in page
    found = rows(tmp_path / "why" / "findings.csv")
    assert [row["explanation"] for row in found] == [str(tmp_path / "why" / t / "1.png") for t in ("finding", "age")]


def test_an_unsigned_model_is_not_explained_where_a_signature_is_required(
    refuse: Callable[..., str], command: Callable[..., object], model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    command("keygen", "-o", tmp_path / "key")
    key = ("--require-signature", tmp_path / "key.pub")
    said = refuse("explain", model, *pictures, "-o", tmp_path / "why", "-q", *key, status=3)
    assert "the model is not signed" in said
