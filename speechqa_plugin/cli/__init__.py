"""The ``speechqa`` command: assess, score, compare, report, watch a stream, show a taxonomy."""

import sys

# Each adds its command.
from speechqa_plugin.cli import assess, compare, merge, report, score, taxonomy, watch  # noqa: F401
from speechqa_plugin.cli.app import app


def main() -> None:
    """Entry point of the ``speechqa`` command."""
    sys.stdout.reconfigure(errors="backslashreplace")  # any file name, any terminal
    app()
