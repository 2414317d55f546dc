from __future__ import annotations

import threading
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.tiny import store_of
from semeion.learn.batches import batches_ahead, epoch_order


@pytest.fixture
def store(tmp_path):
    """Forty pictures, each filled with its own number."""
    return store_of(np.repeat(np.arange(40, dtype=np.uint8), 4).reshape(40, 1, 2, 2), tmp_path, per_shard=7)


@pytest.fixture
def opened():
    """Opens batches and closes them after the test."""
    kept = []

    def ahead(*arguments, **named):
        kept.append(batches_ahead(*arguments, **named))
        return kept[-1]

    yield ahead
    for batches in kept:
        batches.close()


Y = np.arange(40) * 10.0
ROWS = np.arange(3, 33)


def numbers(batches, count):
    """Return the case numbers of the next batches, and check that pictures and reference standard belong together."""
    out = []
    for pixels, y in islice(iter(batches), count):
        assert pixels.dtype == np.uint8
        assert (pixels == pixels[:, :1, :1, :1]).all()
        assert np.array_equal(pixels[:, 0, 0, 0] * 10.0, y)
        out.append(pixels[:, 0, 0, 0].tolist())
    return out


@given(st.integers(0, 2**31 - 1), st.integers(0, 1000), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_the_order_of_an_epoch_is_a_pure_function(seed, epoch, n):
    rows = np.arange(100, 100 + n)
    one = epoch_order(rows, seed, epoch)
    assert np.array_equal(one, epoch_order(rows, seed, epoch))
    assert sorted(one) == rows.tolist()
    assert rows.tolist() == list(range(100, 100 + n))


def test_epochs_and_seeds_differ():
    rows = np.arange(30)
    orders = {tuple(epoch_order(rows, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_an_epoch_has_every_row_once_in_whole_batches(store, opened):
    for epoch in (numbers(opened(store, Y, ROWS, 8, 1, 0), 6)[:3], numbers(opened(store, Y, ROWS, 8, 1, 3), 3)):
        seen = [number for batch in epoch for number in batch]
        assert all(len(batch) == 8 for batch in epoch)
        assert len(set(seen)) == 24
        assert set(seen) <= set(ROWS.tolist())


@pytest.mark.parametrize("step", [1, 3, 5, 10])
def test_from_any_step_on_the_batches_are_the_same(store, opened, step):
    whole = numbers(opened(store, Y, ROWS, 8, 1, 0), 14)
    assert numbers(opened(store, Y, ROWS, 8, 1, step), 14 - step) == whole[step:]


def test_fewer_rows_than_a_batch_are_one_batch(store, opened):
    batches = numbers(opened(store, Y, ROWS[:5], 8, 1, 0), 3)
    assert [sorted(batch) for batch in batches] == [[3, 4, 5, 6, 7]] * 3


def test_an_error_in_reading_is_raised_where_the_batches_are_used(store, opened):
    batches = opened(store, Y, np.arange(40), 8, 1, 0)
    numbers(batches, 1)
    (store.folder / "shard-0003.bin").unlink()
    with pytest.raises(FileNotFoundError, match="shard-0003"):
        numbers(batches, 20)


def test_close_stops_the_thread_even_when_nobody_reads(store):
    before = threading.active_count()
    batches = batches_ahead(store, Y, ROWS, 8, 1, 0, depth=1)
    assert threading.active_count() == before + 1
    numbers(batches, 2)
    batches.close()
    assert threading.active_count() == before
    batches.close()


def test_close_after_an_error(store):
    (store.folder / "shard-0000.bin").unlink()
    batches = batches_ahead(store, Y, np.arange(7), 2, 1, 0)
    with pytest.raises(FileNotFoundError):
        numbers(batches, 1)
    batches.close()


def test_no_more_than_its_depth_is_read_ahead(store, opened, monkeypatch):
    taken = []
    real = type(store).take
    monkeypatch.setattr(type(store), "take", lambda self, rows: (taken.append(1), real(self, rows))[1])
    batches = opened(store, Y, ROWS, 4, 1, 0, depth=2)
    numbers(batches, 3)
    assert len(taken) <= 3 + 2 + 1


def test_waiting_is_counted(store, opened):
    batches = opened(store, Y, ROWS, 4, 1, 0)
    assert batches.waited == 0
    numbers(batches, 3)
    assert batches.waited > 0
