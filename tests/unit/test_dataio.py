"""From manifest rows to batches."""

import pytest
import torch
from speechbrain.dataio.dataloader import make_dataloader
from tiny import trained_answerer, write_bad_files, write_clip

from speechqa_plugin.audio import AudioError
from speechqa_plugin.dataio import Collate, make_dataset
from speechqa_plugin.models.inputs import IGNORE_INDEX
from speechqa_plugin.schema import Artifact, Assessment, SchemaError, Utterance, load_taxonomy
from speechqa_plugin.text.answers import AnswerForm, render_answer

QUALISPEECH = load_taxonomy("qualispeech")


@pytest.fixture
def rows(tmp_path):
    rows = []
    for i in range(3):
        path = write_clip(tmp_path / f"{i}.wav", 0.5 + 0.3 * i, 0.1 * i, seed=i)
        hum = Artifact("noise", "mains hum", 0.0, 0.2 + 0.1 * i)
        reference = Assessment(
            QUALISPEECH, dict.fromkeys(QUALISPEECH.names, 1 + i), (hum,), f"Clip {i}."
        )
        rows.append(Utterance(f"row{i}", str(path), 0.5 + 0.3 * i, reference))
    return rows


def test_each_row_stands_once_for_each_form_that_is_named(rows):
    dataset = make_dataset(rows, ["scores", "reasoned", "scores"], trained_answerer())
    items = [dataset[i] for i in range(len(dataset))]
    assert [(item["utterance"].id, item["form"]) for item in items] == [
        (row.id, form) for row in rows for form in ("scores", "reasoned", "scores")
    ]
    for item in items:
        assert torch.equal(item["wav"], trained_answerer().load(item["utterance"].path))


def test_a_batch_asks_each_clip_for_its_form_and_knows_the_right_answer(rows):
    answerer = trained_answerer()
    dataset = make_dataset(rows, ["reasoned", "scores"], answerer)
    loader = make_dataloader(dataset, batch_size=4, collate_fn=Collate(answerer))
    first, last = loader
    assert [len(b.utterances) for b in (first, last)] == [4, 2]
    assert first.forms == [AnswerForm.REASONED, AnswerForm.SCORES] * 2
    assert [len(wav) for wav in first.wavs] == [8000, 8000, 12800, 12800]
    decode = answerer.audio_llm.tokenizer.decode
    for batch in (first, last):
        for utterance, form, prompt, labels in zip(
            batch.utterances,
            batch.forms,
            batch.inputs.prompt_ids,
            batch.inputs.labels,
            strict=True,
        ):
            answer = decode(labels[labels != IGNORE_INDEX])
            end = answerer.audio_llm.tokenizer.eos_token
            assert answer == render_answer(utterance.reference, form) + end
            asked = decode(prompt[prompt != answerer.audio_llm.audio_token_id])
            assert answerer.prompts[form] in asked
        again = answerer.inputs(batch.wavs, batch.forms, [u.reference for u in batch.utterances])
        assert all(torch.equal(v, getattr(batch.inputs, k)) for k, v in vars(again).items())


def test_rows_without_labels_are_refused(rows):
    bare = [Utterance("bare0", "a.wav", 1.0), Utterance("bare1", "a.wav", 1.0)]
    with pytest.raises(SchemaError, match=r"reference: 2 of 5 rows have none.*'bare0'"):
        make_dataset([*rows, *bare], ["scores"], trained_answerer())


def test_an_id_that_stands_twice_is_refused(rows):
    with pytest.raises(SchemaError, match="id: 'row1' stands more than once"):
        make_dataset([*rows, rows[1]], ["scores"], trained_answerer())


def test_a_form_that_is_not_there_is_refused(rows):
    with pytest.raises(ValueError, match="'score' is not a valid AnswerForm"):
        make_dataset(rows, ["score"], trained_answerer())


def test_bad_audio_stops_the_training(rows, tmp_path):
    """It is no sound to learn from, and a row less would go unseen."""
    bad = write_bad_files(tmp_path / "bad")["is truncated"]
    answerer = trained_answerer()
    dataset = make_dataset([Utterance("x", str(bad), 1.0, rows[0].reference)], ["scores"], answerer)
    with pytest.raises(AudioError, match="is truncated"):
        next(iter(make_dataloader(dataset, batch_size=1, collate_fn=Collate(answerer))))
