"""The run folder: never two runs in one, and never a stranger's files touched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import semeion
from semeion.artefacts import read_json
from semeion.errors import InputError
from semeion.progress import Silent
from semeion.provenance import code_hash
from semeion.study.folder import RunFolder, code_notes, read_run_state
from semeion.study.options import RunOptions
from semeion.study.road import resume_run
from support.tiny import TinyRun, contents_of, train_tiny

HOLD = """
import sys
from pathlib import Path
from semeion.study.folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.begin(tmp_path / "cohort.csv", RunOptions())
    return folder


def test_a_new_run_remembers_what_was_asked(begun: RunFolder) -> None:
    state = read_run_state(begun.path)
    assert state["semeion"] == semeion.__version__
    assert state["code"] == code_hash()
    assert state["finished"] is False
    assert RunOptions.from_json(state["options"]) == RunOptions()


def test_code_that_changed_between_begin_and_resume_is_told(begun: RunFolder) -> None:
    assert code_notes(begun) == []
    state = read_run_state(begun.path)
    begun.write_state({**state, "code": "ab" * 32})
    assert code_notes(begun) == [
        f"The code was changed after this run was begun: sha256 {'ab' * 32} then, {code_hash()} when it was weighed."
    ]
    begun.write_state({name: value for name, value in state.items() if name != "code"})
    assert code_notes(begun) == []


def test_an_unfinished_run_is_not_begun_again(begun: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        begun.begin(tmp_path / "cohort.csv", RunOptions())
    assert str(caught.value).startswith(
        f"{begun.path}: already holds an unfinished run; continue it with `semeion resume "
    )
    assert str(caught.value).endswith("`, or choose another -o")


def test_a_finished_run_is_not_overwritten(tiny_run: TinyRun) -> None:
    before = contents_of(tiny_run.path)
    with pytest.raises(InputError) as caught:
        train_tiny(tiny_run.cohort, tiny_run.plan, tiny_run.path)
    assert str(caught.value) == f"{tiny_run.path}: already holds a finished run; choose another -o"
    assert contents_of(tiny_run.path) == before


def test_a_folder_with_other_files_is_left_alone(tiny_run: TinyRun, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError) as caught:
        train_tiny(tiny_run.cohort, tiny_run.plan, tmp_path)
    assert str(caught.value) == f"{tmp_path}: is not empty and holds no run; choose another folder with -o"
    assert contents_of(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_file_is_no_run_folder(tiny_run: TinyRun, tmp_path: Path) -> None:
    taken = tmp_path / "run"
    taken.write_text("a file")
    with pytest.raises(InputError, match="is not empty and holds no run; choose another folder with -o"):
        train_tiny(tiny_run.cohort, tiny_run.plan, taken)
    assert taken.read_text() == "a file"


def test_a_folder_in_use_by_another_process_is_refused(begun: RunFolder, tiny_run: TinyRun) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(begun.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        message = f"{begun.path}: is in use by another process; wait for it, or choose another -o"
        for attempt in (
            lambda: resume_run(begun.path, Silent()),
            lambda: train_tiny(tiny_run.cohort, tiny_run.plan, begun.path),
        ):
            with pytest.raises(InputError) as caught:
                attempt()
            assert str(caught.value) == message
        assert begun.state.exists()
    finally:
        holder.communicate(input="")
    with begun.locked():
        pass


@pytest.mark.parametrize("schema", [0, 2, None])
def test_a_run_of_another_version_is_refused(begun: RunFolder, tiny_run: TinyRun, schema: int | None) -> None:
    state = {**read_json(begun.state), "schema": schema, "semeion": "9.9"}
    begun.state.write_text(json.dumps(state))
    message = (
        f"{begun.path}: was written by Semeion 9.9 in a form that {semeion.__version__} does not read; "
        "use that version, or train again into another folder"
    )
    for attempt in (
        lambda: resume_run(begun.path, Silent()),
        lambda: train_tiny(tiny_run.cohort, tiny_run.plan, begun.path),
        lambda: semeion.Run(begun.path),
    ):
        with pytest.raises(InputError) as caught:
            attempt()
        assert str(caught.value) == message
    assert read_json(begun.state) == state


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    message = "holds no run; give a folder that `semeion train -o` wrote"
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError) as caught:
            read_run_state(folder)
        assert str(caught.value) == f"{folder}: {message}"
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_a_damaged_state_is_named(begun: RunFolder, content: str) -> None:
    begun.state.write_text(content)
    with pytest.raises(InputError) as caught:
        read_run_state(begun.path)
    assert str(caught.value) == f"{begun.state}: is damaged; train again into another folder"


def test_an_unfinished_run_is_no_result(begun: RunFolder) -> None:
    with pytest.raises(InputError) as caught:
        semeion.Run(begun.path)
    assert str(caught.value) == f"{begun.path}: the run is not finished; continue it with `semeion resume {begun.path}`"


def test_what_a_kill_left_half_written_is_tidied(begun: RunFolder) -> None:
    (begun / "store").mkdir()
    (begun / "store" / ".shard-0000.bin.abc.part").write_bytes(b"half")
    (begun / ".model.abc.part" / "members").mkdir(parents=True)
    (begun / ".model.abc.old").mkdir()
    begun.tidy()
    assert sorted(contents_of(begun.path)) == ["run.json"]
    assert not [entry for entry in begun.path.iterdir() if entry.name.startswith(".")]


def test_the_log_is_one_object_a_line(begun: RunFolder) -> None:
    begun.log("member", name="seed0")
    begun.log("evaluation", step=3)
    lines = [json.loads(line) for line in (begun / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["member", "evaluation"]
    assert lines[1]["step"] == 3


def test_a_copied_run_still_opens(tiny_run: TinyRun, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.path, tmp_path / "elsewhere")
    run = semeion.Run(copy)
    assert run.evidence == tiny_run.evidence
    assert run.model.hash == semeion.load_model(tiny_run.model).hash
