"""Rewards for when an artifact of one kind is heard.

The reference's times are rounded as an answer writes them, so that the label's own answer earns 1.

Where neither side has the kind the reward is ``silence``, and 0 where only one has, so within a
group of completions a false alarm loses to silence and silence loses to a find. A ratio such as
IoU or F1, in which clips that are rightly left alone do not count, is maximised by claiming an
artifact more often than a share of right answers is: a claim that is right with chance p, and then
earns r, pays if p r is above s (1 - p), where s is the silence. The best s for the IoU is the IoU
that can be reached (Dinkelbach 1967); for an F1 of F, at r = 1, it is F / (2 - F). None in place of
silence would leave false alarms free of charge: a group that says nothing but false alarms has no
spread, and the cheapest policy would be to claim every kind in every clip. There is no target
(None) only where the reference has an artifact of the kind whose time is not known.
"""

from __future__ import annotations

from speechqa_plugin.metrics import interval_f1, temporal_iou
from speechqa_plugin.rewards.base import Part, RowReward
from speechqa_plugin.schema import Assessment, Interval
from speechqa_plugin.text.answers import as_written


class _TimesReward(RowReward):
    metric: str
    part = Part.ARTIFACTS

    def __init__(self, kind: str, silence: float = 1.0):
        self.kind = kind
        self.silence = silence
        self.name = f"{self.metric}/{kind}"

    def has_target(self, reference: Assessment) -> bool:
        """Whether the time of every artifact of the kind is known."""
        return all(a.interval for a in reference.of_kind(self.kind))

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """In [0, 1]."""
        if not reference.of_kind(self.kind):
            # Also a claim without a time is a false alarm.
            return 0.0 if prediction.of_kind(self.kind) else self.silence
        return self.agreement(
            prediction.intervals(self.kind), as_written(reference).intervals(self.kind)
        )

    def agreement(self, predicted: list[Interval], reference: list[Interval]) -> float:
        raise NotImplementedError


class TemporalIoU(_TimesReward):
    """`speechqa_plugin.metrics.temporal_iou` of one kind in one clip.

    Arguments
    ---------
    kind : str
        Name of the artifact kind.
    silence : float
        What rightly claiming none earns, in [0, 1].

    Example
    -------
    >>> from speechqa_plugin.text.answers import ParsedAnswer
    >>> from speechqa_plugin.schema import Artifact, load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> scores = dict.fromkeys(taxonomy.names, 3)
    >>> there = Assessment(taxonomy, scores, (Artifact("noise", "babble", 0.0, 2.0),))
    >>> said = Assessment(taxonomy, scores, (Artifact("noise", "clicks", 1.0, 2.0),))
    >>> TemporalIoU("noise")([ParsedAnswer("", said)], [there])
    [0.5]
    """

    metric = "temporal_iou"

    def agreement(self, predicted: list[Interval], reference: list[Interval]) -> float:
        """Intersection over union of the time covered."""
        return temporal_iou(predicted, reference)


class IntervalF1(_TimesReward):
    """F1 of `speechqa_plugin.metrics.interval_f1` at an IoU of .5 for one kind in one clip.

    Unlike `TemporalIoU` it counts intervals, so repeating one or cutting it up costs.

    Arguments are those of `TemporalIoU`.

    Example
    -------
    >>> from speechqa_plugin.text.answers import ParsedAnswer
    >>> from speechqa_plugin.schema import Artifact, load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> scores = dict.fromkeys(taxonomy.names, 3)
    >>> clicks = (Artifact("noise", "clicks", 0.0, 1.0), Artifact("noise", "clicks", 2.0, 3.0))
    >>> there, said = (Assessment(taxonomy, scores, some) for some in (clicks[:1], clicks))
    >>> round(IntervalF1("noise")([ParsedAnswer("", said)], [there])[0], 3)
    0.667
    """

    metric = "interval_f1"

    def agreement(self, predicted: list[Interval], reference: list[Interval]) -> float:
        """2 hits / (intervals predicted + intervals in the reference)."""
        return interval_f1(predicted, reference).f1
