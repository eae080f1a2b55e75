"""`LocalJudge` with a real instruct model, which is too small to judge well: mostly it chats."""

import pytest
import torch
from smollm2 import smollm2

from speechqa_plugin.judges import LocalJudge, Reply
from speechqa_plugin.rewards import judge_per_dimension
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy
from speechqa_plugin.text.answers import ParsedAnswer
from speechqa_plugin.text.prompts import build_description_judge_prompt, build_judge_prompt

pytestmark = pytest.mark.slow

TAXONOMY = load_taxonomy("qualispeech")
SCORES = dict.fromkeys(TAXONOMY.names, 4)
HUM = Artifact("noise", "mains hum", 0.4, 2.4)
TEXT = "There is a loud hum. The voice is clear."
REFERENCE = Assessment(TAXONOMY, SCORES | {"noise": 2}, (HUM,), TEXT)
OTHER = Assessment(TAXONOMY, SCORES | {"noise": 5}, (), "There is no noise at all.")
GRADED = build_description_judge_prompt(TEXT, TEXT)
CHATTED = build_judge_prompt("noise", REFERENCE, REFERENCE)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    return LocalJudge(smollm2(tmp_path_factory.mktemp("smollm2")), batch_size=3)


def test_texts_are_the_models_own_and_a_batch_does_not_change_them(judge):
    """Rows of unequal length; the oracle is the model, called by hand without a batch."""
    tokenizer, model = judge._parts
    prompts = ["Say hello.", GRADED, "What is two plus three?", CHATTED]
    expected = []
    for prompt in prompts:
        text = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
        ids = tokenizer(f"<|im_start|>system\n{system}<|im_end|>\n{text}", return_tensors="pt")
        ids, written = ids.input_ids, []
        for _ in range(16):
            written.append(int(model(ids).logits[0, -1].argmax()))
            if written[-1] == tokenizer.eos_token_id:
                break
            ids = torch.cat([ids, torch.tensor([[written[-1]]])], dim=1)
        finished = written[-1] == tokenizer.eos_token_id
        expected.append(Reply(tokenizer.decode(written, skip_special_tokens=True), finished))
    assert judge.ask(prompts) == expected
    assert expected[1] == Reply("10") and not expected[0].finished


def test_a_grade_is_read_and_chatter_is_garbage(judge):
    assert judge.judge([GRADED, CHATTED, GRADED]) == [10, None, 10]
    counts = judge.take_counts()
    assert counts["judge/asked"] == 2
    assert counts["judge/failures/garbage"] == 1
    assert sum(counts.values()) == 3


def test_how_the_model_wants_to_sample_does_not_matter(judge, monkeypatch):
    """All digits stand in the question: a penalty on repeating would choose among grades."""
    before = judge.ask([GRADED, CHATTED])
    config = judge._parts[1].generation_config
    for name, value in (
        ("repetition_penalty", 2.0),
        ("no_repeat_ngram_size", 2),
        ("do_sample", True),
    ):
        monkeypatch.setattr(config, name, value)
    assert judge.ask([GRADED, CHATTED]) == before


def test_it_draws_no_random_numbers(judge):
    """Those of the training must not depend on how often a judge is asked."""
    before = torch.get_rng_state()
    judge.ask(["Say hello."])
    assert torch.equal(torch.get_rng_state(), before)


def test_rewards_come_from_it(judge):
    said = [ParsedAnswer("", REFERENCE), ParsedAnswer("hello")]
    values = [r(said, [REFERENCE] * 2) for r in judge_per_dimension(TAXONOMY, judge)]
    assert all(unread == 0 for _, unread in values)
    assert all(v is None or 0 <= v <= 1 for v, _ in values)
    assert judge.take_counts()["judge/asked"] >= 6  # one may be remembered
