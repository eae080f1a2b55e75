"""`assess_split`: the way any model is measured, whether base, calibrated or reinforced."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import torch.distributed as dist
from tqdm import tqdm

from speechqa_plugin.audio import AudioError
from speechqa_plugin.evaluation.records import UNREADABLE_AUDIO, Record
from speechqa_plugin.listening import Answerer, Heard
from speechqa_plugin.manifest import check_labelled
from speechqa_plugin.schema import Utterance, round_score
from speechqa_plugin.text.answers import AnswerForm


def assess_split(
    answerer: Answerer,
    utterances: Sequence[Utterance],
    form: AnswerForm = AnswerForm.SCORES,
    batch_size: int = 16,
    progressbar: bool = False,
) -> list[Record]:
    """Ask a model about every clip of a split.

    In a distributed run each rank takes its share and all of them get all records; every rank
    has to call this. An audio file that cannot be read becomes a record with its error; all others
    are heard as `SpeechQualityAssessor` hears them, long ones in parts.

    Arguments
    ---------
    answerer : Answerer
        The model; not wrapped by DDP.
    utterances : sequence of Utterance
        Rows with references.
    form : AnswerForm
        Which answer to ask for.
    batch_size : int
        Clips that a rank's model hears at once.
    progressbar : bool
        Show one (on the first rank).

    Returns
    -------
    list of Record
        In the order of ``utterances``.

    Raises
    ------
    SchemaError
        If an utterance has no reference.
    """
    check_labelled(utterances)
    rank, size = rank_and_size()
    mine = utterances[rank::size]
    shown = tqdm(
        answerer.answer_files([u.path for u in mine], form, batch_size),
        total=len(mine),
        desc=f"listening ({form})",
        unit="clip",
        dynamic_ncols=True,
        disable=not progressbar or rank > 0,
    )
    placed = [(rank + size * i, make_record(mine[i], heard)) for i, heard in enumerate(shown)]
    return [record for _, record in sorted(gather(placed), key=itemgetter(0))]


def make_record(utterance: Utterance, heard: Heard | AudioError) -> Record:
    """Put an answer beside its reference.

    Arguments
    ---------
    utterance : Utterance
        The clip.
    heard : Heard or AudioError
        What the model said of it, or why it could not.

    Returns
    -------
    Record
    """
    if isinstance(heard, AudioError):
        return Record(utterance, str(heard), None, {}, UNREADABLE_AUDIO)
    text = "\n".join(answer.parsed.text for _, _, answer in heard.parts)
    _, end_s, answer = heard.parts[0]
    prediction = answer.assessment
    if prediction is not None:  # all that was written, but no time behind the clip's end
        prediction = prediction.within(end_s)
    written = (answer.rescue or answer).parsed.assessment
    digits = {} if written is None else dict(written.scores)
    if len(heard.parts) > 1:
        prediction = heard.assessment
        digits = {n: float(round_score(s)) for n, s in prediction.scores.items()}
    return Record(utterance, text, prediction, digits, heard.failure)


def rank_and_size() -> tuple[int, int]:
    """Number of this process and how many there are; (0, 1) without a process group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def gather(items: list) -> list:
    """Items of all ranks, on all ranks; a collective in a distributed run."""
    if not dist.is_initialized():
        return items
    parts = [None] * dist.get_world_size()
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]
