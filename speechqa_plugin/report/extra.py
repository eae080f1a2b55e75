"""What pages and figures need beyond the package's own dependencies: the extra ``report``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def report_extra() -> Iterator[None]:
    """Say of a package that is missing how it is installed."""
    try:
        yield
    except ModuleNotFoundError as err:
        raise ModuleNotFoundError(
            f"the report needs {err.name}; in the project's folder: pip install '.[report]'",
            name=err.name,
        ) from err


def check_extra(*packages: str) -> None:
    """Raise ModuleNotFoundError where a package is missing; nothing is imported."""
    with report_extra():
        for name in packages:
            if find_spec(name) is None:
                raise ModuleNotFoundError(name=name)
