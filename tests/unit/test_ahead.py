"""Work that a thread does ahead."""

import threading

import pytest

from speechqa_plugin.ahead import ahead


def test_items_in_order_and_made_in_another_thread():
    made = ((n, threading.get_ident()) for n in range(5))
    items = list(ahead(made))
    assert [n for n, _ in items] == list(range(5))
    assert {ident for _, ident in items}.isdisjoint({threading.get_ident()})


def test_one_item_is_made_ahead_and_no_more():
    made = []
    second = threading.Event()

    def items():
        for n in range(5):
            made.append(n)
            if n == 1:
                second.set()
            yield n

    stream = ahead(items())
    assert next(stream) == 0
    assert second.wait(10)
    assert made == [0, 1]
    stream.close()
    assert made == [0, 1]


def test_what_is_raised_comes_in_its_turn():
    def items():
        yield 1
        raise OSError("gone")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(OSError, match="gone"):
        next(stream)
