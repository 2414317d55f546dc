"""Outputs of ``predict`` that would be one place are refused before anything is read or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from semeion.cli.places import refuse_clash
from semeion.errors import InputError
from support.pictured import pictured_model, spotted

Refuse = Callable[..., str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictured_model(tmp_path_factory.mktemp("binary") / "model")


@pytest.mark.parametrize(
    ("arguments", "both"),
    [
        (("-o", "why/explain.json", "--explain", "why"), ("--output", "--explain")),
        (("-o", "why/1.json", "--explain", "why"), ("--output", "--explain")),
        (("-o", "why/../why/EXPLAIN.JSON", "--explain", "why"), ("--output", "--explain")),
        (("-o", "f.csv", "--explain", "f.csv"), ("--output", "--explain")),
        (("-o", "f.csv", "--explain", "f.csv/why"), ("--output", "--explain")),
        (("-o", "f.csv", "--log", "f.csv"), ("--output", "--log")),
        (("-o", "f.csv", "--masks", "f.csv"), ("--output", "--masks")),
        (("-o", "log/log.parquet", "--log", "log"), ("--output", "--log")),
        (("-o", "f.csv", "--explain", "both", "--log", "both"), ("--explain", "--log")),
        (("-o", "f.csv", "--explain", "both", "--log", "both/log"), ("--explain", "--log")),
        (("-o", "f.csv", "--explain", "both/why", "--log", "both"), ("--explain", "--log")),
        (("-o", "model/f.csv"), ("--output", "model's folder")),
        (("-o", "f.csv", "--explain", "model/why"), ("--explain", "model's folder")),
        (("-o", "cases.csv"), ("--output", "IMAGE")),
    ],
)
def test_a_clash_is_refused_and_nothing_is_written(
    refuse: Refuse,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    both: tuple[str, str],
) -> None:
    monkeypatch.chdir(tmp_path)
    spotted(tmp_path / "a.png", (20, 20), bright=200)
    (tmp_path / "cases.csv").write_text("case_id,image\n1,a.png\n")
    (tmp_path / "model").symlink_to(model)
    before = {path: path.read_bytes() for path in (*tmp_path.iterdir(), *model.rglob("*")) if path.is_file()}
    said = refuse("predict", "model", "cases.csv", *arguments, "-q")
    assert all(option in said for option in both)
    assert {path: path.read_bytes() for path in (*tmp_path.iterdir(), *model.rglob("*")) if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "cases.csv", "model"}


@pytest.mark.parametrize("name", ["findings.json", "findings.csv", "all.csv", "explain.csv"])
def test_findings_may_lie_among_explanations_where_no_name_is_taken(
    command: Callable[..., object], model: Path, tmp_path: Path, name: str
) -> None:
    picture = spotted(tmp_path / "a.png", (20, 20), bright=200)
    why = tmp_path / "why"
    done = command("predict", model, picture, "-o", why / name, "--explain", why, "--log", tmp_path / "log", "-q")
    assert done.status == 0  # type: ignore[attr-defined]
    assert {path.name for path in why.iterdir()} == {"1.json", "1.png", "explain.json", "explain.html", name}


def test_a_packed_model_and_places_beside_one_another_are_no_clash(tmp_path: Path) -> None:
    packed = tmp_path / "finding.semeion"
    packed.write_bytes(b"")
    folders = {name: tmp_path / name for name in ("masks", "explain", "log")}
    refuse_clash(tmp_path / "f.json", packed, ["a.png", "https://nowhere"], **folders)
    with pytest.raises(InputError, match="--output would replace MODEL"):
        refuse_clash(packed, packed, [])
