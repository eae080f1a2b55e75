"""Hypothesis strategies for the schema's types: everything valid, nothing tidied."""

from __future__ import annotations

from hypothesis import strategies as st

from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Artifact, Assessment, Interval, Taxonomy

MAX_TIME_S = 600.0
"""The longest clip any base model hears."""


def _finite(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


def intervals(max_s: float = MAX_TIME_S) -> st.SearchStrategy[Interval]:
    """Any interval within ``[0, max_s]``, down to a single float step long."""
    return (
        st.tuples(_finite(0, max_s), _finite(0, max_s))
        .filter(lambda pair: pair[0] != pair[1])
        .map(lambda pair: Interval(*sorted(pair)))
    )


def artifact_types() -> st.SearchStrategy[str]:
    """One line of words in any script, without brackets."""
    return (
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="()"), max_size=30)
        .map(lambda text: " ".join(text.split()))
        .filter(bool)
    )


@st.composite
def artifacts(draw, taxonomy: Taxonomy, max_s: float = MAX_TIME_S) -> Artifact:
    """An artifact of a kind of the taxonomy, with or without times and severity."""
    kind = draw(st.sampled_from(taxonomy.kinds))
    type_ = draw(st.sampled_from(kind.types) | artifact_types() if kind.types else artifact_types())
    when = draw(st.none() | intervals(max_s))
    times = () if when is None else (when.start_s, when.end_s)
    return Artifact(kind.name, type_, *times, severity=draw(st.none() | _finite(0, 1)))


@st.composite
def assessments(draw, taxonomy: Taxonomy, max_s: float = MAX_TIME_S) -> Assessment:
    """An assessment with float scores, free prose, and artifacts where the taxonomy has kinds."""
    names = taxonomy.names
    return Assessment(
        taxonomy,
        scores={name: draw(_finite(SCORE_MIN, SCORE_MAX)) for name in names},
        artifacts=tuple(
            draw(st.lists(artifacts(taxonomy, max_s), max_size=4)) if taxonomy.kinds else ()
        ),
        description=draw(st.text(max_size=200)),
        confidence=draw(st.dictionaries(st.sampled_from(names), _finite(0, 1))),
    )
