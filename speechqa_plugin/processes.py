"""Many processes, each with one thread, that end with the one that began them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def pool(
    num_workers: int | None, start: Callable[..., None], initargs: tuple = ()
) -> Iterator[ProcessPoolExecutor]:
    """Processes for many calls; what is not begun when the block ends is left undone.

    They are spawned, not forked, since the caller may hold threads of torch or a process group; a
    script that uses them needs ``if __name__ == "__main__":``.

    Arguments
    ---------
    num_workers : int or None
        Processes; None for one per core.
    start : callable
        Called in each with ``initargs``; should call `end_with_parent`.
    initargs : tuple

    Yields
    ------
    concurrent.futures.ProcessPoolExecutor
    """
    with _single_threads():
        executor = ProcessPoolExecutor(
            num_workers or _cores(),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=start,
            initargs=initargs,
        )
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """End this process when its parent does.

    A killed parent tells its processes nothing; they would wait for work for ever.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def _single_threads() -> Iterator[None]:
    """One thread a process, as many processes as cores; children inherit it."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: the cores that we may use
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
