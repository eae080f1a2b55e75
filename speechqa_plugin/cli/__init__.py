"""The ``speechqa`` command: assess, score, compare, report, watch a stream, show a taxonomy."""

import os
import sys

try:
    from speechqa_plugin.cli import (  # noqa: F401 (each adds its command)
        assess,
        compare,
        merge,
        report,
        score,
        taxonomy,
        watch,
    )
    from speechqa_plugin.cli.app import app, refuse
except KeyboardInterrupt:  # as quietly as Ctrl-C ends it later
    raise SystemExit(130) from None


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
