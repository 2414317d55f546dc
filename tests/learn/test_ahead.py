import threading

import pytest

from semeion.learn.ahead import Ahead


def test_ahead_hands_over_in_order_and_passes_errors_on():
    def make(step):
        if step == 5:
            raise OSError("the disk is gone")
        return step

    ahead = Ahead(make, 2)
    got = []
    with pytest.raises(OSError, match="the disk is gone"):
        for item in ahead:
            got.append(item)  # noqa: PERF402
    ahead.close()
    assert got == [2, 3, 4]


def test_what_is_started_runs_once_on_the_thread_before_anything_is_made():
    calls = []
    ahead = Ahead(lambda step: calls.append(step) or step, 0, started=lambda: calls.append(threading.get_ident()))
    iterator = iter(ahead)
    assert [next(iterator), next(iterator)] == [0, 1]
    ahead.close()
    assert calls[0] != threading.get_ident()
    assert calls[1:3] == [0, 1]
