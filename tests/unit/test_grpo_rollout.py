import pytest
import torch
from grpo_cases import GROUP_SIZE, clips, compact_model

from speechqa_plugin.grpo.policy import Policy
from speechqa_plugin.grpo.rollout import Rollout, RolloutRequest
from speechqa_plugin.models.decoder import sample


def test_the_policys_model_writes_at_its_temperature():
    model, wavs, prompts = compact_model(), clips(0.4, 2.3), ["Rate it.", "And why?"]
    inputs, seeds = model.inputs(wavs, prompts), [(7, 0), (7, 1)]
    request = RolloutRequest(inputs, wavs, prompts, seeds, choice_ids=(5, 9))
    written = Rollout(Policy(model, temperature=0.7), GROUP_SIZE, 6)(request)
    wanted = sample(model, inputs, seeds, GROUP_SIZE, 6, (5, 9), 0.7)
    assert written.rows() == wanted.rows() and written.choice_ids == (5, 9)
    assert torch.equal(written.sampled_logps, wanted.sampled_logps)
    assert written.rows() != sample(model, inputs, seeds, GROUP_SIZE, 6).rows()


@pytest.mark.parametrize("group_size, limit", [(1, 4), (2, 0)])
def test_numbers_that_are_too_small_are_refused(group_size, limit):
    with pytest.raises(ValueError, match="one answer alone is neither better nor worse"):
        Rollout(Policy(compact_model()), group_size, limit)
