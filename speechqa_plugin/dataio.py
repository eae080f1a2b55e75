"""Manifest rows to batches, the same for every stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DynamicItem
from torch import Tensor

from speechqa_plugin.audio import check_waveform
from speechqa_plugin.clips import to_waveform
from speechqa_plugin.listening import Answerer
from speechqa_plugin.manifest import check_labelled
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.schema import SchemaError, Utterance
from speechqa_plugin.text.answers import AnswerForm
from speechqa_plugin.toolkit import find_dimension, score_of


@dataclass(frozen=True)
class Batch:
    """B rows of a dataset.

    Arguments
    ---------
    utterances : list of Utterance
        What the rows are about.
    forms : list of AnswerForm
        The answer each row asks for.
    wavs : list of Tensor
        Clips [T_i] at the model's rate.
    inputs : ModelInputs
        Prompts, features and right answers.
    """

    utterances: list[Utterance]
    forms: list[AnswerForm]
    wavs: list[Tensor]
    inputs: ModelInputs


def make_dataset(
    utterances: Sequence[Utterance], forms: Sequence[str], answerer: Answerer
) -> DynamicItemDataset:
    """Dataset in which every utterance stands once for each answer form.

    Arguments
    ---------
    utterances : sequence of Utterance
        Rows of a manifest, with references.
    forms : sequence of str
        Names of answer forms. One that is named twice counts twice: ``[scores, scores,
        reasoned]`` is a mixture of two to one.
    answerer : Answerer
        Knows what audio the model takes.

    Returns
    -------
    DynamicItemDataset
        Items ``utterance``, ``form`` and ``wav``.

    Raises
    ------
    SchemaError
        If an utterance has no reference, or two have one id.
    """
    check_labelled(utterances)
    data = {
        f"{u.id}#{i}": {"utterance": u, "form": AnswerForm(form)}
        for u in utterances
        for i, form in enumerate(forms)
    }
    if len(data) < len(utterances) * len(forms):
        doubled = next(k for k, n in Counter(u.id for u in utterances).items() if n > 1)
        raise SchemaError(f"id: {doubled!r} stands more than once; ids must be unique")
    dataset = DynamicItemDataset(data)
    dataset.add_dynamic_item(lambda u: answerer.load(u.path), takes="utterance", provides="wav")
    dataset.set_output_keys(["utterance", "form", "wav"])
    return dataset


def quality_item(
    assessor,
    takes: str = "sig",
    provides: str = "quality",
    dimension: str | None = None,
    sample_rate_hz: int | None = None,
) -> DynamicItem:
    """A dynamic item with a clip's score: ``dataset.add_dynamic_item(quality_item(assessor))``.

    The model runs where the loader does: with workers each has a copy, and on a GPU none may be
    started (``num_workers=0``).

    Arguments
    ---------
    assessor : SpeechQualityAssessor
        The model.
    takes : str
        Item with samples [T], or with the path of a file.
    provides : str
        Name of the new item: a float in [1, 5].
    dimension : str, optional
        What to score; the overall dimension if not given.
    sample_rate_hz : int, optional
        Rate of the samples; the model's (16 kHz) if not given. A file's is known.

    Raises
    ------
    ValueError
        If there is no such dimension; when it is asked for, an `AudioError` if a clip cannot be
        heard.
    """
    answerer = assessor.answerer
    name = find_dimension(answerer, dimension)
    rate_hz, min_s = answerer.audio_llm.sample_rate_hz, answerer.audio_llm.min_audio_s

    def score(sound) -> float:
        wav = to_waveform(sound, rate_hz, sample_rate_hz, takes)
        return score_of(answerer, [check_waveform(wav, rate_hz, min_s, name=takes)], name)[0]

    return DynamicItem(takes=[takes], func=score, provides=[provides])


class Collate:
    """Turns dataset rows into a `Batch`; given to a DataLoader as ``collate_fn``.

    Arguments
    ---------
    answerer : Answerer
        Writes prompts and answers.
    """

    def __init__(self, answerer: Answerer):
        self.answerer = answerer

    def __call__(self, rows: Sequence[dict]) -> Batch:
        """Batch of these rows, in order."""
        utterances = [row["utterance"] for row in rows]
        forms = [row["form"] for row in rows]
        wavs = [row["wav"] for row in rows]
        references = [u.reference for u in utterances]
        return Batch(utterances, forms, wavs, self.answerer.inputs(wavs, forms, references))
