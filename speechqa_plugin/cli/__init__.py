"""The ``speechqa`` command: assess a few files, score many, compare versions of them."""

import sys

# Each adds its command, in this order.
from speechqa_plugin.cli import assess, compare, merge, score  # noqa: F401
from speechqa_plugin.cli.app import app


def main() -> None:
    """Entry point of the ``speechqa`` command."""
    sys.stdout.reconfigure(errors="backslashreplace")  # any file name, any terminal
    app()
