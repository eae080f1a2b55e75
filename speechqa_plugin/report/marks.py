"""What a page or a figure says of who made it: such a file alone is replaced by another."""

from __future__ import annotations

MAKER = "speechqa"

PAGE = f'<meta name="generator" content="{MAKER}">'
"""Stands in the beginning of every page."""

FIGURE = {"png": {"Software": MAKER}, "svg": {"Creator": MAKER}, "pdf": {"Creator": MAKER}}
"""Metadata of a figure, by its format, in matplotlib's words."""
