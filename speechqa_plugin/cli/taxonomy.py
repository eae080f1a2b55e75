"""``speechqa taxonomy``: what is rated and in which words, and whether one's own file is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate

from speechqa_plugin.cli.app import app, refuse
from speechqa_plugin.schema import (
    SCORE_MAX,
    SCORE_MIN,
    SchemaError,
    Taxonomy,
    load_taxonomy,
    taxonomy_names,
)

_WIDTH = 52
"""Of a column of words."""


@app.command()
def taxonomy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_NAME",
            help=f"A YAML file, or the name of one of ours: {', '.join(taxonomy_names())}.",
            autocompletion=lambda incomplete: [
                n for n in taxonomy_names() if n.startswith(incomplete)
            ],
        ),
    ],
):
    """What a taxonomy rates: dimensions, the words of their scales, kinds of artifact and types.

    A file that is none ends with exit code 2 and a sentence that says where and why.
    """
    path = Path(source)
    if path.is_dir() or (path.is_file() and path.suffix not in (".yaml", ".yml")):
        refuse(f"{source}: need a file whose name ends in .yaml")
    try:
        print(taxonomy_text(load_taxonomy(source)))
    except SchemaError as err:
        refuse(str(err))
    except OSError as err:
        refuse(f"{source}: can't be read ({err.strerror})")


def taxonomy_text(taxonomy: Taxonomy) -> str:
    """A taxonomy's tables, for people to read."""
    middle = (SCORE_MIN + SCORE_MAX) // 2
    dimensions = [
        [
            d.name,
            d.title,
            ", ".join(f"{SCORE_MIN + i} {words}" for i, words in enumerate(d.anchors)),
            middle if d.magnitude else SCORE_MAX,
        ]
        for d in taxonomy.dimensions
    ]
    kinds = [[k.name, k.dimension, ", ".join(k.types) or "any words"] for k in taxonomy.kinds]
    n, overall = len(dimensions), taxonomy.overall
    lines = [
        f"{taxonomy.name}: {n} dimension{'s' if n > 1 else ''}, the overall one is {overall}",
        "",
        _table(dimensions, ["dimension", "title", "scale", "best"]),
        "",
    ]
    if not kinds:
        return "\n".join([*lines, "no kinds of artifact"])
    return "\n".join([*lines, _table(kinds, ["artifact", "lowers", "known types"])])


def _table(rows: list, head: list[str]) -> str:
    widths = [None, None, _WIDTH, None][: len(head)]
    return tabulate(rows, head, "simple", maxcolwidths=widths)
