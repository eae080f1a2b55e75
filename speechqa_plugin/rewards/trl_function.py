"""A reward function written for TRL, as one of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from speechqa_plugin.rewards.base import Part, check_pairs
from speechqa_plugin.schema import Assessment
from speechqa_plugin.text.answers import ParsedAnswer


class TRLReward:
    """Calls ``function(prompts=, completions=, completion_ids=, references=, **columns)``.

    That is the contract of `trl.GRPOTrainer` for texts, so what `trl.rewards` offers plugs in from
    YAML and TRL itself is never imported here::

        - !new:speechqa_plugin.rewards.TRLReward
          function: !apply:trl.rewards.get_soft_overlong_punishment
            max_completion_len: 256
            soft_punish_cache: 64

    Unlike our own rewards it judges the completion whether or not it can be read, and keeps the
    function's range: the two penalties of `trl.rewards` give values in [-1, 0], 0 being best.

    Arguments
    ---------
    function : callable
        The reward function. Like TRL's it takes keyword arguments, ``**kwargs`` among them, and
        returns one float or None for each completion.
    name : str or None
        Key of its column in the log; the function's own name if None.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> label = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3))
    >>> def shouting(completions, **kwargs):
    ...     return [-float(text.isupper()) for text in completions]
    >>> TRLReward(shouting)([ParsedAnswer("NOISE!")], [label], prompts=["Rate it"])
    [-1.0]
    """

    part = Part.TEXT

    def __init__(self, function: Callable[..., list[float | None]], name: str | None = None):
        self.function = function
        self.name = name or function.__name__

    def __call__(
        self,
        predictions: Sequence[ParsedAnswer],
        references: Sequence[Assessment],
        **columns: Sequence,
    ) -> list[float | None]:
        """Judge completions.

        Arguments
        ---------
        predictions : sequence of ParsedAnswer
            N completions; their texts are passed on.
        references : sequence of Assessment
            N references, passed on.
        **columns : sequence
            N values each of what else the function reads: ``prompts`` (str) and
            ``completion_ids`` (list of int, as they were sampled).

        Returns
        -------
        list of float or None
            N values in the function's own range.

        Raises
        ------
        ValueError
            If the lengths of the predictions, the references, a column or the result differ.
        """
        check_pairs(predictions, references)
        completions = [p.text for p in predictions]
        columns = {**columns, "completions": completions, "references": list(references)}
        values = self.function(**columns)
        for what, found in {**columns, "result": values}.items():
            if len(found) != len(predictions):
                raise ValueError(
                    f"reward {self.name!r}: {what} has {len(found)} values for "
                    f"{len(predictions)} completions; need one each"
                )
        return [None if v is None else float(v) for v in values]
