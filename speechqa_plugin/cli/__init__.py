"""The ``speechqa`` command: assess, score, compare, report, watch a stream, show a taxonomy."""

import os
import sys

# Each adds its command.
from speechqa_plugin.cli import assess, compare, merge, report, score, taxonomy, watch  # noqa: F401
from speechqa_plugin.cli.app import app, refuse


def main() -> None:
    """Entry point of the ``speechqa`` command."""
    sys.stdout.reconfigure(errors="backslashreplace")  # any file name, any terminal
    # Read when numpy is imported. On its small matrices more threads only wait for each other:
    # on two busy cores an answer took seven times as long. torch has threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as err:
        # Else Python tries once more at its end, and says so in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = err.filename or "standard output"
        refuse(f"{where}: {err.strerror}; what was written is not whole")
