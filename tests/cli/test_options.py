"""Options that several commands share."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from semeion.cli.app import run
from semeion.cli.options import Cohort, Jobs, Target, cohort_options, image_names, takes_cohort, with_bare_roles
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from support.spheres import make_spheres
from support.tiny import make_cohort


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["check", "c.csv", "--channels", "-q"], ["check", "c.csv", "--channels", "all", "-q"]),
        (["check", "c.csv", "--frames"], ["check", "c.csv", "--frames", "all"]),
        (["check", "c.csv", "--views", "a,b"], ["check", "c.csv", "--views", "a,b"]),
        (["check", "c.csv", "--views=a,b", "--target", "y"], ["check", "c.csv", "--views=a,b", "--target", "y"]),
    ],
)
def test_a_role_without_names_means_every_image(given: list[str], meant: list[str]) -> None:
    assert with_bare_roles(given) == meant


def test_names_of_images() -> None:
    assert image_names("FLAIR, T1") == ("FLAIR", "T1")
    assert image_names("all") == ("*",)
    assert image_names(None) == ()
    nothing = (None,) * 6
    options = cohort_options("y", *nothing, False, ";", None, "a,b", None, None)
    assert (options.channels, options.frames, options.views) == (("a", "b"), (), ())


def test_check_refuses_weights_with_their_rows_and_tells_of_votes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = make_cohort(tmp_path, n=12)
    votes = tiny.rows["finding"].tolist()
    tiny = tiny.rewrite(w=[0.5, -1, *[2] * 10], a=votes, b=["unsure", *votes[1:]])
    asked = ["check", str(tiny.table), "--target", "finding", "-q"]
    assert run([*asked, "--weight", "w"], 0.0) == 2
    assert "w (--weight) is no number above 0: -1 (row 3)" in capsys.readouterr().err.replace("\n", " ")
    assert run([*asked, "--raters", "a, b"], 0.0) in (0, 1)
    assert "Training would refuse --raters: 1 votes are for none of" in capsys.readouterr().out


def test_check_says_what_the_images_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = make_spheres(tmp_path, n=8, images=("front", "side"))
    assert run(["check", str(table), "--target", "finding", "-q", "--views"], 0.0) in (0, 1)
    shown = capsys.readouterr().out
    assert "volumes: 14 x 16 x 10 voxels of 1 x 1 x 1.5 mm (medians); orientation LPS 8; no unit" in shown
    assert "images of a case: views front, side" in shown
    assert run(["check", str(table), "--target", "finding", "-q", "--views", "--channels"], 0.0) == 2
    assert "--channels and --views are both given" in capsys.readouterr().err


def test_a_command_takes_the_options_of_a_cohort_where_it_names_it() -> None:
    @takes_cohort
    def command(table: str, target: Target = None, *, cohort: Cohort, jobs: Jobs = None) -> object:
        return table, target, cohort, jobs

    names = list(inspect.signature(command).parameters)
    assert names[:3] == ["table", "target", "task"]
    assert names[-2:] == ["raters", "jobs"]
    assert "cohort" not in names
    said = command("c.csv", target="y", labels="0=a", views="all", jobs=2)
    assert said == ("c.csv", "y", CohortOptions(labels={"0": "a"}, views=("*",)), 2)
    with pytest.raises(InputError, match="unknown task 'binery', did you mean 'binary'"):
        command("c.csv", task="binery")


@pytest.mark.parametrize("command", ["check", "plan", "train"])
def test_every_command_of_a_cohort_lists_its_options_alike(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"], 0.0) == 0
    words = capsys.readouterr().out.partition("Options:")[2].split()
    wanted = [f"--{name.replace('_', '-')}" for name in list(inspect.signature(cohort_options).parameters)[1:]]
    places = [words.index(name) for name in wanted]
    assert places == sorted(places)
    assert words.index("--target") < places[0]
