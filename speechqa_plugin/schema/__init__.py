"""What the project talks about, as frozen classes that validate themselves.

Everything else (answers, metrics, models) works on these types, and the
dimension and artifact names they hold come from a taxonomy file, never from
code.
"""

from speechqa_plugin.schema.assessment import (
    Artifact,
    Assessment,
    Interval,
    Stretch,
    Utterance,
    assessment_from_dict,
    is_judged,
)
from speechqa_plugin.schema.taxonomy import (
    SCORE_MAX,
    SCORE_MIN,
    ArtifactKind,
    Dimension,
    SchemaError,
    Taxonomy,
    load_taxonomy,
    make_taxonomy,
    round_score,
    taxonomy_names,
)

__all__ = [
    "Artifact",
    "ArtifactKind",
    "Assessment",
    "Dimension",
    "Interval",
    "SCORE_MAX",
    "SCORE_MIN",
    "SchemaError",
    "Stretch",
    "Taxonomy",
    "Utterance",
    "assessment_from_dict",
    "is_judged",
    "load_taxonomy",
    "make_taxonomy",
    "round_score",
    "taxonomy_names",
]
