"""One writer to a file."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockedError(ValueError):
    """Another process writes to the file."""


@contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Keep other processes from writing to a file, by a lock file beside it.

    The kernel holds the lock, so that it ends with the process however that ends: what a SIGKILL
    leaves behind is a file that locks nothing.

    Arguments
    ---------
    path : str or path
        The file, whether it is there or not; its folder must be.

    Raises
    ------
    LockedError
        If another process holds the lock; the message says which.
    OSError
        If the lock file can't be written.

    Example
    -------
    >>> out = getfixture("tmp_path") / "scores.jsonl"
    >>> with locked(out):
    ...     sorted(p.name for p in out.parent.iterdir())
    ['scores.jsonl.lock']
    >>> list(out.parent.iterdir())
    []
    """
    lock = Path(f"{path}.lock")
    file = _acquire(lock, path)
    try:
        os.truncate(file, 0)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        lock.unlink(missing_ok=True)  # before it is released: see _acquire
        os.close(file)


def _acquire(lock: Path, path: str | os.PathLike) -> int:
    while True:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 200).decode(errors="replace") or "another process"
            os.close(file)
            raise LockedError(
                f"{path}: {holder} is writing to it; wait for it, or give another --out"
            ) from None
        except OSError:
            os.close(file)
            raise
        try:
            if os.stat(lock).st_ino == os.fstat(file).st_ino:
                return file
        except FileNotFoundError:
            pass
        os.close(file)  # its last holder removed it between our two calls
