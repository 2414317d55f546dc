"""Progress is seen in a terminal and in a log, and never when the package is only imported."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from semeion import progress
from semeion.progress import Bar, Lines, Progress, Silent, for_terminal


class Clock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress.time, "monotonic", made.monotonic)
    return made


def use(told: Progress) -> None:
    told.start("reading images", 4)
    for _ in range(4):
        told.advance(1, "auroc 0.90")
    told.say("one was blank")
    told.finish()


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    use(Silent())
    assert capsys.readouterr() == ("", "")


def test_lines_say_share_time_left_and_note_but_not_too_often(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    told = Lines(every=10)
    told.start("training", 100)
    clock.now += 9
    told.advance(10)
    clock.now += 11
    told.advance(10, "auroc 0.91")
    told.advance(10)
    clock.now += 5
    told.finish()
    out, err = capsys.readouterr()
    assert out == "", "standard output is for results"
    assert err.splitlines() == [
        "training ...",
        "training: 20%, about 80 s left. auroc 0.91",
        "training: done in 25.0 s",
    ]


def test_lines_can_be_used_again_for_the_next_piece_of_work(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    told = Lines(every=1)
    told.start("first", 2)
    told.advance(2)
    told.finish()
    clock.now += 50
    told.start("second", 10)
    clock.now += 2
    told.advance(5)
    assert capsys.readouterr().err.splitlines()[-1] == "second: 50%, about 2 s left."


def test_work_that_takes_longer_than_planned_is_never_more_than_all(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Lines(every=1)
    told.start("learning", 8)
    clock.now += 2
    told.advance(12)
    assert capsys.readouterr().err.splitlines()[-1] == "learning: 100%, about 0 s left."


def test_work_of_unknown_or_no_size_is_no_error(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    told = Lines(every=0)
    told.start("nothing to do", 0)
    clock.now += 1
    told.advance()
    told.finish()
    assert capsys.readouterr().err.splitlines() == ["nothing to do ...", "nothing to do: done in 1.0 s"]


def test_more_than_promised_never_leaves_negative_time(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    told = Lines(every=0)
    told.start("counting", 1)
    clock.now += 1
    told.advance(3)
    assert "about 0 s left" in capsys.readouterr().err


def test_a_bar_starts_advances_speaks_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", screen)
    bar = Bar()
    use(bar)
    assert "one was blank" in screen.getvalue()
    bar.say("[bold]after[/bold] the end")
    assert "[bold]after[/bold] the end" in screen.getvalue(), "a message is shown as it is, not read as markup"


def test_a_bar_that_was_not_started_may_be_advanced_and_finished(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.advance()
    bar.finish()
    bar.finish()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("stream", "quiet", "kind"),
    [
        (Terminal(), False, Bar),
        (io.StringIO(), False, Lines),
        (Terminal(), True, Silent),
        (io.StringIO(), True, Silent),
    ],
)
def test_what_suits_the_terminal(stream: Any, quiet: bool, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    assert type(for_terminal(quiet=quiet)) is kind
