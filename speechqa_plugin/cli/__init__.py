"""The ``speechqa`` command: assess, score, compare, report, or watch a stream."""

import sys

# Each adds its command.
from speechqa_plugin.cli import assess, compare, merge, report, score, watch  # noqa: F401
from speechqa_plugin.cli.app import app


def main() -> None:
    """Entry point of the ``speechqa`` command."""
    sys.stdout.reconfigure(errors="backslashreplace")  # any file name, any terminal
    app()
