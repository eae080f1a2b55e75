"""Versions of the same clips beside each other as one HTML page; see `report.html`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from speechqa_plugin.metrics import Estimate
from speechqa_plugin.report.clips import Clip
from speechqa_plugin.report.extra import report_extra
from speechqa_plugin.report.html import render
from speechqa_plugin.report.page import drawn_clip
from speechqa_plugin.report.pairs import MIDDLE, Difference, best_in_the_middle
from speechqa_plugin.report.versions import Versions
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN

_WIDEST = SCORE_MAX - SCORE_MIN  # that two scores can differ
_LEAST_AXIS = 0.5
_FULL_COLOUR = 2.0  # a difference that has all of a cell's colour


def render_versions(
    found: Versions,
    sounds: Mapping[str, Sequence[Clip]],
    title: str = "",
) -> str:
    """The page.

    Arguments
    ---------
    found : Versions
        What is compared. Two sources: the difference of each dimension with its interval, and
        wins. More: their ranking. Then a table of all clips, those that differ most first, each
        of which opens.
    sounds : mapping from str to sequence of Clip
        For some clips their S versions to listen to, with samples or the reason why not.
    title : str
        Of the page; the sources' names if not given.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    ModuleNotFoundError
        If there is no jinja2, or no matplotlib and a clip has samples.
    """
    names = list(next(iter(found.scores.values()))[0])
    titles = {n: found.title(n) for n in names}
    titles = {found.by: titles[found.by]} | titles  # what sorts stands first
    with report_extra():
        clips = [_clip(found, name, titles, sounds.get(name, ())) for name in found.most_different]
    short = [_last(source) for source in found.sources]
    if len(set(short)) < len(short):
        short = list(found.sources)
    return render(
        "versions.html.j2",
        title=title or " against ".join(short),
        sources=found.sources,
        letters=found.letters,
        counts=found.counts,
        by=found.by,
        titles=titles,
        clips=clips,
        two=found.comparison is not None,
        lead=found.comparison and found.comparison.dimensions[found.by],
        differences=_differences(found, titles),
        ranks=_ranks(found, titles),
        middle=best_in_the_middle(found.taxonomy),
        best=MIDDLE,
        errors=found.errors,
        not_judged=found.not_judged,
    )


def _last(source: str) -> str:
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2] or source


def _differences(found: Versions, titles: Mapping[str, str]) -> dict | None:
    """Rows of two sources' table, on one axis that is as wide as the widest interval."""
    if found.comparison is None:
        return None
    of = found.comparison.dimensions
    ends = [abs(end) for name in titles for end in _ends(of[name].difference)]
    reach = min(_WIDEST, max(_LEAST_AXIS, math.ceil(2 * max(ends)) / 2))

    def place(value: float) -> float:
        return 50 + 50 * value / reach

    rows = []
    for name, title in titles.items():
        low, high = _ends(of[name].difference)
        rows.append(
            {
                "title": title,
                "note": _note(of[name], name in found.comparison.middle),
                "found": of[name],
                "left": place(low),
                "width": place(high) - place(low),
                "point": place(of[name].difference.value),
                "holds_0": low <= 0 <= high,
            }
        )
    return {"reach": reach, "rows": rows}


def _note(difference: Difference, middle: bool) -> str:
    """What has to be known to read a row: that it is undecided, that more is not better."""
    low, high = _ends(difference.gain)
    undecided = low <= 0 <= high
    if not middle:
        return "undecided" if undecided else ""
    nearer = "undecided" if undecided else f"{'A' if low > 0 else 'B'} is nearer"
    return f"best at {MIDDLE:g}: {nearer}"


def _ranks(found: Versions, titles: Mapping[str, str]) -> list[dict]:
    """Rows of the ranking of more than two sources."""
    letters = dict(zip(found.sources, found.letters, strict=True))
    rows = []
    for place, ranked in enumerate(found.ranks, start=1):
        mean = ranked.means[found.by]
        low, high = _ends(mean)
        share = 100 / _WIDEST
        rows.append(
            {
                "place": place,
                "letter": letters[ranked.system],
                "ranked": ranked,
                "mean": mean,
                "left": share * (low - SCORE_MIN),
                "width": share * (high - low),
                "point": share * (mean.value - SCORE_MIN),
                "undecided": place > 1 and not ranked.behind.high < 0,
                "others": [ranked.means[n].value for n in titles if n != found.by],
            }
        )
    return rows


def _ends(estimate: Estimate) -> tuple[float, float]:
    """The interval; of one clip, which has none, its value."""
    if math.isnan(estimate.low):
        return estimate.value, estimate.value
    return estimate.low, estimate.high


def _clip(found: Versions, name: str, titles: Mapping[str, str], sounds: Sequence[Clip]) -> dict:
    """A clip's row, and what opens below it."""
    scores = found.scores[name]
    apart = {n: _apart([s[n] for s in scores]) for n in titles}
    return {
        "name": name,
        "paths": found.paths[name],
        "scores": scores,
        "apart": apart,
        "colour": {n: min(1.0, abs(a) / _FULL_COLOUR) for n, a in apart.items()},
        "sounds": [
            drawn_clip(clip, f"{letter}: {name}")
            for letter, clip in zip(found.letters, sounds, strict=False)
        ],
    }


def _apart(scores: Sequence[float]) -> float:
    """A minus B; of more, how far the highest is from the lowest."""
    return scores[0] - scores[1] if len(scores) == 2 else max(scores) - min(scores)
