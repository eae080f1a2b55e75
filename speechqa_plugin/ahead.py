"""Work that a thread does ahead of the one who needs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, the next of which is made in a thread while one is being used.

    Arguments
    ---------
    items : iterable
        What it raises is raised here, in its turn.

    Yields
    ------
    T
        Items in order. No more than one waits.

    Example
    -------
    >>> list(ahead(n * n for n in range(4)))
    [0, 1, 4, 9]
    """
    items = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        future = thread.submit(next, items, _END)
        while (item := future.result()) is not _END:
            future = thread.submit(next, items, _END)
            yield item
