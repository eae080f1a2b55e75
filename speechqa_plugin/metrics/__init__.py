"""How well predictions agree with references: pure functions on plain data.

What is undefined is NaN, never 0, and every count that a ratio came from is
kept beside it. Totals over clips are ratios of summed counts, not averages of
ratios. The rewards of the reinforcement stage call these same functions.
"""

from speechqa_plugin.metrics.bootstrap import (
    Estimate,
    bootstrap_ci,
    bootstrap_values,
    percentile_interval,
)
from speechqa_plugin.metrics.counts import Counts
from speechqa_plugin.metrics.detection import Detection, detect, type_similarity
from speechqa_plugin.metrics.intervals import interval_f1, merge, temporal_iou
from speechqa_plugin.metrics.scores import (
    grouped_means,
    kendall,
    mae,
    mean_pearson,
    pearson,
    rmse,
    spearman,
)
from speechqa_plugin.metrics.text import rouge_l, similarity

__all__ = [
    "Counts",
    "Detection",
    "Estimate",
    "bootstrap_ci",
    "bootstrap_values",
    "detect",
    "grouped_means",
    "interval_f1",
    "kendall",
    "mae",
    "merge",
    "mean_pearson",
    "pearson",
    "percentile_interval",
    "rmse",
    "rouge_l",
    "similarity",
    "spearman",
    "temporal_iou",
    "type_similarity",
]
