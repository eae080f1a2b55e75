"""Two or more sets of files that hold versions of the same clips, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from speechqa_plugin.report.pairs import (
    Comparison,
    Pair,
    Rank,
    best_in_the_middle,
    compare_pairs,
    comparison_text,
    match,
    rank,
    ranking_text,
    why_none,
)
from speechqa_plugin.report.verdict import verdict
from speechqa_plugin.report.words import some_of
from speechqa_plugin.schema import Taxonomy

Scored = Mapping[str, Mapping[str, float] | str | None]
"""Path to scores, or why it could not be heard, or None where there was nothing to judge."""


@dataclass(frozen=True)
class Versions:
    """The clips that all of some sources have.

    Arguments
    ---------
    sources : tuple of str
        S of them: folders, files, results.
    by : str
        The dimension that ranks and sorts.
    taxonomy : Taxonomy or None
        What the scores speak of, where it is known: titles, and where a dimension is best.
    paths : dict from str to tuple of str
        For each clip that was judged in all sources its S files.
    scores : dict from str to tuple of mapping
        Of the same clips, S times scores.
    alone : tuple of tuple of str
        The files of each source that have no partner.
    errors : dict from str to str
        Clips that were left out because a version could not be heard, and why.
    not_judged : dict from str to str
        Clips that were left out because in a version there was nothing to judge, and which.
    comparison : Comparison or None
        Of two sources.
    ranks : tuple of Rank
        Of more, the best first.
    """

    sources: tuple[str, ...]
    by: str
    taxonomy: Taxonomy | None
    paths: dict[str, tuple[str, ...]]
    scores: dict[str, tuple[Mapping[str, float], ...]]
    alone: tuple[tuple[str, ...], ...]
    errors: dict[str, str]
    not_judged: dict[str, str]
    comparison: Comparison | None = None
    ranks: tuple[Rank, ...] = ()

    @property
    def letters(self) -> list[str]:
        """What the sources are called in short: A, B, C, ..."""
        return [chr(65 + i) if i < 26 else str(i + 1) for i in range(len(self.sources))]

    def title(self, name: str) -> str:
        """What a dimension is called in full, where that is known."""
        return self.taxonomy.dimension(name).title if self.taxonomy else name.replace("_", " ")

    @property
    def counts(self) -> str:
        """How many clips there are, and how many were left out, in words."""
        n = len(self.scores)
        said = [f"{n} clip{'s' if n != 1 else ''} in all of them"]
        for letter, paths in zip(self.letters, self.alone, strict=True):
            if paths:
                said.append(f"without a partner in {letter}: {len(paths)} ({some_of(paths)})")
        if self.errors:
            first = next(iter(self.errors.values()))
            said.append(f"could not be heard: {len(self.errors)} (the first: {first})")
        if self.not_judged:
            names = some_of(list(self.not_judged.values()))
            said.append(f"not judged: {len(self.not_judged)} ({names})")
        return "; ".join(said)

    @property
    def most_different(self) -> list[str]:
        """Names of the clips, those whose versions differ most first."""

        def apart(name: str) -> float:
            scores = [s[self.by] for s in self.scores[name]]
            return max(scores) - min(scores)

        return sorted(self.scores, key=apart, reverse=True)

    def to_dict(self) -> dict:
        """Plain dict for JSON."""
        alone = [list(paths) for paths in self.alone]
        found = {"sources": list(self.sources), "without_partner": alone}
        if self.comparison is not None:
            return found | self.comparison.to_dict()
        found |= {"n": len(self.scores), "by": self.by}
        found |= {"errors": self.errors, "not_judged": self.not_judged}
        return found | {"ranking": [r.to_dict() for r in self.ranks]}

    def text(self, n_most: int = 5) -> str:
        """For a terminal: what was compared, what it comes to, then tables in markdown."""
        head = [f"{c}: {s}" for c, s in zip(self.letters, self.sources, strict=True)]
        if self.comparison is not None:
            body = comparison_text(self.comparison, n_most)
        else:
            body = ranking_text(self.ranks, self.by, best_in_the_middle(self.taxonomy))
        return "\n".join([*head, self.counts, "", verdict(self), "", body])


def pair(
    sources: Sequence[str], paths: Sequence[Sequence[str]], one_clip: bool = False
) -> dict[str, tuple[str, ...]]:
    """The versions of each clip, which can be told before anything is heard.

    Arguments
    ---------
    sources : sequence of str
        What to call them; at least two.
    paths : sequence of sequence of str
        The files of each.
    one_clip : bool
        Whether each source is a file, so that they are one clip whatever their names.

    Raises
    ------
    ValueError
        If nothing pairs or it is not told what does, or a source stands twice among more than two.
    """
    if len(sources) > 2 and len(set(sources)) < len(sources):
        raise ValueError(f"{', '.join(sources)}: one of them stands twice; give each once")
    if one_clip:
        return {" / ".join(sources): tuple(side[0] for side in paths)}
    return match(paths)


def find_dimension(by: str, names: Sequence[str], taxonomy: Taxonomy | None = None) -> str:
    """The dimension that someone means by its name or its title.

    Raises
    ------
    ValueError
        If there is none; the message lists them.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> find_dimension("overall quality", ["mos"], load_taxonomy("qualispeech"))
    'mos'
    """
    titles = {d.name: d.title for d in taxonomy.dimensions} if taxonomy else {}
    if by in names:
        return by
    for name in names:
        if by.lower() in (name, titles.get(name, "").lower()):
            return name
    there = ", ".join(f"{n} ({titles[n]})" if n in titles else n for n in names)
    raise ValueError(f"no dimension {by!r}; there are {there}")


def compare_versions(
    sources: Sequence[str],
    scored: Sequence[Scored],
    by: str = "mos",
    one_clip: bool = False,
    taxonomy: Taxonomy | None = None,
) -> Versions:
    """Pair clips by name, and say how the sources differ.

    Arguments
    ---------
    sources : sequence of str
        What to call them; at least two.
    scored : sequence of mapping
        What came of the files of each.
    by : str
        The dimension that ranks and sorts.
    one_clip : bool
        Whether each source is a file, so that they are one clip whatever their names.
    taxonomy : Taxonomy, optional
        What the scores speak of, where it is known.

    Raises
    ------
    ValueError
        If there is nothing to compare; see `pair`, too.

    Example
    -------
    >>> clean, coded = {"a/1.wav": {"mos": 4}}, {"b/1.mp3": {"mos": 2.5}}
    >>> found = compare_versions(["a", "b"], [clean, coded])
    >>> found.comparison.dimensions["mos"].difference.value, found.paths["1"]
    (1.5, ('a/1.wav', 'b/1.mp3'))
    """
    matched = pair(sources, [list(s) for s in scored], one_clip)
    scores, errors, not_judged = _sorted(matched, scored)
    if not scores:
        raise ValueError(f"no clips to compare: {why_none(errors, not_judged)}")
    paired = [set(side) for side in zip(*matched.values(), strict=True)]
    found = {
        "sources": tuple(sources),
        "by": by,
        "taxonomy": taxonomy,
        "paths": {name: matched[name] for name in scores},
        "scores": scores,
        "alone": tuple(
            tuple(p for p in s if p not in seen) for s, seen in zip(scored, paired, strict=True)
        ),
        "errors": errors,
        "not_judged": not_judged,
    }
    middle = best_in_the_middle(taxonomy)
    if len(sources) == 2:
        pairs = [Pair(name, *row) for name, row in scores.items()]
        comparison = compare_pairs(pairs, by, errors, not_judged, middle)
        return Versions(**found, comparison=comparison)
    ranks = rank(dict(zip(sources, zip(*scores.values(), strict=True), strict=True)), by, middle)
    return Versions(**found, ranks=tuple(ranks))


def _sorted(matched: Mapping[str, Sequence[str]], scored: Sequence[Scored]) -> tuple[dict, ...]:
    """`Versions.scores`, `Versions.errors` and `Versions.not_judged` of clips that pair."""
    scores, errors, not_judged = {}, {}, {}
    for name, paths in matched.items():
        row = [s[path] for s, path in zip(scored, paths, strict=True)]
        wrong = [found for found in row if isinstance(found, str)]
        if wrong:
            errors[name] = wrong[0]
        elif None in row:
            not_judged[name] = paths[row.index(None)]
        else:
            scores[name] = tuple(row)
    return scores, errors, not_judged
