"""The ``speechqa`` command: assess a few files, score many, or make a page of them."""

import sys

from speechqa_plugin.cli import assess, report, score  # noqa: F401  each adds its command, in this order
from speechqa_plugin.cli.app import app


def main() -> None:
    """Entry point of the ``speechqa`` command."""
    sys.stdout.reconfigure(errors="backslashreplace")  # any file name, any terminal
    app()
