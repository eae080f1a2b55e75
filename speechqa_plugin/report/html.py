"""Templates as one HTML page that needs nothing else: no network, no other file.

Everything that a file name or a model wrote goes through jinja2's escaping, and the page's
content security policy lets no script run but its own. The page's script sorts, filters and plays;
what there is to read is there without it.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from speechqa_plugin.report.extra import report_extra
from speechqa_plugin.report.marks import PAGE
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Dimension


def render(template: str, **values) -> str:
    """A page from a template that extends ``layout.html.j2``, which needs a ``title``.

    Raises
    ------
    ModuleNotFoundError
        If there is no jinja2.
    """
    with report_extra():
        import jinja2

    from speechqa_plugin.report.words import signed  # with numpy, which takes its time

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["badness"] = badness
    environment.filters["signed"] = lambda value: signed(value).replace("-", "−")
    script = environment.get_template("page.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html = environment.get_template(template).render(
        mark=PAGE,
        policy=f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        script=script,
        score_min=SCORE_MIN,
        score_max=SCORE_MAX,
        **values,
    )
    # A file name may hold undecodable bytes.
    return html.encode("utf-8", "backslashreplace").decode("utf-8")


def badness(score: float, dimension: Dimension) -> float:
    """From 0 (as good as it gets) to 1; a magnitude is best in the middle."""
    if dimension.magnitude:
        middle = (SCORE_MIN + SCORE_MAX) / 2
        return abs(score - middle) / (SCORE_MAX - middle)
    return (SCORE_MAX - score) / (SCORE_MAX - SCORE_MIN)
