import pytest
import torch
from grpo_cases import GROUP_SIZE, clips, compact_model, two_prompts

from speechqa_plugin.models.groups import expand_groups, group_rows, take_prompts, window_owners


def test_every_tensor_of_two_different_clips_is_expanded_in_the_same_order():
    model = compact_model()
    inputs = two_prompts(model)
    rows = expand_groups(torch.arange(2), GROUP_SIZE)
    expanded = take_prompts(model, inputs, rows)
    with torch.no_grad():
        embeds = model.embed_prompt(inputs)
        expected = expand_groups(embeds, GROUP_SIZE)
        found = model.embed_prompt(expanded)
    assert (embeds[0] - embeds[1]).abs().max() > 0.1  # or any order would do
    torch.testing.assert_close(found, expected)
    assert torch.equal(expanded.prompt_mask, expand_groups(inputs.prompt_mask, GROUP_SIZE))


def test_windows_go_to_the_clip_they_were_cut_from():
    model = compact_model()
    assert window_owners(model, two_prompts(model)).tolist() == [0, 1, 1, 1]
    inputs = model.inputs(clips(2.0, 0.5, 1.2), ["a"] * 3)  # two full windows and no rest
    assert window_owners(model, inputs).tolist() == [0, 0, 1, 2, 2]


def test_taken_prompts_are_what_their_clips_alone_would_give():
    model = compact_model()
    wavs, prompts = clips(0.4, 2.3), ["Rate it.", "mos, noise: say which is worse. And why?"]
    taken = take_prompts(model, model.inputs(wavs, prompts), torch.tensor([0]))
    alone = model.inputs(wavs[:1], prompts[:1])
    for name in ("prompt_ids", "prompt_mask", "features", "features_mask"):
        torch.testing.assert_close(getattr(taken, name), getattr(alone, name))


def test_windows_that_belong_to_two_prompts_are_refused():
    model = compact_model()
    inputs = two_prompts(model)
    moved = inputs.prompt_ids.clone()
    moved[0, inputs.prompt_mask[0].argmax()] = model.audio_token_id
    with pytest.raises(ValueError, match=r"\[11, 57\] audio tokens, windows \[10, 25, 25, 7\]"):
        window_owners(model, type(inputs)(moved, *list(vars(inputs).values())[1:]))


def test_rows_of_groups_match_expansion():
    values = torch.tensor([5, 6, 7])
    rows = group_rows(torch.tensor([2, 0]), GROUP_SIZE)
    assert expand_groups(values, GROUP_SIZE)[rows].tolist() == [7, 7, 7, 5, 5, 5]
